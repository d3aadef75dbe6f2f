"""TIFFs of more than 8 bits per channel, decoded by OpenCV: Pillow reduces them to 8 bits or cannot open them.

Kinds that both would decode wrongly are refused. Tags and values are those of TIFF 6.0.
"""

import io
from typing import Any

import cv2
import numpy as np
from PIL import TiffImagePlugin

from limelight.foundation.errors import UserError
from limelight.models.inputs import Size

PHOTOMETRIC, ORIENTATION, SAMPLES, PLANAR = 262, 274, 277, 284
EXTRA_SAMPLES, SAMPLE_FORMAT, PROFILE = 338, 339, 34675
WHITE_IS_ZERO, UNSIGNED, _FLOAT, _PLANAR, _ASSOCIATED = 0, 1, 3, 2, 1
_BITS = 258
_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""Signatures of TIFF and BigTIFF, in either byte order."""
_FORMATS = {1: "unsigned integers", 2: "signed integers", 3: "floats"}

Tags = Any
"""One page's tags: Pillow's mapping of numbers to values."""


def read_tags(data: bytes) -> Tags | None:
    """Read the first page's tags; None for other or damaged files."""
    if data[:4] not in _SIGNATURES:
        return None
    try:
        stream = io.BytesIO(data)
        tags = TiffImagePlugin.ImageFileDirectory_v2(stream.read(16 if data[2:4] in (b"+\0", b"\0+") else 8))
        stream.seek(tags.next)
        tags.load(stream)
        return tags if min(size_of(tags)) > 0 else None
    except Exception:  # damaged headers raise nearly any exception type
        return None


def size_of(tags: Tags) -> Size:
    """Return height and width, upright as OpenCV turns it."""
    width, height = int(tags[TiffImagePlugin.IMAGEWIDTH]), int(tags[TiffImagePlugin.IMAGELENGTH])
    return (width, height) if tags.get(ORIENTATION, 1) >= 5 else (height, width)


def check_layout(name: str, tags: Tags) -> None:
    """Raise UserError where channels of more than 8 bits are stored as separate planes, which OpenCV scrambles."""
    if tags.get(SAMPLES, 1) > 1 and tags.get(PLANAR, 1) == _PLANAR and max(tags.get(_BITS, (1,))) > 8:
        raise UserError(f"cannot read {name}: its channels are stored apart (planar); convert it to interleaved ones")


def decode_floats(name: str, data: bytes, tags: Tags) -> tuple[np.ndarray, np.ndarray | None]:
    """Decode a TIFF that Pillow cannot open.

    Returns:
        pixels float32 (H, W) or (H, W, 3) RGB; alpha_HW float32 in [0, 1], or None.

    Raises:
        UserError: pixels are not 32- or 64-bit floats in 1, 3 or 4 channels.
        ValueError: the file is damaged.
    """
    check_layout(name, tags)
    number, bits, samples = tags.get(SAMPLE_FORMAT, (1,))[0], tags.get(_BITS, (1,))[0], tags.get(SAMPLES, 1)
    if number != _FLOAT or bits not in (32, 64) or samples not in (1, 3, 4):
        kind = f"{samples} x {bits}-bit {_FORMATS.get(number, 'numbers')}"
        raise UserError(f"cannot read {name}: a TIFF of {kind} is not read; convert it to 8 or 16 bits in grey or RGB")
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError("it is a damaged TIFF")
    pixels = pixels.astype(np.float32, copy=False)
    if pixels.ndim == 2:
        return pixels, None
    colours = np.ascontiguousarray(pixels[..., 2::-1])
    if pixels.shape[2] == 3:
        return colours, None
    alpha_HW = np.clip(pixels[..., 3], 0, 1)
    return unassociated(colours, alpha_HW, 1.0) if is_associated(tags) else colours, alpha_HW


def is_associated(tags: Tags) -> bool:
    """Whether the colours are stored premultiplied by alpha."""
    return _ASSOCIATED in tags.get(EXTRA_SAMPLES, ())


def unassociated(colours_HW3: np.ndarray, alpha_HW: np.ndarray, full: float) -> np.ndarray:
    """Undo the premultiplication of colours by alpha; keeps the type."""
    share = np.maximum(alpha_HW[..., None] / full, np.finfo(np.float32).eps)
    return np.clip(colours_HW3 / share, 0, full).astype(colours_HW3.dtype)
