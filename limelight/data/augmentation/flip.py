"""Random flips."""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from pydantic import Field, model_validator

from limelight.data.augmentation.picture import Picture
from limelight.data.augmentation.step import Step
from limelight.models.inputs import Size


@dataclass(frozen=True)
class FlipEffect:
    """Which sides change places."""

    mirror: bool = False
    upside_down: bool = False

    def __call__(self, picture: Picture, size: Size) -> Picture:
        if not self.mirror and not self.upside_down:
            return picture
        way = -1 if self.mirror and self.upside_down else int(self.mirror)
        return picture.moved(lambda pixels: cv2.flip(pixels, way))


class Flip(Step):
    """Mirror a picture, or turn it upside down."""

    name: Literal["flip"] = "flip"
    horizontal: float = Field(default=0.5, ge=0, le=1, description="probability")
    vertical: float = Field(default=0.0, ge=0, le=1, description="probability")
    exclusive: bool = Field(default=False, description="never both at once")

    @model_validator(mode="after")
    def _check(self) -> "Flip":
        if self.exclusive and self.horizontal + self.vertical > 1:
            raise ValueError(
                f"flips of {self.horizontal:g} and {self.vertical:g} cannot be exclusive; give shares of 1 together"
            )
        return self

    def draw(self, size: Size, generator: np.random.Generator) -> FlipEffect:
        first, second = generator.random(), generator.random()
        mirror = first < self.horizontal
        if self.exclusive:
            return FlipEffect(mirror, not mirror and first < self.horizontal + self.vertical)
        return FlipEffect(mirror, second < self.vertical)
