"""Decode a picture file's pixels: as stored, but upright.

Pillow decodes everything. Other decoders are used where they give the same pixels faster, or support more: simplejpeg
for JPEG; OpenCV for 8-bit PNG, 16-bit colour (Pillow reduces it to 8 bits) and float colour (Pillow cannot open it).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageFile, TiffImagePlugin

from limelight.foundation.errors import UserError, reason_of
from limelight.imaging.colour import BROKEN_PROFILE, to_srgb
from limelight.imaging.header import Header
from limelight.imaging.jpeg import JPEG_MODES, DamagedJpeg, decode_jpeg
from limelight.imaging.tiff import (
    PHOTOMETRIC,
    PROFILE,
    SAMPLE_FORMAT,
    UNSIGNED,
    WHITE_IS_ZERO,
    Tags,
    check_layout,
    decode_floats,
    is_associated,
    unassociated,
)

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # a file's faults are reported here, once

_PNG_END = b"IEND\xaeB`\x82"
"""The last bytes of a complete PNG. OpenCV fills in what is missing of truncated ones; Pillow refuses them."""

NARROW = {"L;2": 85, "L;4": 17}
"""Pillow's names of 2-bit and 4-bit grey -> the level that Pillow gives a 1 when stretching to 8 bits."""

_TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda picture: picture,
    2: np.fliplr,
    3: lambda picture: np.rot90(picture, 2),
    4: np.flipud,
    5: lambda picture: np.rot90(np.fliplr(picture)),
    6: lambda picture: np.rot90(picture, -1),
    7: lambda picture: np.rot90(np.fliplr(picture), -1),
    8: np.rot90,
}
"""EXIF orientation -> how to turn the stored pixels upright (CIPA DC-008, tag Orientation)."""


@dataclass
class DecodedPicture:
    """The first picture in a file, decoded."""

    pixels: np.ndarray
    """uint8, uint16 or float32; (H, W) grey or (H, W, 3) RGB."""
    alpha_HW: np.ndarray | None = None
    """Of the same type as the pixels; None if the file has no transparency."""
    profile: bytes | None = None
    """The pixels' ICC profile; None if the file has none or it has been applied."""
    notes: tuple[str, ...] = ()
    """Parts of the file that were ignored."""
    damage: str | None = None
    """Possible damage of the pixels."""


def decode(header: Header, *, colour: bool) -> DecodedPicture:
    """Decode the first picture of a file.

    Args:
        colour: decode the visible picture: with transparency, and CMYK and LAB as RGB. If False, pixels are numbers,
            such as depth, and transparency and profiles are ignored.

    Raises:
        UserError: the file is damaged or truncated.
    """
    with _damage_in_one_line(header):
        decoded = _decode(header, colour)
    turn = _TURNS[header.orientation]
    decoded.pixels = np.ascontiguousarray(turn(decoded.pixels))
    if decoded.alpha_HW is not None:
        decoded.alpha_HW = np.ascontiguousarray(turn(decoded.alpha_HW))
    return decoded


def _decode(header: Header, colour: bool) -> DecodedPicture:
    image = header.image
    if image is None:
        assert header.tags is not None
        pixels, alpha_HW = decode_floats(header.name, header.data, header.tags)
        return DecodedPicture(pixels, alpha_HW, header.tags.get(PROFILE) if colour else None)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        check_layout(header.name, image.tag_v2)
    decoded = _by_simplejpeg(image, header.data) or _by_opencv(image, header.data, colour) or _by_pillow(image, colour)
    if image.format == "JPEG2000" and (profile := _jp2_profile(header.data)):
        image.info["icc_profile"] = profile
    if colour and "icc_profile" in image.info and image.mode not in ("CMYK", "LAB"):
        decoded.profile = image.info["icc_profile"] or None
        decoded.notes += () if decoded.profile else (BROKEN_PROFILE,)
    return decoded


def decode_indices(header: Header) -> tuple[np.ndarray, np.ndarray]:
    """Decode a palette picture: indices, uint8 (H, W), upright, and the palette, uint8 (n, 4) RGBA.

    Raises:
        UserError: the file is damaged or truncated.
    """
    with _damage_in_one_line(header):
        image = header.image
        assert image is not None
        image.load()
        image.apply_transparency()
        palette = np.array(image.getpalette("RGBA"), np.uint8).reshape(-1, 4)
        return np.ascontiguousarray(_TURNS[header.orientation](np.asarray(image))), palette


@contextmanager
def _damage_in_one_line(header: Header) -> Iterator[None]:
    """Raise a UserError where data is damaged, but not where memory runs out."""
    try:
        yield
    except UserError:
        raise
    except DamagedJpeg as error:
        raise UserError(f"cannot read {header.name}: parts of it are missing ({error}); replace the file") from error
    except Exception as error:  # damaged data raises nearly anything, from IndexError to struct.error
        if isinstance(error, MemoryError) or (isinstance(error, cv2.error) and error.code == cv2.Error.StsNoMem):
            raise
        raise UserError(f"cannot read {header.name}: {reason_of(error)}; replace the file") from error


def _by_simplejpeg(image: Image.Image, data: bytes) -> DecodedPicture | None:
    """Decode a JPEG; None for other files, and for a JPEG that simplejpeg does not support."""
    pixels_and_damage = (
        decode_jpeg(data, image.mode) if image.format in ("JPEG", "MPO") and image.mode in JPEG_MODES else None
    )
    if pixels_and_damage is None:
        return None
    pixels, damage = pixels_and_damage
    decoded = _printed(Image.fromarray(pixels, "CMYK"), image) if image.mode == "CMYK" else DecodedPicture(pixels)
    decoded.damage = damage
    return decoded


def _by_opencv(image: ImageFile.ImageFile, data: bytes, colour: bool) -> DecodedPicture | None:
    """Decode with OpenCV; None where Pillow must decode the file or report what is wrong with it."""
    wide = _has_wide_channels(image)
    if not (wide or _is_simple_png(image, colour)):
        return None
    if image.format == "PNG" and not data.rstrip(b"\0").endswith(_PNG_END):
        return None
    transparent = colour and image.mode in ("LA", "RGBA")
    if wide or transparent:
        flags = cv2.IMREAD_UNCHANGED
    else:
        flags = cv2.IMREAD_GRAYSCALE if image.mode in ("1", "L") else cv2.IMREAD_COLOR_RGB
    pixels: np.ndarray | None = cv2.imdecode(np.frombuffer(data, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None:  # Pillow reports the fault, or fills in what is missing
        decoded = _by_pillow(image, colour)
        decoded.damage = "parts of it may be missing; replace the file"
        return decoded
    if flags != cv2.IMREAD_UNCHANGED:
        return DecodedPicture(pixels)
    if not transparent:
        return _keyed(DecodedPicture(_to_rgb(pixels)), image, colour)
    colours, alpha_HW = pixels[..., 0] if image.mode == "LA" else _to_rgb(pixels), pixels[..., 3]
    if isinstance(image, TiffImagePlugin.TiffImageFile) and is_associated(image.tag_v2):
        colours = unassociated(colours, alpha_HW, np.iinfo(alpha_HW.dtype).max)
    return DecodedPicture(colours, alpha_HW)


def _is_simple_png(image: Image.Image, colour: bool) -> bool:
    """Whether OpenCV decodes it to the same pixels as Pillow, and silently: it warns about profiles."""
    if image.format != "PNG" or getattr(image, "is_animated", False) or image.mode.startswith("I"):
        return False
    stored = image.mode in ("1", "L", "RGB", "LA", "RGBA") and "transparency" not in image.info
    return "icc_profile" not in image.info and (stored or not colour)


def _has_wide_channels(image: ImageFile.ImageFile) -> bool:
    """Whether there are several channels of 16 bits, of which Pillow would keep only the upper 8."""
    return not image.mode.startswith("I") and ";16" in raw_mode(image)


def raw_mode(image: ImageFile.ImageFile) -> str:
    """Return Pillow's name of the stored pixels of a picture that is not decoded yet, such as 'RGB;16B' or 'L;4'."""
    arguments: Any = image.tile[0].args if image.tile else ""
    return str(arguments if isinstance(arguments, str) else arguments[0])


def _to_rgb(pixels: np.ndarray) -> np.ndarray:
    """Convert OpenCV's grey, BGR or BGRA to grey or RGB, dropping alpha."""
    return pixels if pixels.ndim == 2 else np.ascontiguousarray(pixels[..., 2::-1])


def _by_pillow(image: ImageFile.ImageFile, colour: bool) -> DecodedPicture:
    tags: Tags = image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else None
    if image.mode.startswith("I;16"):
        pixels = np.asarray(image).astype(np.uint16)
        if tags is not None and tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:
            pixels = np.iinfo(np.uint16).max - pixels
        return _keyed(DecodedPicture(pixels), image, colour)
    if image.mode == "I" and tags is not None and tags.get(SAMPLE_FORMAT, (UNSIGNED,))[0] == UNSIGNED:
        return DecodedPicture(np.asarray(image).view(np.uint32).astype(np.float32))
    if image.mode in ("I", "F"):
        return DecodedPicture(np.asarray(image, np.float32))
    grey = image.mode in ("1", "L", "LA", "La")
    if image.mode == "L" and (step := NARROW.get(raw_mode(image))):
        return _keyed(DecodedPicture(np.asarray(image)), image, colour, step)
    if colour and image.has_transparency_data:
        pixels = np.asarray(image.convert("LA" if grey else "RGBA"))
        return DecodedPicture(pixels[..., 0] if grey else pixels[..., :3], pixels[..., -1])
    image.info.pop("transparency", None)
    if image.mode in ("CMYK", "LAB"):
        return _printed(image, image)
    return DecodedPicture(np.asarray(image.convert("L" if grey else "RGB")))


def _keyed(decoded: DecodedPicture, image: Image.Image, colour: bool, step: int = 1) -> DecodedPicture:
    """Apply the transparent colour of a PNG of 2, 4 or 16 bits, if it has one (PNG 1.2, 4.2.1.1, tRNS).

    Args:
        step: difference between two neighbouring levels of the pixels.
    """
    key = image.info.get("transparency") if colour else None
    if key is not None:
        hidden = decoded.pixels == np.multiply(key, step)
        hidden_HW = hidden.all(axis=-1) if hidden.ndim == 3 else hidden
        decoded.alpha_HW = np.where(hidden_HW, 0, np.iinfo(decoded.pixels.dtype).max).astype(decoded.pixels.dtype)
    return decoded


def _jp2_profile(data: bytes) -> bytes | None:
    """Extract the ICC profile of a JPEG 2000 file, which Pillow ignores (ISO/IEC 15444-1, I.5.3.3)."""
    at = data.find(b"colr", 0, 4096)
    if at < 4 or data[at + 4] != 2:
        return None
    return data[at + 7 : at - 4 + int.from_bytes(data[at - 4 : at])]


def _printed(pixels: Image.Image, image: Image.Image) -> DecodedPicture:
    """Convert a picture's CMYK or LAB pixels to RGB."""
    converted, note = to_srgb(pixels, image.info.get("icc_profile"))
    return DecodedPicture(np.asarray(converted), notes=(note,) if note else ())
