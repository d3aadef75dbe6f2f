"""Blur, contrast and brightness of the image."""

from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
from pydantic import Field

from limelight.data.augmentation.picture import Picture
from limelight.data.augmentation.step import Step
from limelight.models.inputs import Size

BLUR_KERNELS = (3, 5, 7, 9)


@dataclass(frozen=True)
class PhotometricEffect:
    """How the image's values change."""

    blur: int = 0
    """Side of the Gaussian kernel, pixels; 0 = none."""
    contrast: float = 1.0
    brightness: float = 0.0

    def __call__(self, picture: Picture, size: Size) -> Picture:
        picture = picture.settled()
        if self.blur:
            blurred_HW3 = cv2.GaussianBlur(picture.image_HW3, (self.blur, self.blur), 0)
            picture = replace(picture, image_HW3=blurred_HW3)
        return replace(picture, contrast=self.contrast, brightness=self.brightness)


class Photometric(Step):
    """Blur the image, then change its contrast and brightness (KD-SCFNet's form)."""

    name: Literal["photometric"] = "photometric"
    blur: float = Field(default=0.0, ge=0, le=1, description="probability of a Gaussian blur, kernel 3 to 9")
    contrast: float = Field(default=0.0, ge=0, lt=1, description="factor drawn from [1 - c, 1 + c]")
    brightness: float = Field(default=0.0, ge=0, lt=1, description="offset drawn from [-b, b], image in [0, 1]")

    @property
    def before_resize(self) -> bool:
        return self.blur > 0

    def draw(self, size: Size, generator: np.random.Generator) -> PhotometricEffect:
        blurred = generator.random() < self.blur
        return PhotometricEffect(
            BLUR_KERNELS[generator.integers(len(BLUR_KERNELS))] if blurred else 0,
            generator.uniform(1 - self.contrast, 1 + self.contrast),
            generator.uniform(-self.brightness, self.brightness),
        )
