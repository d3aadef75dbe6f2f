"""Companions of a picture (depth, thermal pictures, masks): check that they match it, and prepare them as input."""

import cv2
import numpy as np

from limelight.foundation.errors import UserError
from limelight.models.inputs import Size

NEAREST = 1 / 16
"""Value that the smallest depth reading is mapped to; see `spread`."""
ENOUGH_READINGS = 250_000
"""Number of readings that suffice to estimate percentiles."""
ASPECT_TOLERANCE = 0.02


def fit_companion(companion_HW: np.ndarray, image_size: Size, label: str = "the companion") -> np.ndarray:
    """Resize a depth or thermal picture to its picture's size, and check that it holds a reading.

    Args:
        companion_HW: uint8, uint16, or float in [0, 1]; of any size with its picture's proportions.
        image_size: (height, width) of its picture.
        label: named in the errors.

    Returns:
        companion_HW float32 in [0, 1], as a fraction of its type's range.

    Raises:
        UserError: another kind of array, values outside the range, all values equal, or different proportions.
    """
    share_HW = _share(companion_HW, label)
    return share_HW if share_HW.shape == image_size else fit_to(share_HW, image_size, label)


def spread(companion_HW: np.ndarray, modality: str) -> np.ndarray:
    """Stretch a depth or thermal picture to the whole of [0, 1], whatever the sensor's unit and bit depth.

    Millimetres in 16 bits use a twentieth of the range, too little contrast for a network. The ends are the 0.5th and
    99.5th percentile, so that single outliers do not set them. Depth 0 means that nothing was measured: it stays 0,
    and the readings begin at `NEAREST`.

    Args:
        companion_HW: float32 in [0, 1].
        modality: 'rgbd' or 'rgbt'.

    Returns:
        companion_HW float32 in [0, 1]; unchanged if both ends are equal.
    """
    read_HW = companion_HW > 0 if modality == "rgbd" else np.ones(companion_HW.shape, bool)
    readings = companion_HW[read_HW]
    low, high = (
        np.percentile(readings[:: max(1, readings.size // ENOUGH_READINGS)], (0.5, 99.5)) if readings.size else (0, 0)
    )
    if low == high:
        return companion_HW
    first = NEAREST if modality == "rgbd" else 0.0
    spread_HW = np.clip((companion_HW - np.float32(low)) / np.float32(high - low), 0, 1) * np.float32(1 - first) + first
    return np.where(read_HW, spread_HW, np.float32(0)).astype(np.float32, copy=False)


def fit_to(pixels: np.ndarray, size: Size, what: str) -> np.ndarray:
    """Resize `pixels` (H, W) to `size` (height, width): area interpolation to shrink, else bilinear.

    Args:
        what: named in the error.

    Raises:
        UserError: the aspect ratios differ by more than 2 %, so the two cannot belong together.
    """
    height, width = pixels.shape[:2]
    if not same_proportions((height, width), size):
        raise UserError(
            f"{what} is {width}x{height} and its picture {size[1]}x{size[0]}: their proportions differ; "
            "give the companion of this picture"
        )
    shrinks = width * height > size[0] * size[1]
    return cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def same_proportions(size: Size, other: Size) -> bool:
    """Whether the aspect ratios of two (height, width) differ by at most 2 %, the rounding of their sides aside."""
    # A side of n pixels may have been rounded from n - 1/2 to n + 1/2.
    rounding = 0.5 / min(size) + 0.5 / min(other)
    ratio = (size[1] * other[0]) / (size[0] * other[1])
    return bool(abs(np.log(ratio)) <= ASPECT_TOLERANCE + rounding)


def _share(companion_HW: np.ndarray, what: str) -> np.ndarray:
    """Convert to float32 fractions of the type's range, with all checks of `fit_companion` except the proportions."""
    integer = companion_HW.dtype in (np.uint8, np.uint16)
    if companion_HW.ndim != 2 or companion_HW.size == 0 or not (integer or companion_HW.dtype.kind == "f"):
        raise UserError(
            f"{what} must be an array of shape (height, width), uint8, uint16 or float, "
            f"got {companion_HW.dtype} {companion_HW.shape}"
        )
    low, high = companion_HW.min(), companion_HW.max()
    if low == high:
        raise UserError(f"{what} holds no reading, every pixel is {low:g}; replace it, or leave it out")
    share_HW = companion_HW.astype(np.float32, copy=False)
    if integer:
        return share_HW / np.float32(np.iinfo(companion_HW.dtype).max)
    if not (low >= 0 and high <= 1):  # written so that NaN fails too
        raise UserError(f"{what} holds floats from {low:g} to {high:g}; scale them to [0, 1]")
    return share_HW
