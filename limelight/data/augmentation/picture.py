"""A sample on its way through an augmentation."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import cv2
import numpy as np

from limelight.models.inputs import Size

Change = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Picture:
    """What moves together, all of one size."""

    image_HW3: np.ndarray
    """uint8 RGB."""
    mask_HW: np.ndarray | None = None
    """uint8, 255 = salient."""
    companion_HW: np.ndarray | None = None
    """uint16, spread over the whole range; depth of 0 was not measured."""
    labels_HW: np.ndarray | None = None
    """int16."""
    void: int = -1
    """The label of what is not known."""
    modality: str = "rgb"
    contrast: float = 1.0
    brightness: float = 0.0
    """Still to be done to the image: value * contrast + brightness, of values in [0, 1]. The table of normalisation
    does it at no cost, see `limelight.imaging.feeds.levels`."""

    @property
    def size(self) -> Size:
        """Height and width."""
        return self.image_HW3.shape[0], self.image_HW3.shape[1]

    def moved(self, change: Change, change_labels: Change | None = None) -> "Picture":
        """The same change of every part that there is.

        Args:
            change_labels: of the labels, which must not be mixed: half of class 2 and half of class 4 is no class 3.
                None = `change` only moves pixels, and will do.
        """
        of_labels = change_labels or change
        return replace(
            self,
            image_HW3=change(self.image_HW3),
            mask_HW=None if self.mask_HW is None else change(self.mask_HW),
            companion_HW=None if self.companion_HW is None else change(self.companion_HW),
            labels_HW=None if self.labels_HW is None else of_labels(self.labels_HW),
        )

    def settled(self) -> "Picture":
        """The same with contrast and brightness done, for what needs the values as they are; rounded to 8 bits."""
        if (self.contrast, self.brightness) == (1.0, 0.0):
            return self
        value = np.arange(256, dtype=np.float32) / 255
        table = np.rint(np.clip(value * self.contrast + self.brightness, 0, 1) * 255).astype(np.uint8)
        return replace(self, image_HW3=cv2.LUT(self.image_HW3, table), contrast=1.0, brightness=0.0)


class Effect(Protocol):
    """What an operation has drawn for one sample, as plain values. Applied, it changes nothing in place."""

    def __call__(self, picture: Picture, size: Size) -> Picture:
        """The picture changed.

        Args:
            size: height and width that the network is fed with, of 'resize'.
        """
        ...
