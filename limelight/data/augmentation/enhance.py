"""Contrast, brightness and sharpness as Pillow knows them."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from PIL import Image, ImageEnhance
from pydantic import Field

from limelight.data.augmentation.picture import Picture
from limelight.data.augmentation.step import Step
from limelight.models.inputs import Size

KINDS = (ImageEnhance.Contrast, ImageEnhance.Brightness, ImageEnhance.Sharpness)


@dataclass(frozen=True)
class EnhanceEffect:
    """What is done to the image, in order."""

    changes: tuple[tuple[int, float], ...] = ()
    """Places in `KINDS` and factors."""

    def __call__(self, picture: Picture, size: Size) -> Picture:
        if not self.changes:
            return picture
        settled = picture.settled()
        image = Image.fromarray(settled.image_HW3)
        for kind, factor in self.changes:
            image = KINDS[kind](image).enhance(factor)
        return replace(settled, image_HW3=np.asarray(image))


class Enhance(Step):
    """Contrast (about the mean), brightness and sharpness of the image, in random order (InSPyReNet's form)."""

    name: Literal["enhance"] = "enhance"
    probability: float = Field(default=0.5, ge=0, le=1, description="of each of the three")
    least: float = Field(default=1.0, gt=0, description="factor; 1 changes nothing")
    most: float = Field(default=1.1, gt=0)

    def draw(self, size: Size, generator: np.random.Generator) -> EnhanceEffect:
        drawn = []
        for kind in generator.permutation(len(KINDS)).tolist():
            chosen, factor = generator.random() < self.probability, generator.uniform(self.least, self.most)
            if chosen:
                drawn.append((kind, factor))
        return EnhanceEffect(tuple(drawn))
