"""Read image files into arrays; all other code goes through here. `limelight.imaging.encoding` writes them."""

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from limelight.foundation.errors import UserError, shortage
from limelight.imaging.colour import array_to_srgb
from limelight.imaging.companions import fit_companion
from limelight.imaging.decoding import decode
from limelight.imaging.header import MAX_BYTES, MAX_PIXELS, open_picture
from limelight.imaging.transparency import Transparency, on_ground
from limelight.models.inputs import Size

MAX_COLOUR = 0.02
"""Mean difference between a pixel's channels, at most, in a grey picture saved as a colour JPEG."""


class Photo(NamedTuple):
    """A decoded picture, and what its results preserve from the file."""

    image_HW3: np.ndarray
    """uint8 sRGB. Transparent files are composited onto a ground that contrasts with the visible part."""
    transparency: Transparency | None = None
    """None if the picture is opaque."""
    dpi: tuple[float, float] | None = None
    """Horizontal and vertical resolution, where the file states it."""
    notes: tuple[str, ...] = ()
    """Parts of the file that were ignored, such as a damaged colour profile."""
    omitted: str | None = None
    """Content of the file that the image lacks, such as the other frames of an animation."""


class Picture(NamedTuple):
    """A photo with its companion: a predictor's input for one scene."""

    photo: Photo
    companion_HW: np.ndarray | None = None
    """float32 in [0, 1], of the photo's size."""
    modality: str = "rgb"
    """'rgb' without a companion."""


def read_picture(
    image: Path | str | bytes,
    companion: Path | str | bytes | None = None,
    modality: str = "rgb",
    max_pixels: int = MAX_PIXELS,
) -> Picture:
    """Read a picture, and its companion if any.

    Args:
        image, companion: files, or their bytes.
        modality: what the companion is, 'rgbd' or 'rgbt'.
        max_pixels: limit for each; a larger one is refused before it is decoded.

    Raises:
        UserError: a file cannot be read, or the companion holds no reading or has other proportions; names the file.
        Shortage: a picture is too large for the memory.
    """
    try:
        photo = read_photo(image, max_pixels=max_pixels)
        if companion is None:
            return Picture(photo)
        what = "the companion" if isinstance(companion, bytes) else f"companion {companion}"
        companion_HW = read_companion(companion, depth=modality == "rgbd", max_pixels=max_pixels)
        return Picture(photo, fit_companion(companion_HW, photo.image_HW3.shape[:2], what), modality)
    except Exception as error:
        if (short := shortage(error)) is not None:
            raise short from error
        raise


def read_photo(source: Path | str | bytes, *, max_pixels: int = MAX_PIXELS, max_bytes: int = MAX_BYTES) -> Photo:
    """Decode a picture of any supported format.

    Args:
        source: a file, or the bytes of one.
        max_pixels: a larger picture is refused before it is decoded.
        max_bytes: a larger file is refused before it is read.

    Returns:
        The picture, turned upright and converted from its ICC profile to sRGB, relative colorimetric. 16 bits are
        rounded to 8; float pixels are taken as [0, 1], or stretched from their minimum to their maximum where they
        exceed that range.

    Raises:
        UserError: missing, empty, above a limit, damaged, truncated, or of an unsupported format.
    """
    header = open_picture(source, max_pixels, max_bytes)
    decoded = decode(header, colour=True)
    pixels, notes, omitted = (
        _to_8bit(_stretch(decoded.pixels, header.name)),
        decoded.notes,
        decoded.damage or header.omitted,
    )
    if decoded.profile:
        pixels, note = array_to_srgb(pixels, decoded.profile)
        notes += (note,) if note else ()
    image_HW3 = cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB) if pixels.ndim == 2 else pixels
    if decoded.alpha_HW is None:
        return Photo(image_HW3, None, header.dpi, notes, omitted)
    return Photo(*on_ground(image_HW3, _to_8bit(decoded.alpha_HW)), header.dpi, notes, omitted)


def read_image(source: Path | str | bytes, *, max_pixels: int = MAX_PIXELS, max_bytes: int = MAX_BYTES) -> np.ndarray:
    """Read only the picture that `read_photo` returns: uint8 (H, W, 3) sRGB."""
    return read_photo(source, max_pixels=max_pixels, max_bytes=max_bytes).image_HW3


def read_companion(source: Path | str | bytes, *, depth: bool = False, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode a companion picture, depth or thermal.

    Args:
        source, max_pixels: as in `read_photo`.
        depth: refuse colour, whose luminance is not a distance. Thermal pictures may be coloured.

    Returns:
        float32 (H, W) in [0, 1]: fractions of the bit depth's maximum, or the floats as stored.

    Raises:
        UserError: as `read_image`; colour, see `depth`; floats or 32-bit integers that are not in [0, 1].
    """
    header = open_picture(source, max_pixels, MAX_BYTES, "the companion")
    pixels, name = decode(header, colour=False).pixels, header.name
    if pixels.ndim == 3 and depth:
        spread = (pixels.max(-1) - pixels.min(-1)).mean() / np.iinfo(pixels.dtype).max
        if spread > MAX_COLOUR:
            raise UserError(f"{name} is a colour picture, and depth has one channel; give the sensor's own file")
    pixels = _luminance(pixels)
    if pixels.dtype == np.float32 and not (pixels.min() >= 0 and pixels.max() <= 1):
        raise UserError(
            f"{name} holds numbers from {pixels.min():g} to {pixels.max():g} without a known maximum; scale them to "
            "[0, 1], or store them in 8 or 16 bits"
        )
    return _share(pixels)


def read_grey(path: Path | str) -> np.ndarray:
    """Read one channel as uint8 (H, W): 8-bit grey files as stored, others rounded to the nearest; colour becomes
    luminance."""
    pixels = _grey(path)
    return pixels if pixels.dtype == np.uint8 else np.rint(_share(pixels) * 255).astype(np.uint8)


def image_size(source: Path | str | bytes) -> Size:
    """Read the height and width that `read_image` would return, from the header only.

    Raises:
        UserError: as `read_image`, where the header shows it.
    """
    return open_picture(source).size


def _grey(source: Path | str) -> np.ndarray:
    """(H, W) uint8, uint16, or float32 in [0, 1]."""
    header = open_picture(source)
    return _stretch(_luminance(decode(header, colour=False).pixels), header.name)


def _luminance(pixels: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) if pixels.ndim == 3 else pixels


def _stretch(pixels: np.ndarray, name: str) -> np.ndarray:
    """Bring floats to [0, 1]: having no nominal maximum, they are stretched where they exceed it. Integers are kept."""
    if pixels.dtype != np.float32:
        return pixels
    if not np.isfinite(pixels).all():
        raise UserError(f"cannot read {name}: it holds pixels that are not finite; replace them")
    low, high = pixels.min(), pixels.max()
    if low >= 0 and high <= 1:
        return pixels
    return (pixels - low) / max(high - low, np.finfo(np.float32).tiny)


def _share(pixels: np.ndarray) -> np.ndarray:
    """Convert to float32: integer pixels as fractions of their type's maximum."""
    if pixels.dtype == np.float32:
        return pixels
    return pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)


def _to_8bit(pixels: np.ndarray) -> np.ndarray:
    """Convert to uint8, rounding to the nearest."""
    if pixels.dtype == np.uint16:
        return np.rint(pixels / 257.0).astype(np.uint8)
    if pixels.dtype == np.float32:
        return np.rint(pixels * 255).astype(np.uint8)
    return pixels
