"""Precision, recall and F per threshold on the classes' own maps; helps to choose `evaluate.background`.

Dimensions: K classes, h and w of the maps, 256 levels of 8 bits. As for maps of saliency, index j belongs to the
threshold 255 - j.
"""

import numpy as np
from numpy.typing import NDArray

from limelight.evaluation.levels import LEVELS, histogram, precision_recall_f

Counts = NDArray[np.int64]
"""(2, K, 256) pixels at each level of each class's map: those of the class, and all with known truth."""


def level_counts(probability_Khw: NDArray[np.float32], truth_hw: NDArray[np.integer]) -> Counts:
    """Count one image.

    Args:
        probability_Khw: in [0, 1].
        truth_hw: 1 to K, 0 background, below 0 void.
    """
    counts_2K256 = np.zeros((2, len(probability_Khw), LEVELS), np.int64)
    known_hw = truth_hw >= 0
    for index, map_hw in enumerate(probability_Khw):
        levels_hw = (map_hw * (LEVELS - 1)).astype(np.uint8)
        counts_2K256[:, index] = histogram(levels_hw, truth_hw == index + 1), histogram(levels_hw, known_hw)
    return counts_2K256


def mean_curves(counts_2K256: Counts) -> dict[str, NDArray[np.float64]]:
    """Return 'precision', 'recall' and 'f' (beta^2 = 0.3) by threshold: means over the classes present in the truth.

    0 where there is none: nothing was found.
    """
    correct_K256, predicted_K256 = counts_2K256[:, counts_2K256[0].any(1), ::-1].cumsum(2)
    precision, recall, f = precision_recall_f(correct_K256, predicted_K256, correct_K256[:, -1:])
    shown = max(len(f), 1)
    return {"precision": precision.sum(0) / shown, "recall": recall.sum(0) / shown, "f": f.sum(0) / shown}
