"""The one place where pictures become network inputs and network outputs become pictures.

Training's evaluation, the services, the command line and the exports' parity report all go through these functions, so
that a model cannot score differently in one of them for a reason as small as another resize.

Dimensions: B batch, H height, W width, 3 = R, G, B.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from models.card import Card
from models.errors import UserError


def fit_size(size: int | tuple[int, int], divisor: int) -> tuple[int, int]:
    """`size` as (height, width), each side rounded to a multiple of `divisor`, which the network demands.

    Raises:
        UserError: a side is not positive.
    """
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < 1:
        raise UserError(f"size must be positive, got {height}x{width}; leave it out to use the model's own")
    rounded = [max(divisor, round(side / divisor) * divisor) for side in (height, width)]
    return rounded[0], rounded[1]


def stretch(image_HW3: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize a picture or map to (height, width) without regard to its proportions, bilinear, no antialiasing.

    This is the protocol that the networks here were trained and published with.
    """
    return cv2.resize(image_HW3, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)


def to_input(images: Sequence[np.ndarray], card: Card, size: tuple[int, int]) -> np.ndarray:
    """Stack pictures of any sizes into one network input.

    Args:
        images: uint8 HxWx3 RGB, each.
        size: (height, width) of the result.

    Returns:
        image_B3HW float32: stretched, scaled to [0, 1], normalised by the card's mean and std.

    Raises:
        UserError: an array is not uint8 HxWx3 or is empty.
    """
    mean, std = np.float32(card.mean), np.float32(card.std)
    image_B3HW = np.empty((len(images), 3, *size), np.float32)
    for index, image_HW3 in enumerate(images):
        _check(image_HW3)
        scaled_HW3 = stretch(image_HW3, size).astype(np.float32) / 255
        image_B3HW[index] = ((scaled_HW3 - mean) / std).transpose(2, 0, 1)
    return image_B3HW


def to_saliency(probability_HW: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bring one output of a network back to a picture's (height, width).

    Args:
        probability_HW: float, [0, 1].

    Returns:
        saliency_HW float32 in [0, 1]. Not stretched to full contrast: a picture without an object stays dark.
    """
    return np.clip(stretch(probability_HW.astype(np.float32, copy=False), size), 0, 1)


def _check(image_HW3: np.ndarray) -> None:
    if image_HW3.dtype != np.uint8 or image_HW3.ndim != 3 or image_HW3.shape[2] != 3 or image_HW3.size == 0:
        raise UserError(
            f"a picture must be a uint8 array of shape (height, width, 3), got {image_HW3.dtype} {image_HW3.shape}"
        )
