"""Colour management: convert pixels from any ICC profile to sRGB."""

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

BROKEN_PROFILE = "its colour profile is damaged, or one of another kind of picture, and was ignored"

_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
_LAB = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
MAX_PROFILE = 4 << 20
"""Bytes. Printers' profiles have 0.5 to 3 MB."""
_STEPS = 9
"""Samples along each channel when a profile is compared with sRGB."""


def to_srgb(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, str | None]:
    """Convert a picture from its profile to sRGB, relative colorimetric.

    Args:
        image: mode L, RGB, CMYK or LAB, 8 bits per channel.
        profile: the picture's ICC profile. None = sRGB; for CMYK, Pillow's default conversion.

    Returns:
        The picture in mode RGB, or unchanged where the profile changes neither grey nor colours; and a note if the
        profile was ignored.
    """
    if image.mode == "LAB":
        profile = profile or _LAB
    if profile:
        grey_as_colour = image.mode == "L" and _colour_space(profile) == "RGB"
        source = image.convert("RGB") if grey_as_colour else image
        try:
            transform = _transform(profile, source.mode)
        except ImageCms.PyCMSError:
            return image.convert("RGB"), BROKEN_PROFILE
        if transform is not None:
            converted = ImageCms.applyTransform(source, transform)
            assert converted is not None  # None is returned only for in-place conversion
            return converted, None
    return image if image.mode in ("L", "RGB") else image.convert("RGB"), None


def array_to_srgb(pixels: np.ndarray, profile: bytes) -> tuple[np.ndarray, str | None]:
    """Apply `to_srgb` to uint8 (H, W) or (H, W, 3)."""
    image, note = to_srgb(Image.fromarray(pixels), profile)
    return np.asarray(image), note


def _colour_space(profile: bytes) -> str:
    """Read the colour space from the profile's header (ICC.1:2022, 7.2.6): 'RGB', 'GRAY', 'CMYK', ..."""
    return profile[16:20].decode("latin-1").strip()


@lru_cache(maxsize=8)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Build the transform to sRGB; None where no colour changes by more than a level, so that sRGB pictures are free.

    Raises:
        ImageCms.PyCMSError: the profile is damaged or for another kind of picture.
    """
    if len(profile) > MAX_PROFILE:
        raise ImageCms.PyCMSError(f"{len(profile)} bytes")
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
        transform = ImageCms.buildTransform(source, _SRGB, mode, "RGB", intent)
    except (OSError, TypeError, ValueError) as error:
        raise ImageCms.PyCMSError(str(error)) from error
    if mode not in ("L", "RGB"):
        return transform
    samples = _samples(mode)
    changed = np.asarray(ImageCms.applyTransform(samples, transform)).astype(int) - np.asarray(samples.convert("RGB"))
    return None if np.abs(changed).max() <= 1 else transform


def _samples(mode: str) -> Image.Image:
    """Make a picture of colours sampled over the RGB cube, or of all greys."""
    if mode == "L":
        return Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    levels = np.linspace(0, 255, _STEPS).astype(np.uint8)
    return Image.fromarray(np.stack(np.meshgrid(levels, levels, levels), -1).reshape(1, -1, 3))
