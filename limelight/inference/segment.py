"""Open-vocabulary segmentation: from one map per class to a label per pixel.

Dimensions: K classes, H height, W width of the result, h and w of the network's input.
"""

from dataclasses import dataclass

import numpy as np

from limelight.foundation.errors import UserError
from limelight.imaging.geometry import to_picture

BACKGROUND = 0.5


@dataclass(frozen=True)
class Segmentation:
    """The predicted class of each pixel of one picture."""

    labels_HW: np.ndarray
    """int16 at the picture's own size: 1 to K, the most probable class; 0 where none is probable enough."""
    classes: tuple[str, ...]
    """In the order requested; label n is classes[n - 1]."""
    probability_Khw: np.ndarray
    """float32 in [0, 1], one map per class, at the network's input size."""
    milliseconds: dict[str, float]
    """Time for this picture: 'pre' (resize, normalise), 'net' (its share of its batch), 'post' (resize, choose)."""
    uncertainty_HW: np.ndarray | None = None
    """float32 in [0, 0.5]: disagreement of an ensemble about each pixel's class; see `label_uncertainty`. Else None."""

    def probability_HW(self, name: str) -> np.ndarray:
        """Return one class's probability, float32 in [0, 1], at the labels' size.

        Raises:
            UserError: the class was not requested.
        """
        if name not in self.classes:
            raise UserError(f"{name!r} was not asked for; choose one of {', '.join(self.classes)}")
        return to_picture(self.probability_Khw[self.classes.index(name)], self.labels_HW.shape)

    @property
    def probability_KHW(self) -> np.ndarray:
        """Return all classes' probabilities, float32 in [0, 1], at the labels' size: 4 bytes per class and pixel."""
        return np.stack([to_picture(map_hw, self.labels_HW.shape) for map_hw in self.probability_Khw])


def segmentation(
    probability_Khw: np.ndarray,
    uncertainty_Khw: np.ndarray | None,
    size: tuple[int, int],
    milliseconds: dict[str, float],
    *,
    classes: tuple[str, ...],
    background: float,
) -> Segmentation:
    """Turn a network's maps into a result at (height, width); for `background` see `most_probable`."""
    labels_HW = most_probable(probability_Khw, size, background)
    uncertainty_HW = None if uncertainty_Khw is None else label_uncertainty(uncertainty_Khw, labels_HW)
    return Segmentation(labels_HW, classes, probability_Khw, milliseconds, uncertainty_HW)


def most_probable(probability_Khw: np.ndarray, size: tuple[int, int], threshold: float) -> np.ndarray:
    """Label each pixel of a picture with its most probable class, from maps of another size.

    Returns labels_HW int16 at (height, width): 1 to K, the first class on ties; 0 where all are below `threshold`.
    The maps are resized one after another, so that hundreds of classes of a large photo fit into memory.
    """
    best_HW = np.full(size, np.float32(threshold))
    labels_HW = np.zeros(size, np.int16)
    for label, map_hw in enumerate(probability_Khw, start=1):
        map_HW = to_picture(map_hw, size)
        # The first class may equal the threshold, a later one must exceed the best so far.
        better_HW = (map_HW > best_HW) | ((map_HW == best_HW) & (labels_HW == 0))
        labels_HW[better_HW], best_HW[better_HW] = label, map_HW[better_HW]
    return labels_HW


def label_uncertainty(uncertainty_Khw: np.ndarray, labels_HW: np.ndarray) -> np.ndarray:
    """Return uncertainty_HW float32: that of each pixel's class; on background, of the most uncertain class."""
    uncertainty_HW = to_picture(uncertainty_Khw.max(0), labels_HW.shape)
    for label in np.unique(labels_HW[labels_HW > 0]):
        where_HW = labels_HW == label
        uncertainty_HW[where_HW] = to_picture(uncertainty_Khw[label - 1], labels_HW.shape)[where_HW]
    return uncertainty_HW
