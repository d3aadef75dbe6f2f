"""Blur, contrast and brightness of the image."""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from limelight.config.augmentation import Photometric
from limelight.data.augmentation.picture import TrainingPicture
from limelight.models.inputs import Size

BLUR_KERNELS = (3, 5, 7, 9)


@dataclass(frozen=True)
class PhotometricEffect:
    """How the image's values change."""

    blur: int = 0
    """Side of the Gaussian kernel, pixels; 0 = none."""
    contrast: float = 1.0
    brightness: float = 0.0

    def __call__(self, picture: TrainingPicture, size: Size) -> TrainingPicture:
        picture = picture.with_photometry_applied()
        if self.blur:
            blurred_HW3 = cv2.GaussianBlur(picture.image_HW3, (self.blur, self.blur), 0)
            picture = replace(picture, image_HW3=blurred_HW3)
        return replace(picture, contrast=self.contrast, brightness=self.brightness)


def draw_photometric(settings: Photometric, size: Size, generator: np.random.Generator) -> PhotometricEffect:
    blurred = generator.random() < settings.blur
    kernel = BLUR_KERNELS[generator.integers(len(BLUR_KERNELS))] if settings.blur else 0
    return PhotometricEffect(
        kernel if blurred else 0,
        generator.uniform(1 - settings.contrast, 1 + settings.contrast),
        generator.uniform(-settings.brightness, settings.brightness),
    )
