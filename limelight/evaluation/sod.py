"""Metrics of salient object detection for one image, in one pass: the nine of PySODMetrics, IoUs and mBA.

Slow ones are computed on request: multiscale IoU and human correction effort.

The nine equal PySODMetrics 1.6's bit for bit (tests/evaluation/test_sod.py holds them to that), at about a third of
its time, because what the measures share (normalised map, histograms, errors, distances) is computed once and because
the weighted F-measure blurs only where the result is used. Importing this costs NumPy, SciPy's
ndimage and OpenCV: worker processes start quickly.

Conventions of the field: the map is 8 bit, stretched to [0, 1] per image unless it is constant; the ground truth is
salient where its grey value exceeds 128. IoU at one threshold and mBA use the map unstretched: stretching would turn an
almost empty one into noise.
"""

from collections.abc import Collection
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve, distance_transform_edt

from limelight.config import SlowMeasure
from limelight.evaluation.correction_effort import correction_effort
from limelight.evaluation.levels import Curve, at_thresholds, histogram, precision_recall_f
from limelight.evaluation.multiscale import Outline
from limelight.evaluation.overlap import boundary_iou_curve, iou_curve, thin_iou_curve

EPS = np.spacing(1)
HALF = 128
"""IoU: 8-bit value from which a pixel counts as salient."""
HALF_DECAY = np.log(0.5) / 5
"""wF: a false positive weighs 2 - exp(HALF_DECAY * distance), halfway from 1 to 2 at 5 pixels from the object."""
REACH = 3
"""Half the width of wF's 7 x 7 window."""
BANDS = 5
"""Widths of mBA's bands."""
EXACT_IN_FLOAT32 = 2**21
"""Squared distances below this survive the float32 square root of OpenCV's transform when rounded."""

Map = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class ImageScores:
    """Metrics of one image. Curves hold 256 values; index j belongs to the threshold 255 - j of the 8-bit map."""

    Sm: float
    mae: float
    adpEm: float
    adpFm: float
    wFm: float
    iou: float
    mba: float
    """NaN where the ground truth has no boundary."""
    precision_256: NDArray[np.float64]
    recall_256: NDArray[np.float64]
    f_256: NDArray[np.float64]
    e_256: NDArray[np.float64]
    iou_256: NDArray[np.float64]
    biou_256: NDArray[np.float64]
    """Boundary IoU."""
    tiou_256: NDArray[np.float64]
    """Thin IoU."""
    empty: bool
    """The ground truth has no salient pixel: F, wF and the curves of IoU are 0; S, E and `iou` reward an empty map."""
    full: bool
    """Every pixel of the ground truth is salient: S is the map's mean, E the share called salient."""
    adpMSIoU: float | None = None
    msiou_256: NDArray[np.float64] | None = None
    """Multiscale IoU; None unless requested, as is `hce`."""
    hce: float | None = None
    """Human correction effort, in clicks."""


def score_image(
    saliency_HW: NDArray[np.uint8], truth_HW: NDArray[np.uint8], slow: Collection[SlowMeasure] = ()
) -> ImageScores:
    """Compute the metrics of one map.

    Args:
        saliency_HW: 0 to 255.
        truth_HW: grey mask of the same size, salient where > 128.
        slow: the slow measures to compute too.

    Raises:
        ValueError: the sizes differ.
    """
    if saliency_HW.shape != truth_HW.shape:
        raise ValueError(f"map is {saliency_HW.shape}, ground truth {truth_HW.shape}")
    fg = is_salient(truth_HW)
    p = saliency_HW / 255
    low, high = p.min(), p.max()
    if high != low:
        p = (p - low) / (high - low)
    salient = int(np.count_nonzero(fg))
    error = np.abs(p - fg)
    levels_HW = (p * 255).astype(np.uint8)
    counts = _Counts.of(levels_HW, fg, salient)
    precision, recall, f = counts.precision_recall_f()
    threshold = min(2 * p.mean(), 1)
    adaptive = counts.at(p, fg, threshold)
    outline = Outline(fg) if "msiou" in slow else None
    return ImageScores(
        Sm=float(_structure(p, fg, salient)),
        mae=float(np.mean(error)),
        adpEm=float(_alignment(adaptive)),
        adpFm=float(adaptive.precision_recall_f()[2]),
        wFm=float(_weighted_f(error, fg)) if salient else 0.0,
        iou=_iou(saliency_HW >= HALF, fg, salient),
        mba=boundary_accuracy(saliency_HW > HALF, fg),
        precision_256=precision,
        recall_256=recall,
        f_256=f,
        e_256=np.asarray(_alignment(counts)),
        iou_256=iou_curve(np.asarray(counts.true_T), np.asarray(counts.true_T + counts.false_T), salient),
        biou_256=boundary_iou_curve(levels_HW, fg),
        tiou_256=thin_iou_curve(levels_HW, fg),
        empty=salient == 0,
        full=salient == fg.size,
        adpMSIoU=outline.msiou(p >= threshold) if outline else None,
        msiou_256=outline.msiou_curve(levels_HW) if outline else None,
        hce=float(correction_effort(p, fg)) if "hce" in slow else None,
    )


def is_salient(truth_HW: NDArray[np.uint8]) -> Mask:
    """Where a mask from 0 to 255 calls the pixel salient, as PySODMetrics cuts it."""
    return truth_HW > 128


def boundary_accuracy(called_HW: Mask, truth_HW: Mask) -> float:
    """Compute the mean boundary accuracy (Cheng et al., CVPR 2020, CascadePSP), as InSPyReNet does.

    It is the share of pixels that agree in a band about the true boundary, a mean over bands of five widths, from 1
    pixel to a 300th of height plus width on either side. NaN where the truth has no boundary.
    """
    widest = sum(truth_HW.shape) / 300
    agree_HW, mask_HW = called_HW == truth_HW, truth_HW.astype(np.uint8)
    shares = []
    for step in range(BANDS):
        side = 2 * (1 + int((widest - 1) / BANDS * step)) + 1
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
        band_HW = cv2.morphologyEx(mask_HW, cv2.MORPH_GRADIENT, kernel) > 0
        if not band_HW.any():
            return float("nan")
        shares.append(agree_HW[band_HW].mean())
    return float(np.mean(shares))


@dataclass(frozen=True)
class _Counts:
    """Pixels predicted salient at one threshold (int) or at T (arrays), by their ground truth."""

    true_T: NDArray[np.int64] | int
    false_T: NDArray[np.int64] | int
    salient: int
    size: int

    @classmethod
    def of(cls, levels_HW: NDArray[np.uint8], fg: Mask, salient: int) -> "_Counts":
        """Count at the 256 thresholds 255, 254, ..., 0."""
        true_T = at_thresholds(histogram(levels_HW, fg))
        return cls(true_T, at_thresholds(histogram(levels_HW)) - true_T, salient, fg.size)

    def at(self, p: Map, fg: Mask, threshold: float) -> "_Counts":
        """Count at one threshold in [0, 1]."""
        called = p >= threshold
        true = int(np.count_nonzero(called & fg))
        return _Counts(true, int(np.count_nonzero(called)) - true, self.salient, self.size)

    def precision_recall_f(self) -> tuple[Curve, Curve, Curve]:
        """See `limelight.evaluation.levels.precision_recall_f`."""
        return precision_recall_f(np.asarray(self.true_T), np.asarray(self.true_T + self.false_T), self.salient)


def _alignment(counts: _Counts) -> NDArray[np.float64] | float:
    """E-measure per threshold (Fan et al., IJCAI 2018), from counts alone.

    E = sum over pixels of (phi + 1)^2 / 4, divided by N - 1, with phi = 2ab / (a^2 + b^2) of the binary map a and the
    ground truth b, each less its mean. There are only four kinds of pixel, and phi is constant on each.
    """
    positive = counts.true_T + counts.false_T
    negative = counts.size - positive
    if counts.salient == 0:
        total = negative
    elif counts.salient == counts.size:
        total = positive
    else:
        missed = counts.salient - counts.true_T
        called_mean, truth_mean = positive / counts.size, counts.salient / counts.size
        called_fg, called_bg = 1 - called_mean, 0 - called_mean
        truth_fg, truth_bg = 1 - truth_mean, 0 - truth_mean
        total = 0
        for pixels, a, b in (
            (counts.true_T, called_fg, truth_fg),
            (counts.false_T, called_fg, truth_bg),
            (missed, called_bg, truth_fg),
            (negative - missed, called_bg, truth_bg),
        ):
            phi = 2 * (a * b) / (a**2 + b**2 + EPS)
            total = total + (phi + 1) ** 2 / 4 * pixels
    return total / (counts.size - 1 + EPS)


def _iou(called: Mask, fg: Mask, salient: int) -> float:
    """|A and B| / |A or B|; 1 where both are empty."""
    both = int(np.count_nonzero(called & fg))
    union = int(np.count_nonzero(called)) + salient - both
    return both / union if union else 1.0


def _structure(p: Map, fg: Mask, salient: int) -> float:
    """S-measure (Fan et al., ICCV 2017): S = 0.5 S_object + 0.5 S_region, not below 0.

    S_object = m O(p on fg) + (1 - m) O(1 - p on bg), m the salient share.
    """
    if salient == 0:
        return float(1 - np.mean(p))
    if salient == fg.size:
        return float(np.mean(p))
    share = np.mean(fg)
    objects = _object(p[fg]) * share + _object(1 - p[~fg]) * (1 - share)
    return np.maximum(0, objects * 0.5 + _regions(p, fg, salient) * 0.5)


def _object(x_N: Map) -> float:
    """O = 2 mean / (mean^2 + 1 + deviation)."""
    mean = np.mean(x_N)
    deviation = np.std(x_N, ddof=1) if x_N.size > 1 else 0
    return 2 * mean / (np.power(mean, 2) + 1 + deviation + EPS)


def _regions(p: Map, fg: Mask, salient: int) -> float:
    """S_region: similarity of the four quadrants around the ground truth's centroid, weighted by their area."""
    height, width = fg.shape
    centre_y = np.dot(np.count_nonzero(fg, axis=1), np.arange(height)) / salient
    centre_x = np.dot(np.count_nonzero(fg, axis=0), np.arange(width)) / salient
    y, x = int(np.round(centre_y)) + 1, int(np.round(centre_x)) + 1  # + 1: MATLAB's 1:X contains X
    area = height * width
    weights = [x * y / area, y * (width - x) / area, (height - y) * x / area]
    weights.append(1 - weights[0] - weights[1] - weights[2])
    quadrants = (np.s_[:y, :x], np.s_[:y, x:], np.s_[y:, :x], np.s_[y:, x:])
    total = 0.0
    for weight, quadrant in zip(weights, quadrants, strict=True):
        total = total + _similarity(p[quadrant], fg[quadrant]) * weight
    return total


def _similarity(p: Map, fg: Mask) -> float:
    """SSIM of a whole quadrant, without constants: 4 mean_p mean_g cov / ((mean_p^2 + mean_g^2)(var_p + var_g))."""
    if p.size == 0:  # the centroid lies on the last row or column: PySODMetrics divides 0 by 0
        return np.nan
    mean_p, mean_fg = np.mean(p), np.mean(fg)
    off_p, off_fg = p - mean_p, fg - mean_fg
    degrees = p.size - 1 + EPS
    variance_p, variance_fg = np.sum(off_p**2) / degrees, np.sum(off_fg**2) / degrees
    covariance = np.sum(off_p * off_fg) / degrees
    numerator = 4 * mean_p * mean_fg * covariance
    denominator = (mean_p**2 + mean_fg**2) * (variance_p + variance_fg)
    if numerator != 0:
        return numerator / (denominator + EPS)
    return 1 if denominator == 0 else 0


def _weighted_f(error: Map, fg: Mask) -> float:
    """Weighted F-measure with beta = 1 (Margolin et al., CVPR 2014); `fg` has a salient pixel.

    F = 2PR / (P + R) of the weighted errors e_w: R = 1 - mean(e_w on fg), P = TP / (TP + sum(e_w on bg)),
    TP = sum(1 - e_w on fg).

    Background errors count as those of the nearest salient pixel when the error is blurred, and the blurred error
    replaces a salient pixel's own where it is smaller. Only salient pixels use the blur, so blur and nearest pixels
    are computed in the salient pixels' bounding box, grown by the window's reach.
    """
    bg = ~fg
    rows, columns = np.flatnonzero(fg.any(axis=1)), np.flatnonzero(fg.any(axis=0))
    box = np.s_[max(rows[0] - REACH, 0) : rows[-1] + REACH + 1, max(columns[0] - REACH, 0) : columns[-1] + REACH + 1]
    error_box, bg_box = error[box], bg[box]
    nearest_y, nearest_x = distance_transform_edt(bg_box, return_distances=False, return_indices=True)
    moved = error_box[nearest_y, nearest_x]  # a salient pixel's nearest is itself
    blurred = convolve(moved, _WINDOW, mode="constant", cval=0)
    fg_error = np.minimum(blurred, error_box)[~bg_box]
    bg_error = error[bg] * (2 - np.exp(HALF_DECAY * _distance(bg)[bg]))

    false_positive = np.sum(bg_error)
    true_positive = fg_error.size - np.sum(fg_error)
    recall = 1 - np.mean(fg_error)
    precision = true_positive / (true_positive + false_positive + EPS)
    return 2 * recall * precision / (recall + precision + EPS)


def _distance(bg: Mask) -> Map:
    """Exact Euclidean distance of every pixel to the nearest that is not background, pixels."""
    height, width = bg.shape
    if height * height + width * width >= EXACT_IN_FLOAT32:
        return distance_transform_edt(bg)
    rounded = cv2.distanceTransform(bg.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.sqrt(np.rint(np.square(rounded, dtype=np.float64)))


def _gaussian_window() -> Map:
    sigma = 5.0
    axis = np.arange(-REACH, REACH + 1)
    window = np.exp(-(axis**2 + axis[:, None] ** 2) / (2 * sigma**2))
    return window / window.sum()


_WINDOW = _gaussian_window()
