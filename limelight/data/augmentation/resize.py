"""Resizing to the network's input size."""

from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np

from limelight.config.augmentation import Resize
from limelight.data.augmentation.picture import Picture
from limelight.imaging.geometry import stretch
from limelight.models.inputs import Size


@dataclass(frozen=True)
class ResizeEffect:
    """Bilinear for all parts, the mask too (soft edges, as KD-SCFNet trains them); labels take the nearest pixel."""

    def __call__(self, picture: Picture, size: Size) -> Picture:
        return picture.moved(partial(stretch, size=size), partial(_nearest, size=size))


def _nearest(labels_HW: np.ndarray, size: Size) -> np.ndarray:
    # Not INTER_NEAREST, which rounds down: it would shift labels by half a pixel against the image.
    return cv2.resize(labels_HW, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)


def draw_resize(settings: Resize, size: Size, generator: np.random.Generator) -> ResizeEffect:
    return ResizeEffect()
