"""Decode a JPEG by simplejpeg, which reports what libjpeg warns of: parts that are missing or wrong."""

import re

import numpy as np
import simplejpeg

JPEG_MODES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
"""Pillow's modes of JPEG files -> libjpeg's."""

_DAMAGE = re.compile("premature end|bad huffman|bad arithmetic|found marker", re.IGNORECASE)
"""libjpeg warnings after which pixels are invented: grey to the end of the picture, or decoded from wrong bits."""
_SURPLUS = re.compile(r"(\d+) extraneous bytes before marker 0x(\w+)")
_PADDING, _END = 16, "d9"
"""Surplus bytes that some cameras leave before the end marker. More of them, or elsewhere, are data that could not be
decoded, and what follows may be damaged too."""
_SOS, _APP0, _APP14, _COMMENT = 0xDA, 0xE0, 0xEE, 0xFE
_KEPT_MARKERS = frozenset(range(0xC0, _COMMENT)) - frozenset(range(0xE0, 0xF0)) | {_APP0, _APP14}
"""Segments that pixels depend on; of the application segments, those of JFIF and Adobe only."""


class DamagedJpeg(ValueError):
    """Some of the JPEG's data is missing or wrong."""


def decode_jpeg(data: bytes, mode: str) -> tuple[np.ndarray, str | None] | None:
    """Decode a JPEG.

    Pillow and OpenCV decode the same pixels, but do not report libjpeg's warnings: missing parts of a file that was
    truncated and closed again come back grey.

    Args:
        mode: the file's own mode in Pillow's naming, one of `JPEG_MODES`.

    Returns:
        uint8 (H, W) grey, (H, W, 3) RGB or (H, W, 4) CMYK, and any possible damage. None: this decoder does not support
        the file, for example because of an unusual header; others may.

    Raises:
        DamagedJpeg: pixels are missing or wrong.
    """
    damage = None
    try:
        pixels = _strict(data, mode)
    except ValueError as error:  # the first warning, or a fatal error
        reason = str(error)
        surplus = _SURPLUS.search(reason)
        if _DAMAGE.search(reason):
            raise DamagedJpeg(reason) from error
        if not surplus:
            return None
        pixels = simplejpeg.decode_jpeg(data, JPEG_MODES[mode], strict=False)
        if int(surplus[1]) > _PADDING or surplus[2] != _END:
            damage = f"parts of it may be wrong ({reason}); replace the file"
    if mode == "CMYK":
        pixels = 255 - pixels  # stored inverted, by a convention that Photoshop set
    return pixels[..., 0] if mode == "L" else pixels, damage


def _strict(data: bytes, mode: str) -> np.ndarray:
    """Decode an intact JPEG, even if its header is unusual.

    Raises:
        ValueError: at libjpeg's first warning.
    """
    try:
        return simplejpeg.decode_jpeg(data, JPEG_MODES[mode])
    except ValueError:
        plain = _plain(data)
        if plain == data:
            raise
        return simplejpeg.decode_jpeg(plain, JPEG_MODES[mode])


def _plain(data: bytes) -> bytes:
    """Strip a JPEG's header of parts that libjpeg warns about and no pixel depends on.

    Dropped are bytes between segments, profiles and comments; the version becomes 1 (ITU-T T.81, B.1.1; T.871, 10.1).
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
        if marker in _KEPT_MARKERS:
            parts.append(segment)
        at = end
    return data
