"""Write arrays as image files; all other code goes through here."""

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
from PIL import ExifTags, Image

from limelight.foundation.errors import UserError
from limelight.foundation.files import write_bytes

JPEG, LOSSY = (".jpg", ".jpeg"), (".jpg", ".jpeg", ".webp")
FILE_TYPES = (".png", *LOSSY)
"""File types of 8-bit picture results."""
QUALITY = 90
"""Default quality of JPEG and opaque WebP."""
LOSSLESS = 100
"""A WebP quality; the default for pictures with transparency: lossy blocks would smear colours across the object's
edge into pixels with alpha 0."""

_MAX_SIDE = {".webp": 16383, ".jpg": 65535, ".jpeg": 65535, ".png": 1_000_000}
_METRE_PER_INCH = 0.0254
_INCH = 2
"""A value of EXIF ResolutionUnit."""
_AFTER_HEADER = 8 + 25
"""Bytes of a PNG's signature and its first chunk, IHDR."""

Dpi = tuple[float, float] | None
"""Horizontal and vertical resolution; None where unknown."""


def write_png(path: Path | str, pixels: np.ndarray) -> None:
    """Write a PNG, whole or not at all.

    Args:
        pixels: uint8 or uint16, (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA.

    Raises:
        UserError: the disk is full or not writable.
    """
    if pixels.dtype not in (np.uint8, np.uint16):
        raise TypeError(f"write_png takes uint8 or uint16, not {pixels.dtype}")
    write_bytes(path, encode(pixels))


def encode(pixels: np.ndarray, file_type: str = ".png", *, quality: int | None = None, dpi: Dpi = None) -> bytes:
    """Encode a result as the bytes of an image file or `.npy`.

    Args:
        pixels: float32, encoded as `.npy` whatever the type; else uint8 or, for PNG, uint16: grey, RGB or RGBA.
        file_type: one of `FILE_TYPES`. JPEG has no transparency.
        quality: 1 to 100, for JPEG and WebP. None: `LOSSLESS` for WebP with transparency, else `QUALITY`.
        dpi: written into the file.

    Raises:
        UserError: the picture is larger than this file type allows.
    """
    if pixels.dtype == np.float32:
        buffer = io.BytesIO()
        np.save(buffer, pixels, allow_pickle=False)
        return buffer.getvalue()
    longest = _MAX_SIDE[file_type]
    if max(pixels.shape[:2]) > longest:
        height, width = pixels.shape[:2]
        remedy = "cut the picture" if file_type == ".png" else "write a .png file"
        raise UserError(f"{width}x{height} exceeds the {longest} pixels a side of {file_type} files; {remedy}")
    if file_type == ".png":
        return with_dpi(_png(pixels), dpi)
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
    """Add the resolution to a PNG: OpenCV, several times as fast as Pillow, writes none (PNG 1.2, 4.2.4.2)."""
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
