"""Inversion of depth and thermal companions."""

from dataclasses import dataclass, replace

import numpy as np

from limelight.config.augmentation import InvertCompanion
from limelight.data.augmentation.picture import TrainingPicture
from limelight.imaging.companions import NEAREST
from limelight.models.inputs import Size


@dataclass(frozen=True)
class InvertEffect:
    """Whether to swap near and far, or cold and warm."""

    inverted: bool = False

    def __call__(self, picture: TrainingPicture, size: Size) -> TrainingPicture:
        if not self.inverted or picture.companion_HW is None:
            return picture
        return replace(picture, companion_HW=inverted(picture.companion_HW, picture.modality))


def inverted(companion_HW: np.ndarray, modality: str) -> np.ndarray:
    """Invert a companion, as a sensor of the opposite polarity records it.

    Args:
        companion_HW: uint16 after `limelight.imaging.companions.spread`; depth of 0, not measured, stays 0.
        modality: 'rgbd' or 'rgbt'.
    """
    full = np.iinfo(companion_HW.dtype).max
    if modality != "rgbd":
        return full - companion_HW
    turned_HW = np.clip(round((1 + NEAREST) * full) - companion_HW.astype(np.int32), 0, full)
    return np.where(companion_HW > 0, turned_HW, 0).astype(companion_HW.dtype)


def draw_inversion(settings: InvertCompanion, size: Size, generator: np.random.Generator) -> InvertEffect:
    return InvertEffect(generator.random() < settings.probability)
