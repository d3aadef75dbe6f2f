"""Rotation and scaling about the centre."""

from dataclasses import dataclass

import cv2
import numpy as np

from limelight.config.augmentation import Rotate, Scale
from limelight.data.augmentation.picture import TrainingPicture
from limelight.models.inputs import Size


@dataclass(frozen=True)
class WarpEffect:
    """Angle and scale. Pixels from outside the picture are black, and void in the labels."""

    angle: float = 0.0
    """Degrees, counter-clockwise."""
    scale: float = 1.0

    def __call__(self, picture: TrainingPicture, size: Size) -> TrainingPicture:
        if (self.angle, self.scale) == (0.0, 1.0):
            return picture
        picture = picture.with_photometry_applied()
        height, width = picture.size
        turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), self.angle, self.scale)

        def move(pixels: np.ndarray, interpolation: int = cv2.INTER_LINEAR, border: int = 0) -> np.ndarray:
            return cv2.warpAffine(pixels, turn, (width, height), flags=interpolation, borderValue=border)

        return picture.moved(move, lambda labels_HW: move(labels_HW, cv2.INTER_NEAREST, picture.void))


def draw_rotation(settings: Rotate, size: Size, generator: np.random.Generator) -> WarpEffect:
    angle = generator.uniform(-settings.degrees, settings.degrees)
    chosen = settings.probability == 1 or generator.random() < settings.probability
    return WarpEffect(angle=angle if chosen else 0.0)


def draw_scaling(settings: Scale, size: Size, generator: np.random.Generator) -> WarpEffect:
    factor = generator.uniform(settings.least, settings.most)
    chosen = settings.probability == 1 or generator.random() < settings.probability
    return WarpEffect(scale=factor if chosen else 1.0)
