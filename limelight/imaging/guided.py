"""The guided filter: borders of a map follow the edges of its picture.

Within a few pixels, a map's logits are taken for a linear function of the picture's grey values (He, Sun, Tang: Guided
Image Filtering, PAMI 2013). That function is fitted at the map's resolution and applied at the picture's (He and Sun:
Fast Guided Filter, arXiv 1505.00996): a border that the network saw coarsely is drawn where the picture has its edge.
Logits keep maps as sure as they were; fitted to probabilities, borders become hazy.
"""

import cv2
import numpy as np

from limelight.imaging.geometry import area, stretch
from limelight.models.inputs import Size

Box = tuple[slice, slice]
"""Rows and columns."""

_REGULARISATION = 1e-3
"""Variance of grey values in [0, 1] below which a neighbourhood counts as flat: its logits are averaged."""
_SUREST = 1e-5
"""Probabilities nearer to 0 or 1 are taken for this: one infinite logit would drown its neighbours."""
_EMPTY = 1 / 512
"""Probability that 8 bits cannot show. Where a map has none above, and none near, it has no border to draw."""
_COARSE = 3
"""Times as large as its map, from which a picture is averaged for the fit; bilinear shrinking costs a tenth."""
_BAND = 512
"""Rows of a large map that are fitted at a time."""
_ROWS = 16
"""Rows of a picture that stay in the processor's cache from step to step."""


def guided(map_hw: np.ndarray, image_HW3: np.ndarray, radius: int) -> np.ndarray:
    """Bring a map to its picture's size, and its borders to the picture's edges.

    Args:
        map_hw: float32 in [0, 1], of any size.
        image_HW3: uint8 RGB.
        radius: of the neighbourhoods, pixels of the map.

    Returns:
        map_HW float32 in [0, 1]; 0 away from what the map shows.
    """
    grey_HW = cv2.cvtColor(image_HW3, cv2.COLOR_RGB2GRAY)
    same = grey_HW.shape == map_hw.shape
    shrink = area if max(grey_HW.shape) > _COARSE * min(map_hw.shape) else stretch
    guide_hw = grey_HW if same else shrink(grey_HW, map_hw.shape)
    shown = _shown(map_hw)
    if shown is None:
        return np.zeros(grey_HW.shape, np.float32)
    slope_HW, offset_HW = np.zeros_like(map_hw, np.float32), np.zeros_like(map_hw, np.float32)
    reach = 2 * radius  # a pixel's fit is the mean of the fits around it, and each of these sees what is around it
    drawn = _wider(shown, reach, map_hw.shape)
    # What is drawn sees as far again. A pixel of a picture smaller than its map covers several of the map's.
    coarseness = max(-(-old // new) for old, new in zip(map_hw.shape, grey_HW.shape, strict=True))
    fitted = _wider(drawn, reach + coarseness, map_hw.shape)
    slope_HW[fitted], offset_HW[fitted] = _fit(map_hw[fitted], guide_hw[fitted], radius)
    if not same:
        slope_HW, offset_HW = stretch(slope_HW, grey_HW.shape), stretch(offset_HW, grey_HW.shape)
    _draw(slope_HW, offset_HW, grey_HW, _at_size(drawn, map_hw.shape, grey_HW.shape))
    return slope_HW


def _shown(map_hw: np.ndarray) -> Box | None:
    """Where a map is not empty; None: it is, everywhere."""
    x, y, width, height = cv2.boundingRect((map_hw > _EMPTY).view(np.uint8))
    return (slice(y, y + height), slice(x, x + width)) if width else None


def _wider(box: Box, margin: int, size: Size) -> Box:
    """A box with a margin, within a map of this size."""
    rows, columns = (
        slice(max(0, side.start - margin), min(length, side.stop + margin))
        for side, length in zip(box, size, strict=True)
    )
    return rows, columns


def _at_size(box: Box, size: Size, other: Size) -> Box:
    """A box in a map of one size, in one of another size; partial pixels count."""
    rows, columns = (
        slice(side.start * new // old, -(-side.stop * new // old))
        for side, old, new in zip(box, size, other, strict=True)
    )
    return rows, columns


def _fit(map_hw: np.ndarray, guide_hw: np.ndarray, radius: int) -> tuple[np.ndarray, np.ndarray]:
    """Slope and offset of the logits over grey values in [0, 1], at each pixel; in bands, whatever the map's size."""
    height, margin = len(map_hw), 2 * radius
    slope_hw, offset_hw = np.empty_like(map_hw, np.float32), np.empty_like(map_hw, np.float32)
    for start in range(0, height, _BAND):
        above, end = max(0, start - margin), min(height, start + _BAND)
        rows = slice(above, min(height, end + margin))
        slopes, offsets = _fit_band(map_hw[rows], guide_hw[rows], radius)
        slope_hw[start:end], offset_hw[start:end] = (
            slopes[start - above :][: end - start],
            offsets[start - above :][: end - start],
        )
    return slope_hw, offset_hw


def _fit_band(map_hw: np.ndarray, guide_hw: np.ndarray, radius: int) -> tuple[np.ndarray, np.ndarray]:
    def mean(values_hw: np.ndarray) -> np.ndarray:
        return cv2.blur(values_hw, (2 * radius + 1, 2 * radius + 1), borderType=cv2.BORDER_REFLECT)

    guide_hw = guide_hw.astype(np.float32) / 255
    logits_hw = _logits(map_hw)
    mean_guide_hw, mean_logits_hw = mean(guide_hw), mean(logits_hw)
    covariance_hw = mean(guide_hw * logits_hw) - mean_guide_hw * mean_logits_hw
    variance_hw = mean(guide_hw * guide_hw) - mean_guide_hw * mean_guide_hw
    slope_hw = covariance_hw / (variance_hw + _REGULARISATION)
    return mean(slope_hw), mean(mean_logits_hw - slope_hw * mean_guide_hw)


def _logits(map_hw: np.ndarray) -> np.ndarray:
    clipped_hw = np.clip(map_hw.astype(np.float32, copy=False), _SUREST, 1 - _SUREST)
    return np.asarray(cv2.log(clipped_hw / (1 - clipped_hw)))


def _draw(slope_HW: np.ndarray, offset_HW: np.ndarray, grey_HW: np.ndarray, box: Box) -> None:
    """Turn slopes, in place, into probabilities; 0 outside the box."""
    rows, columns = box
    for outside in (np.s_[: rows.start], np.s_[rows.stop :], np.s_[:, : columns.start], np.s_[:, columns.stop :]):
        slope_HW[outside] = 0
    for start in range(rows.start, rows.stop, _ROWS):
        band = slice(start, min(start + _ROWS, rows.stop)), columns
        _apply(slope_HW[band], offset_HW[band], grey_HW[band])


def _apply(slope_HW: np.ndarray, offset_HW: np.ndarray, grey_HW: np.ndarray) -> None:
    """Turn slopes, in place, into probabilities."""
    cv2.multiply(slope_HW, grey_HW, slope_HW, scale=-1 / 255, dtype=cv2.CV_32F)
    slope_HW -= offset_HW
    cv2.exp(slope_HW, slope_HW)
    slope_HW += 1
    np.reciprocal(slope_HW, out=slope_HW)
