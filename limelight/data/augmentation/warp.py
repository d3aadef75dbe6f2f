"""Rotation and scaling about the centre."""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from pydantic import Field

from limelight.data.augmentation.picture import Picture
from limelight.data.augmentation.step import Step
from limelight.models.inputs import Size


@dataclass(frozen=True)
class WarpEffect:
    """How far. What comes in from outside is black, and void in the labels."""

    angle: float = 0.0
    """Degrees, counter-clockwise."""
    scale: float = 1.0

    def __call__(self, picture: Picture, size: Size) -> Picture:
        if (self.angle, self.scale) == (0.0, 1.0):
            return picture
        picture = picture.settled()
        height, width = picture.size
        turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), self.angle, self.scale)

        def move(pixels: np.ndarray, how: int = cv2.INTER_LINEAR, border: int = 0) -> np.ndarray:
            return cv2.warpAffine(pixels, turn, (width, height), flags=how, borderValue=border)

        return picture.moved(move, lambda labels_HW: move(labels_HW, cv2.INTER_NEAREST, picture.void))


class Rotate(Step):
    """Turn a picture about its centre."""

    name: Literal["rotate"] = "rotate"
    degrees: float = Field(default=10.0, ge=0, le=180, description="largest angle")
    probability: float = Field(default=1.0, ge=0, le=1)

    @property
    def before_resize(self) -> bool:
        return True

    def draw(self, size: Size, generator: np.random.Generator) -> WarpEffect:
        angle = generator.uniform(-self.degrees, self.degrees)
        chosen = self.probability == 1 or generator.random() < self.probability
        return WarpEffect(angle=angle if chosen else 0.0)


class Scale(Step):
    """Enlarge a picture and cut it to its old size, or shrink it and fill up with black."""

    name: Literal["scale"] = "scale"
    least: float = Field(default=0.75, gt=0, description="factor")
    most: float = Field(default=1.25, gt=0)
    probability: float = Field(default=0.5, ge=0, le=1)

    @property
    def before_resize(self) -> bool:
        return True

    def draw(self, size: Size, generator: np.random.Generator) -> WarpEffect:
        factor = generator.uniform(self.least, self.most)
        chosen = self.probability == 1 or generator.random() < self.probability
        return WarpEffect(scale=factor if chosen else 1.0)
