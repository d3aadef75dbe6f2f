"""Arrays to the bytes of result files: PNG, JPEG, WebP and NumPy's own."""

import io
import struct
import zlib

import cv2
import numpy as np
from PIL import ExifTags, Image

from limelight.foundation.errors import UserError

JPEG, LOSSY = (".jpg", ".jpeg"), (".jpg", ".jpeg", ".webp")
FILE_TYPES = (".png", *LOSSY)
"""Of results that are pictures of 8 bits."""
QUALITY = 90
"""Of JPEG and opaque WebP, unless another is asked for."""
LOSSLESS = 100
"""A quality of WebP. Pictures with transparency have it unless another is asked for: the blocks of a lossy file carry
colours across the object's rim, under alpha 0."""

_LONGEST_SIDE = {".webp": 16383, ".jpg": 65535, ".jpeg": 65535}
_METRE_PER_INCH = 0.0254
_INCH = 2
"""EXIF ResolutionUnit."""
_AFTER_HEADER = 8 + 25
"""Bytes of a PNG's signature and of its first chunk, IHDR."""

Dpi = tuple[float, float] | None
"""Across and down; None where nothing is known."""


def encode(pixels: np.ndarray, file_type: str = ".png", *, quality: int | None = None, dpi: Dpi = None) -> bytes:
    """A result as the bytes of a file.

    Args:
        pixels: float32, which makes an `.npy` whatever the type; else uint8 or, of PNG, uint16: grey, RGB or RGBA.
        file_type: one of `FILE_TYPES`. JPEG has no transparency.
        quality: 1 to 100, of JPEG and WebP. None: `LOSSLESS` for WebP with transparency, else `QUALITY`.
        dpi: written into the file.

    Raises:
        UserError: the picture is larger than a file of this type can be.
    """
    if pixels.dtype == np.float32:
        buffer = io.BytesIO()
        np.save(buffer, pixels, allow_pickle=False)
        return buffer.getvalue()
    if file_type == ".png":
        return with_dpi(_png(pixels), dpi)
    longest = _LONGEST_SIDE[file_type]
    if max(pixels.shape[:2]) > longest:
        height, width = pixels.shape[:2]
        raise UserError(f"{width}x{height} is larger than a {file_type} file can be, {longest} a side; make a .png")
    image, buffer = Image.fromarray(pixels), io.BytesIO()
    if quality is None:
        quality = LOSSLESS if image.mode == "RGBA" and file_type == ".webp" else QUALITY
    if file_type == ".webp":
        lossless = quality == LOSSLESS
        exif = {"exif": _exif(dpi)} if dpi else {}
        image.save(buffer, "WEBP", quality=quality, lossless=lossless, exact=lossless, **exif)
    else:
        image.save(buffer, "JPEG", quality=quality, **({"dpi": dpi} if dpi else {}))
    return buffer.getvalue()


def _png(pixels: np.ndarray) -> bytes:
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    reorder = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}.get(channels)
    return cv2.imencode(".png", pixels if reorder is None else cv2.cvtColor(pixels, reorder))[1].tobytes()


def with_dpi(png: bytes, dpi: Dpi) -> bytes:
    """A PNG with its resolution: OpenCV, several times as fast as Pillow, writes none (PNG 1.2, 4.2.4.2)."""
    if dpi is None:
        return png
    across, down = (round(value / _METRE_PER_INCH) for value in dpi)
    chunk = b"pHYs" + struct.pack(">IIB", across, down, 1)
    chunk = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return png[:_AFTER_HEADER] + chunk + png[_AFTER_HEADER:]


def _exif(dpi: tuple[float, float]) -> Image.Exif:
    exif, tags = Image.Exif(), ExifTags.Base
    exif[tags.XResolution], exif[tags.YResolution], exif[tags.ResolutionUnit] = *dpi, _INCH
    return exif
