"""Intersection over union (IoU) by threshold: of whole masks, of their boundaries, and near the true boundary.

Every curve holds 256 values; index j belongs to the threshold t = 255 - j, at which the pixels of the 8-bit map that
are at least t are predicted salient. As PySODMetrics' IoU, a curve is 0 where neither side has a pixel to compare.

The curves of the two boundary measures need no loop over the thresholds: a minimum filter commutes with thresholding,
so erosion of the mask at t leaves the pixels whose filtered level is at least t.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from limelight.evaluation.levels import Counts, at_thresholds, histogram

BOUNDARY = 0.02
"""Width of the band of boundary IoU, as share of the picture's diagonal (Cheng et al., CVPR 2021)."""
THIN = 0.001
"""The same of thin IoU (InSPyReNet's evaluation)."""

Levels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Curve = NDArray[np.float64]


def iou_curve(true_T: Counts, predicted_T: Counts, salient: int) -> Curve:
    """IoU of the map at each threshold and the ground truth.

    Args:
        true_T: predicted pixels that are salient.
        predicted_T: predicted pixels.
        salient: pixels of the ground truth.
    """
    return true_T / np.maximum(predicted_T + salient - true_T, 1)


def boundary_iou_curve(levels_HW: Levels, truth_HW: Mask) -> Curve:
    """Boundary IoU (Cheng et al., CVPR 2021): IoU of both masks' inner boundary bands.

    |(G_d and G) and (P_d and P)| / |(G_d and G) or (P_d and P)|, with G_d and P_d the pixels within d of the contours
    of truth and prediction: 2 % of the picture's diagonal, at least 1 pixel, in chessboard distance as in the authors'
    code. A mask that the picture's edge cuts off has its contour there.

    InSPyReNet's evaluation thresholds the difference between the map and its grey-level erosion instead, which is not
    the band of any thresholded map: a soft edge has no pixel in it at high thresholds. Here each threshold has the band
    of its own mask.

    Args:
        levels_HW: 8-bit map.
        truth_HW: ground truth of the same size.
    """
    reach = _reach(truth_HW, BOUNDARY)
    band_HW = truth_HW & ~_eroded_mask(truth_HW, reach)
    # Whatever the threshold, no pixel nearer than this to the picture's edge outlives the erosion.
    inside = np.s_[reach:-reach, reach:-reach]
    core_hw = _eroded(levels_HW, reach)[inside]
    true_T = at_thresholds(histogram(levels_HW, band_HW) - histogram(core_hw, band_HW[inside]))
    predicted_T = at_thresholds(histogram(levels_HW) - histogram(core_hw))
    return iou_curve(true_T, predicted_T, int(np.count_nonzero(band_HW)))


def thin_iou_curve(levels_HW: Levels, truth_HW: Mask) -> Curve:
    """Thin IoU: IoU of truth and prediction near the true boundary (Trimap IoU in Cheng et al., CVPR 2021).

    |(G_d and G) and (G_d and P)| / |(G_d and G) or (G_d and P)|, with G_d the pixels within d of the contour of the
    truth, on either side: 0.1 % of the picture's diagonal, at least 1 pixel, in chessboard distance.

    InSPyReNet's evaluation looks at the inner side alone, where nothing can be predicted wrongly: what it calls IoU is
    a recall, 1 for a map that is white everywhere. Here false positives on the outer side count.

    Args:
        levels_HW: 8-bit map.
        truth_HW: ground truth of the same size.
    """
    reach = _reach(truth_HW, THIN)
    inner_HW = truth_HW & ~_eroded_mask(truth_HW, reach)
    outer_HW = _dilated_mask(truth_HW, reach) & ~truth_HW
    true_T, false_T = (at_thresholds(histogram(levels_HW, side_HW)) for side_HW in (inner_HW, outer_HW))
    return iou_curve(true_T, true_T + false_T, int(np.count_nonzero(inner_HW)))


def _reach(truth_HW: Mask, share: float) -> int:
    return max(1, round(share * float(np.hypot(*truth_HW.shape))))


def _eroded(levels_HW: Levels, reach: int) -> Levels:
    """Minimum over squares that reach so many pixels to each side; outside the picture is 0."""
    eroded_HW = cv2.erode(levels_HW, _square(reach), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(eroded_HW, np.uint8)


def _eroded_mask(mask_HW: Mask, reach: int) -> Mask:
    return _eroded(mask_HW.view(np.uint8), reach).view(np.bool_)


def _dilated_mask(mask_HW: Mask, reach: int) -> Mask:
    return np.asarray(cv2.dilate(mask_HW.view(np.uint8), _square(reach)), np.uint8).view(np.bool_)


def _square(reach: int) -> NDArray[np.uint8]:
    return np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
