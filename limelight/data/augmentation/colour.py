"""Saturation and hue, by one matrix."""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from limelight.config.augmentation import Colour
from limelight.data.augmentation.picture import TrainingPicture
from limelight.models.inputs import Size

_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
"""Luma, and the plane of colours (NTSC, FCC 1953): saturation is a length there, hue an angle."""


@dataclass(frozen=True)
class ColourEffect:
    """A change of colours that leaves the luma, but for what 8 bits cannot hold."""

    saturation: float = 1.0
    """Factor; 0 = grey."""
    hue: float = 0.0
    """Degrees."""

    def __call__(self, picture: TrainingPicture, size: Size) -> TrainingPicture:
        if (self.saturation, self.hue) == (1.0, 0.0):
            return picture
        picture = picture.with_photometry_applied()
        return replace(picture, image_HW3=cv2.transform(picture.image_HW3, self.matrix()))

    def matrix(self) -> np.ndarray:
        """From RGB to RGB, 3 x 3."""
        along, across = self.saturation * np.cos(np.radians(self.hue)), self.saturation * np.sin(np.radians(self.hue))
        turn = np.array([[1, 0, 0], [0, along, -across], [0, across, along]])
        return np.linalg.inv(_TO_YIQ) @ turn @ _TO_YIQ


def draw_colour(settings: Colour, size: Size, generator: np.random.Generator) -> ColourEffect:
    factor = generator.uniform(1 - settings.saturation, 1 + settings.saturation)
    hue, first = generator.uniform(-settings.hue, settings.hue), generator.random()
    return ColourEffect(saturation=0.0) if first < settings.grey else ColourEffect(factor, hue)
