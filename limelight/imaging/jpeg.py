"""JPEG decoding that says when data is missing."""

import re

import numpy as np
import simplejpeg

_DAMAGE = re.compile("premature end|bad huffman|bad arithmetic|found marker", re.IGNORECASE)
"""Warnings of libjpeg's after which it makes up pixels: grey to the end of the picture, or what the wrong bits say."""
_LEFT_OVER = re.compile(r"(\d+) extraneous bytes")
_PADDING = 16
"""Bytes that some cameras leave over. More of them are data that could not be understood."""


class DamagedJpeg(ValueError):
    """Some of the picture's data is missing or wrong."""


def decode_jpeg(data: bytes, *, grey: bool) -> tuple[np.ndarray, str | None]:
    """Decode a grey or colour JPEG.

    Pillow and OpenCV decode the same pixels, but keep libjpeg's warnings to themselves: what is missing of a file that
    was cut short and closed again comes back grey.

    Returns:
        uint8 (H, W) where `grey`, else (H, W, 3) RGB; and what may be wrong with some of it.

    Raises:
        DamagedJpeg: pixels are missing or wrong.
        ValueError: it cannot be decoded, or is of another colour space.
    """
    colorspace = "GRAY" if grey else "RGB"
    try:
        return _pixels(simplejpeg.decode_jpeg(data, colorspace), grey), None
    except ValueError as error:
        warning = str(error)
        if _DAMAGE.search(warning):
            raise DamagedJpeg(warning) from error
    pixels = _pixels(simplejpeg.decode_jpeg(data, colorspace, strict=False), grey)
    left_over = _LEFT_OVER.search(warning)
    damaged = left_over and int(left_over[1]) > _PADDING
    return pixels, f"parts of it may be wrong ({warning}); replace the file" if damaged else None


def _pixels(decoded: np.ndarray, grey: bool) -> np.ndarray:
    return decoded[..., 0] if grey else decoded
