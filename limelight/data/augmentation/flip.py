"""Random flips."""

from dataclasses import dataclass

import cv2
import numpy as np

from limelight.config.augmentation import Flip
from limelight.data.augmentation.picture import TrainingPicture
from limelight.models.inputs import Size


@dataclass(frozen=True)
class FlipEffect:
    """Which axes to mirror."""

    mirror: bool = False
    upside_down: bool = False

    def __call__(self, picture: TrainingPicture, size: Size) -> TrainingPicture:
        if not self.mirror and not self.upside_down:
            return picture
        axis = -1 if self.mirror and self.upside_down else int(self.mirror)
        return picture.moved(lambda pixels: cv2.flip(pixels, axis))


def draw_flip(settings: Flip, size: Size, generator: np.random.Generator) -> FlipEffect:
    first, second = generator.random(), generator.random()
    mirror = first < settings.horizontal
    if settings.exclusive:
        return FlipEffect(mirror, not mirror and first < settings.horizontal + settings.vertical)
    return FlipEffect(mirror, second < settings.vertical)
