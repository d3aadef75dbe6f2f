"""Random crops."""

from dataclasses import dataclass

import numpy as np

from limelight.config.augmentation import Crop
from limelight.data.augmentation.picture import TrainingPicture
from limelight.models.inputs import Size


@dataclass(frozen=True)
class CropEffect:
    """The rows and columns to keep."""

    rows: tuple[int, int]
    """(start, stop) of the picture as it is stored, stop excluded."""
    columns: tuple[int, int]
    stored: Size

    def __call__(self, picture: TrainingPicture, size: Size) -> TrainingPicture:
        height, width = picture.size
        rows, columns = _of(self.rows, self.stored[0], height), _of(self.columns, self.stored[1], width)
        return picture.moved(lambda pixels: pixels[rows, columns])


def draw_crop(settings: Crop, size: Size, generator: np.random.Generator) -> CropEffect:
    height, width = size
    return CropEffect(_kept(settings, height, generator), _kept(settings, width, generator), size)


def _of(kept: tuple[int, int], stored: int, side: int) -> slice:
    """The same part of a side that an operation before has made shorter."""
    start, stop = (place * side // stored for place in kept)
    return slice(start, max(stop, start + 1))


def _kept(settings: Crop, side: int, generator: np.random.Generator) -> tuple[int, int]:
    removed = int(generator.integers(0, max(1, int(settings.share * side))))
    start = int(generator.integers(0, removed + 1))
    most = min(settings.pixels, (side - removed - 1) // 2)
    before, after = generator.integers(0, most + 1, 2)
    return start + int(before), start + side - removed - int(after)
