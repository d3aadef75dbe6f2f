"""JPEG decoding that says when data is missing."""

import re

import numpy as np
import simplejpeg

MODES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
"""Pillow's names of what a JPEG can hold -> libjpeg's."""

_DAMAGE = re.compile("premature end|bad huffman|bad arithmetic|found marker", re.IGNORECASE)
"""Warnings of libjpeg's after which it makes up pixels: grey to the end of the picture, or what the wrong bits say."""
_LEFT_OVER = re.compile(r"(\d+) extraneous bytes")
_PADDING = 16
"""Bytes that some cameras leave over. More of them are data that could not be understood."""


class DamagedJpeg(ValueError):
    """Some of the picture's data is missing or wrong."""


def decode_jpeg(data: bytes, mode: str) -> tuple[np.ndarray, str | None]:
    """Decode a JPEG.

    Pillow and OpenCV decode the same pixels, but keep libjpeg's warnings to themselves: what is missing of a file that
    was cut short and closed again comes back grey.

    Args:
        mode: of `MODES`, the file's own as Pillow names it.

    Returns:
        uint8 (H, W) grey, (H, W, 3) RGB or (H, W, 4) CMYK; and what may be wrong with some of it.

    Raises:
        DamagedJpeg: pixels are missing or wrong.
        ValueError: it cannot be decoded.
    """
    damage = None
    try:
        pixels = simplejpeg.decode_jpeg(data, MODES[mode])
    except ValueError as error:
        warning = str(error)
        if _DAMAGE.search(warning):
            raise DamagedJpeg(warning) from error
        pixels = simplejpeg.decode_jpeg(data, MODES[mode], strict=False)
        left_over = _LEFT_OVER.search(warning)
        if left_over and int(left_over[1]) > _PADDING:
            damage = f"parts of it may be wrong ({warning}); replace the file"
    if mode == "CMYK":
        pixels = 255 - pixels  # stored inverted, as Photoshop began and everybody does
    return pixels[..., 0] if mode == "L" else pixels, damage
