"""JPEG decoding that says when data is missing."""

import re

import numpy as np
import simplejpeg

MODES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
"""Pillow's names of what a JPEG can hold -> libjpeg's."""

_DAMAGE = re.compile("premature end|bad huffman|bad arithmetic|found marker", re.IGNORECASE)
"""Warnings of libjpeg's after which it makes up pixels: grey to the end of the picture, or what the wrong bits say."""
_LEFT_OVER = re.compile(r"(\d+) extraneous bytes before marker 0x(\w+)")
_PADDING, _END = 16, "d9"
"""Bytes that some cameras leave over before the marker that ends the picture. More of them, or in its midst, are data
that could not be understood, and what follows may be damaged too."""


class DamagedJpeg(ValueError):
    """Some of the picture's data is missing or wrong."""


def decode_jpeg(data: bytes, mode: str) -> tuple[np.ndarray, str | None] | None:
    """Decode a JPEG.

    Pillow and OpenCV decode the same pixels, but keep libjpeg's warnings to themselves: what is missing of a file that
    was cut short and closed again comes back grey.

    Args:
        mode: of `MODES`, the file's own as Pillow names it.

    Returns:
        uint8 (H, W) grey, (H, W, 3) RGB or (H, W, 4) CMYK, and what may be wrong with some of it. None: this decoder
        does not take the file, for oddities of its header for one; others may.

    Raises:
        DamagedJpeg: pixels are missing or wrong.
    """
    damage = None
    try:
        pixels = simplejpeg.decode_jpeg(data, MODES[mode])
    except ValueError as error:  # at the first warning
        warning = str(error)
        if _DAMAGE.search(warning):
            raise DamagedJpeg(warning) from error
        try:
            pixels = simplejpeg.decode_jpeg(data, MODES[mode], strict=False)
        except ValueError:
            return None
        left_over = _LEFT_OVER.search(warning)
        if left_over and (int(left_over[1]) > _PADDING or left_over[2] != _END):
            damage = f"parts of it may be wrong ({warning}); replace the file"
    if mode == "CMYK":
        pixels = 255 - pixels  # stored inverted, as Photoshop began and everybody does
    return pixels[..., 0] if mode == "L" else pixels, damage
