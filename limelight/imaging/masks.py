"""Decode saliency masks of any coding: the only reader for training, validation, evaluation and deployment.

Masks come as levels of grey, as zeros and ones, as labels (by index or by colour) and in the alpha channel. The coding
is inferred from the file alone; docs/data.md lists the rules.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import cv2
import numpy as np

from limelight.foundation.errors import UserError
from limelight.imaging.companions import fit_to
from limelight.imaging.decoding import NARROW, decode, decode_indices, raw_mode
from limelight.imaging.header import open_picture
from limelight.models.inputs import Size

VOID = 255
"""Index of borders and unlabelled pixels in PASCAL VOC and DAVIS. Their tools ignore it or treat it as background; it
is never an object."""
VOC_BORDER = (224, 224, 192)
"""Colour of `VOID` in VOC's palette."""
_LEVEL_TOLERANCE = 25
"""A channel this near to 0 or 255 counts as black or white, as JPEG and dithering alter them."""
_TINT = 32
"""Largest difference between the channels of a grey pixel; above it, the pixel is coloured."""
_MAX_LABELS = 256
"""Most colours of a label mask; more indicate a picture, or smoothed edges between labels."""
_OVERSHOOT = 0.01
"""How far resized floats may lie outside 0 and their full value."""


class Coding(StrEnum):
    """How a mask's pixels were interpreted."""

    LEVELS = "levels from black to white"
    ONES = "zeros and ones"
    BYTES = "levels of 8 bits in a wider file"
    INDEX = "labels by index"
    COLOUR = "labels by colour"
    LUMINANCE = "luminance of colours"
    ALPHA = "transparency"


@dataclass(frozen=True)
class Mask:
    """A decoded mask."""

    level_HW: np.ndarray
    """float32 in [0, 1], 1 = salient."""
    coding: Coding


def read_mask(path: Path | str, *, size: Size | None = None) -> np.ndarray:
    """Decode a mask; soft values stay soft.

    Args:
        size: height and width of the mask's picture. A mask of another size is resized to it.

    Returns:
        float32 (H, W) in [0, 1].

    Raises:
        UserError: as `decode_mask`, or the aspect ratios differ by more than 2 %.
    """
    level_HW = decode_mask(path).level_HW
    if size is None or size == level_HW.shape:
        return level_HW
    return fit_to(level_HW, size, f"mask {path}")


def decode_mask(path: Path | str) -> Mask:
    """Decode a mask and report its coding.

    Raises:
        UserError: as `limelight.imaging.images.read_image`, or the file holds numbers without a known maximum.
    """
    header = open_picture(path)
    try:
        if header.image is not None and header.image.mode == "P":
            return _by_palette(*decode_indices(header))
        one = NARROW.get(raw_mode(header.image)) if header.image else None
        decoded = decode(header, colour=True)
        if one is not None and decoded.pixels.max() == one:
            decoded.pixels = decoded.pixels // one  # not in place: decoders may return read-only arrays
        return _by_colour(decoded.pixels) if decoded.alpha_HW is None else _by_alpha(decoded.pixels, decoded.alpha_HW)
    except UserError as error:
        raise UserError(f"mask {path} {error}") from None


def _by_level(pixels_HW: np.ndarray) -> Mask:
    """Decode grey as fractions of full scale: the smallest of 1, 255 and 65535 that no pixel exceeds."""
    low, top = float(pixels_HW.min()), float(pixels_HW.max())
    slack = _OVERSHOOT if pixels_HW.dtype == np.float32 else 0
    full = next((value for value in (1, 255, 65535) if top <= value * (1 + slack)), None)
    if full is None or not low >= -full * slack:
        raise UserError(f"holds numbers from {low:g} to {top:g}; store them in [0, 1], in 8 bits or in 16 bits")
    if pixels_HW.dtype == np.float32:
        return Mask(np.clip(pixels_HW / np.float32(full), 0, 1), Coding.LEVELS if full == 1 else Coding.BYTES)
    full = 1 if top == 1 else max(full, 255)
    coding = Coding.ONES if full == 1 else Coding.BYTES if full < np.iinfo(pixels_HW.dtype).max else Coding.LEVELS
    return Mask(pixels_HW.astype(np.float32) / np.float32(full), coding)


def _by_palette(index_HW: np.ndarray, palette: np.ndarray) -> Mask:
    """Decode palette indices: by colour if the colours are grey levels or only alpha differs, else as labels."""
    padded = np.zeros((256, 4), np.uint8)
    padded[: len(palette)] = palette
    used = np.flatnonzero(np.bincount(index_HW.ravel(), minlength=256))
    colours, alphas = padded[used, :3], padded[used, 3]
    alike = len(used) > 1 and len(np.unique(colours, axis=0)) == 1
    if alike and len(np.unique(alphas)) > 1:
        return replace(_by_level(padded[:, 3][index_HW]), coding=Coding.ALPHA)
    if not alike and _is_grey(used, padded[:, :3], palette[:, :3]):
        return _by_level(padded[:, 0][index_HW])
    return Mask(_salient(used, padded[:, :3])[index_HW].astype(np.float32), Coding.INDEX)


def _is_grey(used: np.ndarray, colours: np.ndarray, palette: np.ndarray) -> bool:
    """Whether a palette's used entries are levels: black and white, grey between these two, or a palette of greys.

    Grey labels occur in coloured palettes (index 7 of VOC, 1 of ADE20K) and in two-colour palettes reduced to the used
    entries.
    """
    if np.ptp(colours[used].astype(int), axis=1).any():
        return False
    level = colours[used, 0]
    black, white = level <= _LEVEL_TOLERANCE, level >= 255 - _LEVEL_TOLERANCE
    if (black | white).all() or (black.any() and white.any()):
        return True
    return not np.ptp(palette.astype(int), axis=1).any() and len(np.unique(palette[:, 0])) > 2


def _salient(used: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Mark which of 256 labels are salient: all except the background (index 0, or black at another index) and void."""
    salient = np.ones(256, bool)
    black = np.all(colours <= _LEVEL_TOLERANCE, axis=1)
    if black[used].any() and not (0 in used and black[0]):
        salient[black] = False
        return salient
    salient[0] = False
    if np.setdiff1d(used, (0, VOID)).size:
        salient[VOID] = False
    return salient


def _by_alpha(pixels: np.ndarray, alpha_HW: np.ndarray) -> Mask:
    """Use the alpha channel if it varies and the pixels, grey or RGB, are one colour or a picture; else the pixels."""
    if alpha_HW.min() < alpha_HW.max() and ((pixels == pixels[0, 0]).all() or _is_coloured(pixels)):
        return replace(_by_level(alpha_HW), coding=Coding.ALPHA)
    return _by_colour(pixels)


def _by_colour(pixels_HW3: np.ndarray) -> Mask:
    """Decode grey as levels; few colours including black as labels, black the background; others by luminance."""
    if pixels_HW3.ndim == 2:
        return _by_level(pixels_HW3)
    grey_HW = cv2.cvtColor(pixels_HW3, cv2.COLOR_RGB2GRAY)
    if not _is_coloured(pixels_HW3):
        return _by_level(grey_HW)
    bytes_HW3 = _in_8_bits(pixels_HW3)
    black_HW = np.all(bytes_HW3 <= _LEVEL_TOLERANCE, axis=-1)
    code_HW = bytes_HW3.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    if not black_HW.any() or len(np.unique(code_HW)) > _MAX_LABELS:
        return replace(_by_level(grey_HW), coding=Coding.LUMINANCE)
    object_HW = ~black_HW & (bytes_HW3 != VOC_BORDER).any(axis=-1)
    return Mask((object_HW if object_HW.any() else ~black_HW).astype(np.float32), Coding.COLOUR)


def _is_coloured(pixels_HW3: np.ndarray) -> bool:
    if pixels_HW3.ndim == 2 or pixels_HW3.dtype == np.float32:
        return False
    pixels_HW3 = _in_8_bits(pixels_HW3)
    return bool((pixels_HW3.max(axis=-1) - pixels_HW3.min(axis=-1)).max() > _TINT)


def _in_8_bits(pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype == np.uint8:
        return pixels
    return (pixels >> 8 if pixels.max() > 255 else pixels).astype(np.uint8)
