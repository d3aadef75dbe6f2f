"""Companions as a sensor of the other polarity has them."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from pydantic import Field

from limelight.data.augmentation.picture import Picture
from limelight.data.augmentation.step import Step
from limelight.imaging.companions import NEAREST
from limelight.models.inputs import Size


@dataclass(frozen=True)
class InvertEffect:
    """Whether near and far, or cold and warm, change places."""

    inverted: bool = False

    def __call__(self, picture: Picture, size: Size) -> Picture:
        if not self.inverted or picture.companion_HW is None:
            return picture
        return replace(picture, companion_HW=inverted(picture.companion_HW, picture.modality))


class InvertCompanion(Step):
    """Invert depth or thermal pictures: datasets disagree on whether near is small or large."""

    name: Literal["invert-companion"] = "invert-companion"
    probability: float = Field(default=0.5, ge=0, le=1)

    def draw(self, size: Size, generator: np.random.Generator) -> InvertEffect:
        return InvertEffect(generator.random() < self.probability)


def inverted(companion_HW: np.ndarray, modality: str) -> np.ndarray:
    """A companion as a sensor of the other polarity has it.

    Args:
        companion_HW: uint16 after `limelight.imaging.companions.spread`; depth of 0, not measured, stays 0.
        modality: 'rgbd' or 'rgbt'.
    """
    full = np.iinfo(companion_HW.dtype).max
    if modality != "rgbd":
        return full - companion_HW
    turned_HW = np.clip(round((1 + NEAREST) * full) - companion_HW.astype(np.int32), 0, full)
    return np.where(companion_HW > 0, turned_HW, 0).astype(companion_HW.dtype)
