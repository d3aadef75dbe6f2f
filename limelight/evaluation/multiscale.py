"""Multiscale IoU (Ahmadzadeh et al., ICIP 2021): the share of the true outline that is predicted, from fine to coarse.

Both outlines are laid over grids of cells of 1, 2, 4, ..., 512 pixels. r of a grid is the share of the cells with true
outline that hold predicted outline too, with 1 added to both numbers; MSIoU is the area under r over the grids, spaced
evenly from 0 to 1, by the trapezoidal rule. Predicted outline in other cells costs nothing, and a truth without outline
gives 1 whatever the map: use it beside a measure that counts false positives.

The definition, and on small pictures every bit, is that of PySODMetrics 1.6. That counts cells in 16-bit floats, which
round from 2,048 outline pixels on and are infinite from 65,520 on; here counts are exact. Its curve takes seconds a
picture; here each grid is made from the next finer one.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from limelight.evaluation.levels import LEVELS

GRIDS = 10

Mask = NDArray[np.bool_]
Curve = NDArray[np.float64]


class Outline:
    """The outline of a ground truth, which maps are compared with."""

    def __init__(self, truth_HW: Mask) -> None:
        self._grids = _grids(_outline(truth_HW))

    def msiou(self, called_HW: Mask) -> float:
        """MSIoU of a predicted mask of the truth's size; in (0, 1]."""
        ratios = [
            (int(np.count_nonzero(called & truth)) + 1) / (int(np.count_nonzero(truth)) + 1)
            for called, truth in zip(_grids(_outline(called_HW)), self._grids, strict=True)
        ]
        return float(np.trapezoid(ratios, dx=1 / (GRIDS - 1)))

    def msiou_curve(self, levels_HW: NDArray[np.uint8]) -> Curve:
        """MSIoU of an 8-bit map at 256 thresholds; index j belongs to the threshold 255 - j."""
        by_threshold = np.full(LEVELS, self.msiou(np.zeros(levels_HW.shape, np.bool_)))
        first = 0
        for level in np.unique(levels_HW).tolist():  # thresholds between two levels give the same mask
            by_threshold[first : level + 1] = self.msiou(levels_HW >= level)
            first = level + 1
        return by_threshold[::-1].copy()


def _outline(mask_HW: Mask) -> Mask:
    """Pixels where a Sobel filter answers, with background outside the picture."""
    pixels_HW = mask_HW.view(np.uint8)
    across_HW, down_HW = (cv2.Sobel(pixels_HW, cv2.CV_16S, dx, 1 - dx, borderType=cv2.BORDER_CONSTANT) for dx in (1, 0))
    return cv2.bitwise_or(across_HW, down_HW) != 0


def _grids(outline_HW: Mask) -> list[Mask]:
    """Cells with outline on grids of 1, 2, 4, ... pixels, which begin at the lower right corner."""
    grids = [outline_HW]
    for _ in range(GRIDS - 1):
        fine_HW = grids[-1]
        height, width = fine_HW.shape
        if height % 2 or width % 2:
            fine_HW = np.pad(fine_HW, ((height % 2, 0), (width % 2, 0)))
        rows_hW = fine_HW[::2] | fine_HW[1::2]
        grids.append(rows_hW[:, ::2] | rows_hW[:, 1::2])
    return grids
