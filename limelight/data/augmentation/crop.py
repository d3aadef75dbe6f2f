"""Random crops."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from limelight.data.augmentation.picture import Picture
from limelight.data.augmentation.step import Step
from limelight.models.inputs import Size


@dataclass(frozen=True)
class CropEffect:
    """What is kept."""

    rows: tuple[int, int]
    """First, and one past the last, of the stored picture."""
    columns: tuple[int, int]

    def __call__(self, picture: Picture, size: Size) -> Picture:
        return picture.moved(lambda pixels: pixels[slice(*self.rows), slice(*self.columns)])


class Crop(Step):
    """Cut off a random part of each side; at least one pixel is left. Both forms together, one after the other."""

    name: Literal["crop"] = "crop"
    share: float = Field(default=0.0, ge=0, lt=0.5, description="KD-SCFNet's form: largest share of a side that goes")
    pixels: int = Field(default=0, ge=0, description="SDNet's form: up to so many pixels off each side")

    @property
    def before_resize(self) -> bool:
        return True

    def draw(self, size: Size, generator: np.random.Generator) -> CropEffect:
        return CropEffect(self._kept(size[0], generator), self._kept(size[1], generator))

    def _kept(self, side: int, generator: np.random.Generator) -> tuple[int, int]:
        removed = int(generator.integers(0, max(1, int(self.share * side))))
        start = int(generator.integers(0, removed + 1))
        most = min(self.pixels, (side - removed - 1) // 2)
        before, after = generator.integers(0, most + 1, 2)
        return start + int(before), start + side - removed - int(after)
