"""The one place where pictures become network inputs and network outputs become pictures.

Training's evaluation, the services, the command line and the exports' parity report all go through these functions, so
that a model cannot score differently in one of them for a reason as small as another resize.

Dimensions: B batch, H height, W width, 3 = R, G, B.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from limelight.foundation.errors import UserError
from limelight.imaging.images import fit_to
from limelight.models.card import MODALITIES, Card

NEAREST = 1 / 16
"""Of depth, the smallest reading; see `spread`."""
ENOUGH = 250_000
"""Readings to tell percentiles from."""


class Inputs(NamedTuple):
    """What a network sees, and a runtime is called with."""

    image_B3HW: np.ndarray
    """float32, normalised."""
    companion_B1HW: np.ndarray | None = None
    """float32 in [0, 1], zeros where a picture has none; None for a network of images alone."""
    modality_B: np.ndarray | None = None
    """int64, indices into `limelight.models.card.MODALITIES`."""

    def singly(self) -> Iterator["Inputs"]:
        """One picture after another, as batches of one."""
        for index in range(len(self.image_B3HW)):
            yield Inputs(*(None if part is None else part[index : index + 1] for part in self))


def fit_size(size: int | tuple[int, int], divisor: int, least: int = 1) -> tuple[int, int]:
    """`size` as (height, width), each side rounded to a multiple of `divisor`, and at least `least`, as the network
    demands.

    Raises:
        UserError: a side is not positive.
    """
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < 1:
        raise UserError(f"size must be positive, got {height}x{width}; leave it out to use the model's own")
    rounded = [max(divisor, least, round(side / divisor) * divisor) for side in (height, width)]
    return rounded[0], rounded[1]


def fit_inside(picture: tuple[int, int], longest: int, divisor: int, least: int = 1) -> tuple[int, int]:
    """The size that a picture of this (height, width) is fed at with its proportions kept.

    Args:
        longest: pixels of the longer side; 0 = the picture's own.
        divisor: each side is rounded up to a multiple of it.
        least: what a shorter side is brought to.
    """
    most = max(picture)
    height, width = (max(least, -(-side * (longest or most) // (most * divisor)) * divisor) for side in picture)
    return height, width


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
        check_picture(image_HW3)
        scaled_HW3 = _stretch_for(card, image_HW3, size).astype(np.float32) / 255
        image_B3HW[index] = ((scaled_HW3 - mean) / std).transpose(2, 0, 1)
    return image_B3HW


def to_inputs(
    images: Sequence[np.ndarray],
    companions: Sequence[np.ndarray | None],
    modalities: Sequence[str],
    card: Card,
    size: tuple[int, int],
) -> Inputs:
    """All that a network is fed with, whether it takes companions or not.

    Args:
        images: as in `to_input`.
        companions: one per image, as in `fit_companion`; not looked at if the network takes none.
        modalities: what each image comes as.
        card, size: as in `to_input`.

    Raises:
        UserError: as `to_input` and `fit_companion`.
    """
    image_B3HW = to_input(images, card, size)
    if not card.companions:
        return Inputs(image_B3HW)
    companion_B1HW = np.zeros((len(images), 1, *size), np.float32)
    indices = np.array([MODALITIES.index(modality) for modality in modalities], np.int64)
    for index, (image_HW3, companion_HW) in enumerate(zip(images, companions, strict=True)):
        if companion_HW is not None:
            own_HW = fit_companion(companion_HW, image_HW3.shape[:2])
            if not card.as_published:
                own_HW = spread(own_HW, modalities[index])
            companion_B1HW[index, 0] = _stretch_for(card, own_HW, size)
    return Inputs(image_B3HW, companion_B1HW, indices)


def fit_companion(companion_HW: np.ndarray, image_size: tuple[int, int], what: str = "the companion") -> np.ndarray:
    """A depth or thermal picture at its picture's size, if there is a reading in it.

    Args:
        companion_HW: uint8, uint16, or float in [0, 1]; of any size with its picture's proportions.
        image_size: (height, width) of its picture.
        what: named in the errors.

    Returns:
        companion_HW float32 in [0, 1], the share of its type's range.

    Raises:
        UserError: another kind of array, values outside of the range, all values equal, or other proportions.
    """
    share_HW = _share(companion_HW, what)
    height, width = image_size
    return share_HW if share_HW.shape == image_size else fit_to(share_HW, (width, height), what)


def spread(companion_HW: np.ndarray, modality: str) -> np.ndarray:
    """A depth or thermal picture over the whole of [0, 1], whatever the sensor's unit and bits.

    Millimetres in 16 bits use a twentieth of the range, which a network would hardly see. The ends are the 0.5th and
    99.5th percentile, so that single wrong readings do not set them. Depth 0 means that nothing was measured: it stays
    0, and the readings begin at `NEAREST`.

    Args:
        companion_HW: float32 in [0, 1].
        modality: 'rgbd' or 'rgbt'.

    Returns:
        companion_HW float32 in [0, 1]; as it was if both ends are one value.
    """
    read_HW = companion_HW > 0 if modality == "rgbd" else np.ones(companion_HW.shape, bool)
    readings = companion_HW[read_HW]
    low, high = np.percentile(readings[:: max(1, readings.size // ENOUGH)], (0.5, 99.5)) if readings.size else (0, 0)
    if low == high:
        return companion_HW
    first = NEAREST if modality == "rgbd" else 0.0
    spread_HW = np.clip((companion_HW - np.float32(low)) / np.float32(high - low), 0, 1) * np.float32(1 - first) + first
    return np.where(read_HW, spread_HW, np.float32(0)).astype(np.float32, copy=False)


def to_saliency(probability_HW: np.ndarray, size: tuple[int, int], as_published: bool = False) -> np.ndarray:
    """Bring one output of a network back to a picture's (height, width).

    Args:
        probability_HW: float, [0, 1].
        as_published: stretched to full contrast and resized bicubically, as diffSOD's authors do.

    Returns:
        saliency_HW float32 in [0, 1]. Else not stretched to full contrast: a picture without an object stays dark.
    """
    probability_HW = probability_HW.astype(np.float32, copy=False)
    if as_published:
        low, high = probability_HW.min(), probability_HW.max()
        # A flat map, which the published division by zero loses, stays as it is.
        probability_HW = (probability_HW - low) / (high - low) if high > low else probability_HW
    return np.clip((bicubic if as_published else stretch)(probability_HW, size), 0, 1)


def bicubic(image_HW3: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize a picture, or a map of floats, to (height, width) as Pillow does: bicubic, with antialiasing."""
    return np.asarray(Image.fromarray(image_HW3).resize((size[1], size[0]), Image.Resampling.BICUBIC))


def _stretch_for(card: Card, picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Of an image or a companion, of which a bicubic one's overshoots are cut off."""
    if not card.as_published:
        return stretch(picture, size)
    resized = bicubic(picture, size)
    return resized if resized.dtype == np.uint8 else np.clip(resized, 0, 1)


def _share(companion_HW: np.ndarray, what: str) -> np.ndarray:
    """float32: the share of the type's range; the checks of `fit_companion` but for the proportions."""
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
    if not (low >= 0 and high <= 1):  # so too where a pixel is not a number
        raise UserError(f"{what} holds floats from {low:g} to {high:g}; scale them to [0, 1]")
    return share_HW


def check_picture(image_HW3: np.ndarray) -> None:
    """Raises a UserError where an array is no uint8 HxWx3, or is empty."""
    if image_HW3.dtype != np.uint8 or image_HW3.ndim != 3 or image_HW3.shape[2] != 3 or image_HW3.size == 0:
        raise UserError(
            f"a picture must be a uint8 array of shape (height, width, 3), got {image_HW3.dtype} {image_HW3.shape}"
        )
