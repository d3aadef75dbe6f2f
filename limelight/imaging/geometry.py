"""Network input sizes, and resizing.

Sizes are (height, width), pixels.
"""

from fractions import Fraction

import cv2
import numpy as np
from PIL import Image

from limelight.foundation.errors import UserError
from limelight.models.card import Finish, Prepare
from limelight.models.inputs import Size

NO_FINISH = Finish()


def fixed_size(size: int | Size, prepare: Prepare) -> Size:
    """Round each side to a multiple of the network's divisor, at least its minimum.

    Raises:
        UserError: a side is not positive.
    """
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < 1:
        raise UserError(f"size must be positive, got {height}x{width}; leave it out to use the model's own")
    divisor, min_side = prepare.divisor, prepare.least
    rounded = [max(divisor, min_side, round(side / divisor) * divisor) for side in (height, width)]
    return rounded[0], rounded[1]


def proportional_size(picture: Size, longest: int, prepare: Prepare) -> Size:
    """Return the network input size with proportions kept, each side rounded to what the network accepts.

    Args:
        longest: pixels of the longer side; 0 = the picture's own.
    """
    return _scaled(picture, longest or max(picture), max(picture), prepare)


def network_size(picture: Size, prepare: Prepare) -> Size:
    """Return the network input size of a picture by the resizing policy that its weights were trained with."""
    if prepare.policy == "stretch":
        return fixed_size(prepare.size, prepare)
    if prepare.policy == "longest":
        return _scaled(picture, min(max(picture), max(prepare.size)), max(picture), prepare)
    if prepare.policy == "shorter":
        return _scaled(picture, min(min(picture), min(prepare.size)), min(picture), prepare)
    return proportional_size(picture, 0, prepare)


def _scaled(picture: Size, pixels: int, of: int, prepare: Prepare) -> Size:
    """Scale by pixels / of, each side to a multiple of the divisor."""
    divisor, rounds = prepare.divisor, prepare.rounding == "nearest"
    multiples = (
        round(Fraction(side * pixels, of * divisor)) if rounds else -(-side * pixels // (of * divisor))
        for side in picture
    )
    height, width = (max(prepare.least, divisor, multiple * divisor) for multiple in multiples)
    return height, width


def stretch(picture: np.ndarray, size: Size) -> np.ndarray:
    """Resize a picture or map without keeping its proportions, bilinear, no antialiasing.

    The networks here were trained and published with this protocol.
    """
    return cv2.resize(picture, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)


def area(picture: np.ndarray, size: Size) -> np.ndarray:
    """Shrink a picture: the mean over what each pixel covers."""
    return cv2.resize(picture, (size[1], size[0]), interpolation=cv2.INTER_AREA)


def nearest(labels: np.ndarray, size: Size) -> np.ndarray:
    """Resize labels, which must not be mixed: each pixel takes the one whose pixel lies nearest.

    Args:
        labels: (H, W) or (H, W, C), of a type that OpenCV resizes: 8 or 16 bits.
    """
    # Not INTER_NEAREST, which rounds down: it would shift labels by half a pixel against the image.
    return cv2.resize(labels, (size[1], size[0]), interpolation=cv2.INTER_NEAREST_EXACT)


def bicubic(picture: np.ndarray, size: Size) -> np.ndarray:
    """Resize a picture or a float map as Pillow does: bicubic, with antialiasing."""
    return np.asarray(Image.fromarray(picture).resize((size[1], size[0]), Image.Resampling.BICUBIC))


def lanczos(picture: np.ndarray, size: Size) -> np.ndarray:
    """Resize a picture or a float map in [0, 1] as rembg does: Lanczos, with antialiasing, on 8 bits.

    A map is cut off to 8 bits, not rounded.
    """
    is_map = picture.dtype != np.uint8
    stored = (picture * 255).astype(np.uint8) if is_map else picture
    resized = np.asarray(Image.fromarray(stored).resize((size[1], size[0]), Image.Resampling.LANCZOS))
    return resized.astype(np.float32) / 255 if is_map else resized


def antialiased(picture: np.ndarray, size: Size) -> np.ndarray:
    """Resize a picture or a float map as Pillow does: bilinear, with antialiasing."""
    return np.asarray(Image.fromarray(picture).resize((size[1], size[0]), Image.Resampling.BILINEAR))


def aligned(picture: np.ndarray, size: Size) -> np.ndarray:
    """Resize a picture or a float map bilinearly, the middles of corner pixels on each other (align_corners=True)."""
    resized = picture.astype(np.float32)
    for axis, length in enumerate(size):
        places = np.linspace(0, picture.shape[axis] - 1, length, dtype=np.float64)
        below = places.astype(np.intp)
        above = np.minimum(below + 1, picture.shape[axis] - 1)
        share = (places - below).astype(np.float32).reshape([-1 if each == axis else 1 for each in range(picture.ndim)])
        low = resized.take(below, axis)
        resized = low + share * (resized.take(above, axis) - low)
    return resized if picture.dtype != np.uint8 else np.rint(resized).astype(np.uint8)


RESIZE = {
    "bilinear": stretch,
    "bilinear-aligned": aligned,
    "bilinear-antialiased": antialiased,
    "bicubic": bicubic,
    "lanczos": lanczos,
}
"""Resize functions by their names in cards."""


def tempered(probability: np.ndarray, temperature: float) -> np.ndarray:
    """Divide the logits of probabilities in [0, 1] by a temperature, and return probabilities."""
    if temperature == 1:
        return probability
    power, other = probability ** (1 / temperature), (1 - probability) ** (1 / temperature)
    return power / (power + other)


def to_picture(map_hw: np.ndarray, size: Size, finish: Finish = NO_FINISH) -> np.ndarray:
    """Resize one map of a network back to a picture's size.

    Args:
        map_hw: float, [0, 1].

    Returns:
        map_HW float32 in [0, 1]. Unless `finish` requires it, not stretched to full contrast: a picture without an
        object stays dark.
    """
    map_hw = tempered(map_hw.astype(np.float32, copy=False), finish.temperature)
    if finish.full_contrast:
        low, high = map_hw.min(), map_hw.max()
        # A constant map would divide by zero; leave it as it is.
        map_hw = (map_hw - low) / (high - low) if high > low else map_hw
    map_HW = RESIZE[finish.filter](map_hw, size)
    return np.clip(map_HW, 0, 1, out=map_HW if map_HW.flags.writeable else None)  # Pillow's are not
