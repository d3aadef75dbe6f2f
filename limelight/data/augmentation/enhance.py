"""Contrast, brightness and sharpness as Pillow defines them."""

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageEnhance

from limelight.config.augmentation import Enhance
from limelight.data.augmentation.picture import TrainingPicture
from limelight.models.inputs import Size

KINDS = (ImageEnhance.Contrast, ImageEnhance.Brightness, ImageEnhance.Sharpness)


@dataclass(frozen=True)
class EnhanceEffect:
    """Changes of the image, in order."""

    changes: tuple[tuple[int, float], ...] = ()
    """(index into `KINDS`, factor) pairs."""

    def __call__(self, picture: TrainingPicture, size: Size) -> TrainingPicture:
        if not self.changes:
            return picture
        applied = picture.with_photometry_applied()
        image = Image.fromarray(applied.image_HW3)
        for kind, factor in self.changes:
            image = KINDS[kind](image).enhance(factor)
        return replace(applied, image_HW3=np.asarray(image))


def draw_enhancement(settings: Enhance, size: Size, generator: np.random.Generator) -> EnhanceEffect:
    drawn = []
    for kind in generator.permutation(len(KINDS)).tolist():
        chosen, factor = generator.random() < settings.probability, generator.uniform(settings.least, settings.most)
        if chosen:
            drawn.append((kind, factor))
    return EnhanceEffect(tuple(drawn))
