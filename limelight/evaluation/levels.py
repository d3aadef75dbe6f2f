"""Exact histograms of 8-bit maps, and what follows from them by threshold: pixel counts, precision, recall and F."""

import cv2
import numpy as np
from numpy.typing import NDArray

LEVELS = 256
MOST_PIXELS = 2**24
"""Counted at a time: OpenCV returns float32, which holds every integer up to this one."""

BETA2 = 0.3
"""Weight of precision in F (Achanta et al., CVPR 2009)."""

Counts = NDArray[np.int64]
"""(256,) pixels."""
Curve = NDArray[np.float64]


def histogram(levels_HW: NDArray[np.uint8], where_HW: NDArray[np.bool_] | None = None) -> Counts:
    """Count the pixels of each level; several times as fast as `np.bincount`, which converts to 64-bit numbers first.

    Args:
        levels_HW: 0 to 255.
        where_HW: the pixels that count; None = all.
    """
    counts_256 = np.zeros(LEVELS, np.int64)
    if levels_HW.size == 0:  # OpenCV refuses it
        return counts_256
    rows = max(MOST_PIXELS // levels_HW.shape[1], 1)
    for top in range(0, len(levels_HW), rows):
        mask = None if where_HW is None else where_HW[top : top + rows].view(np.uint8)
        part_256 = cv2.calcHist([levels_HW[top : top + rows]], [0], mask, [LEVELS], [0, LEVELS])
        counts_256 += part_256[:, 0].astype(np.int64)
    return counts_256


def at_thresholds(histogram_256: Counts) -> Counts:
    """Count the pixels at or above each threshold; index j belongs to the threshold 255 - j."""
    return np.cumsum(histogram_256[::-1])


def precision_recall_f(
    true_T: NDArray[np.int64], called_T: NDArray[np.int64], salient: NDArray[np.int64] | int
) -> tuple[Curve, Curve, Curve]:
    """Compute precision, recall and F (beta^2 = 0.3) per threshold, in [0, 1]; 0 where no salient pixel is found.

    Args:
        true_T: salient pixels that are called salient at each threshold.
        called_T: all pixels that are called salient.
        salient: all salient pixels.
    """
    precision, recall = true_T / np.maximum(called_T, 1), true_T / np.maximum(salient, 1)
    weighted = BETA2 * precision + recall
    return precision, recall, (1 + BETA2) * precision * recall / np.where(weighted == 0, 1, weighted)
