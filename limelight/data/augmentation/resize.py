"""Resizing to the network's input size."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from limelight.config.augmentation import Resize
from limelight.data.augmentation.picture import TrainingPicture
from limelight.imaging.geometry import nearest, stretch
from limelight.models.inputs import Size


@dataclass(frozen=True)
class ResizeEffect:
    """Bilinear for all parts, the mask too (soft edges, as KD-SCFNet trains them); labels take the nearest pixel."""

    def __call__(self, picture: TrainingPicture, size: Size) -> TrainingPicture:
        return picture.moved(partial(stretch, size=size), partial(nearest, size=size))


def draw_resize(settings: Resize, size: Size, generator: np.random.Generator) -> ResizeEffect:
    return ResizeEffect()
