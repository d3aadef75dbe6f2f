"""A sample on its way through an augmentation."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import cv2
import numpy as np

from limelight.models.inputs import Size

Change = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class TrainingPicture:
    """Image, mask, companion, labels and a teacher's map that are transformed together; all of one size."""

    image_HW3: np.ndarray
    """uint8 RGB."""
    mask_HW: np.ndarray | None = None
    """uint8, 255 = salient."""
    companion_HW: np.ndarray | None = None
    """uint16, spread over the whole range; depth 0 = not measured."""
    labels_HW: np.ndarray | None = None
    """int16."""
    teacher_HW: np.ndarray | None = None
    """uint8, 255 = salient."""
    void: int = -1
    """The label of unknown pixels."""
    modality: str = "rgb"
    lend: "Callable[[float], TrainingPicture] | None" = None
    """Gives another picture with a mask for a number in [0, 1), for operations that mix two; None = there is none."""
    contrast: float = 1.0
    brightness: float = 0.0
    """With `contrast`, still to be applied to the image: value * contrast + brightness, values in [0, 1]. The lookup
    table of the normalisation applies both at no cost, see `limelight.imaging.feeds.levels`."""

    @property
    def size(self) -> Size:
        """Height and width."""
        return self.image_HW3.shape[0], self.image_HW3.shape[1]

    def moved(self, change: Change, change_labels: Change | None = None) -> "TrainingPicture":
        """Apply one change to every part that is present.

        Args:
            change_labels: for the labels, which must not be interpolated (classes 2 and 4 do not average to class 3).
                None = `change`, which then only moves pixels.
        """
        of_labels = change_labels or change
        return replace(
            self,
            image_HW3=change(self.image_HW3),
            mask_HW=None if self.mask_HW is None else change(self.mask_HW),
            companion_HW=None if self.companion_HW is None else change(self.companion_HW),
            labels_HW=None if self.labels_HW is None else of_labels(self.labels_HW),
            teacher_HW=None if self.teacher_HW is None else change(self.teacher_HW),
        )

    def with_photometry_applied(self) -> "TrainingPicture":
        """Apply pending contrast and brightness, rounded to 8 bits, for operations that need the final values."""
        if (self.contrast, self.brightness) == (1.0, 0.0):
            return self
        value = np.arange(256, dtype=np.float32) / 255
        table = np.rint(np.clip(value * self.contrast + self.brightness, 0, 1) * 255).astype(np.uint8)
        return replace(self, image_HW3=cv2.LUT(self.image_HW3, table), contrast=1.0, brightness=0.0)


class Effect(Protocol):
    """An operation's random draw for one sample, as plain values. Applying it changes nothing in place."""

    def __call__(self, picture: TrainingPicture, size: Size) -> TrainingPicture:
        """Return the changed picture.

        Args:
            size: height and width of the network's input, used by 'resize'.
        """
        ...
