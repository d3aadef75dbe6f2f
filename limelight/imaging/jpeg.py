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


_SOS, _APP0, _APP14, _COMMENT = 0xDA, 0xE0, 0xEE, 0xFE
_KEPT = frozenset(range(0xC0, _COMMENT)) - frozenset(range(0xE0, 0xF0)) | {_APP0, _APP14}
"""Segments that pixels depend on: of the application's own, JFIF's and Adobe's."""


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
        pixels = _strict(data, mode)
    except ValueError as error:  # the first warning, or what makes it impossible to go on
        reason = str(error)
        left_over = _LEFT_OVER.search(reason)
        if _DAMAGE.search(reason):
            raise DamagedJpeg(reason) from error
        if not left_over:
            return None
        pixels = simplejpeg.decode_jpeg(data, MODES[mode], strict=False)
        if int(left_over[1]) > _PADDING or left_over[2] != _END:
            damage = f"parts of it may be wrong ({reason}); replace the file"
    if mode == "CMYK":
        pixels = 255 - pixels  # stored inverted, as Photoshop began and everybody does
    return pixels[..., 0] if mode == "L" else pixels, damage


def _strict(data: bytes, mode: str) -> np.ndarray:
    """Decode what is whole, be its header odd or not.

    Raises:
        ValueError: at libjpeg's first warning.
    """
    try:
        return simplejpeg.decode_jpeg(data, MODES[mode])
    except ValueError:
        plain = _plain(data)
        if plain == data:
            raise
        return simplejpeg.decode_jpeg(plain, MODES[mode])


def _plain(data: bytes) -> bytes:
    """A JPEG without what its header may hold that libjpeg warns of and no pixel depends on.

    Left out are bytes between segments, profiles and comments; the version is 1 (ITU-T T.81, B.1.1; T.871, 10.1).
    """
    parts, at = [data[:2]], 2
    while at + 4 <= len(data):
        if data[at] != 0xFF or data[at + 1] in (0x00, 0xFF):
            at += 1
            continue
        marker, end = data[at + 1], at + 2 + int.from_bytes(data[at + 2 : at + 4])
        if marker == _SOS:
            return b"".join([*parts, data[at:]])
        segment = data[at:end]
        if marker == _APP0 and segment[4:9] == b"JFIF\0":
            segment = segment[:9] + b"\x01" + segment[10:]
        if marker in _KEPT:
            parts.append(segment)
        at = end
    return data
