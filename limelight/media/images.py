"""Pictures in, arrays out, and back: one place that reads and writes image files.

Pillow parses every header: it knows the formats, the orientation and the size before a pixel is decoded. OpenCV
decodes what it decodes to the very same pixels (8-bit JPEG and PNG; 1.2 to 2.3 times as fast) and what Pillow would cut
to 8 bits (16-bit colour). Colour profiles are ignored, transparency is dropped, an animation is its first frame.
"""

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from models.errors import UserError
from models.files import atomic_path

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
EXTENSIONS = frozenset((".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"))
MAX_PIXELS = 50_000_000
MAX_BYTES = 100 << 20
ASPECT_TOLERANCE = 0.02

MAX_COLOUR = 0.02
"""Between a pixel's channels, on average, of a grey picture that went through a colour JPEG."""

_NAMELESS, _COMPANION = "the image", "the companion"
_ORIENTATION_TAG = 0x0112
_EMBEDDED_ORIENTATION = (b"eXIf", b"Raw profile type exif", b"XML:com.adobe.xmp")
_COMPLETE = (b"\xff\xd9", b"IEND\xaeB`\x82")
"""How a whole JPEG or PNG ends. OpenCV before 4.13 fills in what is missing of others; Pillow refuses them."""

_NARROW = {"L;2": 85, "L;4": 17}
"""What decoders make of a 1 in grey of 2 and 4 bits, which they stretch over 8."""

_TURNS = {
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


def read_image(source: Path | str | bytes, *, max_pixels: int = MAX_PIXELS, max_bytes: int = MAX_BYTES) -> np.ndarray:
    """Decode a picture of any supported kind.

    Args:
        source: a file, or the bytes of one.
        max_pixels: a larger picture is refused before it is decoded.
        max_bytes: a larger file is refused before it is read.

    Returns:
        uint8 (H, W, 3) RGB, turned upright. 16 bits are rounded to 8; float pixels are taken as [0, 1], or stretched
        from their minimum to their maximum where they leave it.

    Raises:
        UserError: missing, empty, too large, damaged, cut short, or of no supported kind.
    """
    return _to_8bit(_decode(source, max_pixels, max_bytes, grey=False))


def read_stored(path: Path | str) -> tuple[np.ndarray, np.ndarray | None]:
    """Decode a file's numbers as they are stored, turned upright: no palette looked up, no transparency dropped.

    Returns:
        uint8, uint16 or, of 32 bits, float32, (H, W), (H, W, 3) RGB or (H, W, 4) RGBA; and the palette, uint8 (n, 4)
        RGBA, where the numbers are indices into one.

    Raises:
        UserError: as `read_image`.
    """
    data, name = _load(path, MAX_BYTES)
    palette = None
    with _open(data, name, MAX_PIXELS) as image:
        orientation, one = _orientation(image, data), _NARROW.get(_raw_mode(image))
        if image.mode == "P":
            pixels, palette = _decode_palette(image, name)
        elif image.mode in ("LA", "La", "PA", "RGBA", "RGBa"):
            pixels = _decode_alpha(image, data, name)
        else:
            grey = image.mode in ("L", "1")
            pixels = _decode_by_opencv(image, data, grey)
            if pixels is None:
                pixels = _decode_by_pillow(image, name, grey, stretched=False)
            if one is not None and pixels.max() == one:
                pixels = pixels // one
    return np.ascontiguousarray(_TURNS[orientation](pixels)), palette


def read_companion(
    source: Path | str | bytes, *, depth: bool = False, max_pixels: int = MAX_PIXELS, max_bytes: int = MAX_BYTES
) -> np.ndarray:
    """Decode a companion picture, depth or thermal.

    Args:
        source, max_pixels, max_bytes: as in `read_image`.
        depth: colour is refused, whose luminance is no distance. That of thermal pictures is taken.

    Returns:
        float32 (H, W) in [0, 1]: the share of the bit depth's maximum, or the floats as stored.

    Raises:
        UserError: as `read_image`; colour, see `depth`; floats or 32-bit integers that are not in [0, 1].
    """
    pixels = _decode(source, max_pixels, max_bytes, grey=not depth, nameless=_COMPANION, stretched=False)
    name = _COMPANION if isinstance(source, bytes) else source
    if pixels.ndim == 3:
        spread = (pixels.max(-1) - pixels.min(-1)).mean() / np.iinfo(pixels.dtype).max
        if spread > MAX_COLOUR:
            raise UserError(f"{name} is a colour picture, and depth has one channel; give the sensor's own file")
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    if pixels.dtype == np.float32 and not (pixels.min() >= 0 and pixels.max() <= 1):
        raise UserError(
            f"{name} holds numbers from {pixels.min():g} to {pixels.max():g} without a known maximum; scale them to "
            "[0, 1], or store them in 8 or 16 bits"
        )
    return _share(pixels)


def read_grey(path: Path | str) -> np.ndarray:
    """One channel in uint8 (H, W): 8-bit grey files come back as stored, others rounded to the nearest; colour becomes
    luminance."""
    pixels = _decode(path, MAX_PIXELS, MAX_BYTES, grey=True)
    return pixels if pixels.dtype == np.uint8 else np.rint(_share(pixels) * 255).astype(np.uint8)


def fit_to(pixels: np.ndarray, size: tuple[int, int], what: str) -> np.ndarray:
    """Resize `pixels` (H, W) to `size` (width, height): by area where it shrinks, else bilinear.

    Args:
        what: named in the error.

    Raises:
        UserError: the aspect ratios differ by more than 2 %, so that one cannot belong to the other.
    """
    height, width = pixels.shape[:2]
    # A side of n pixels may have been rounded from n - 1/2 to n + 1/2.
    rounding = 0.5 / min(width, height) + 0.5 / min(size)
    ratio = (width * size[1]) / (height * size[0])
    if abs(np.log(ratio)) > ASPECT_TOLERANCE + rounding:
        raise UserError(
            f"{what} is {width}x{height} and its picture {size[0]}x{size[1]}: these are no two sizes of one scene; "
            "pair the files anew"
        )
    shrinks = width * height > size[0] * size[1]
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def image_size(source: Path | str | bytes) -> tuple[int, int]:
    """Width and height of a picture as `read_image` returns it, from its header.

    Raises:
        UserError: as `read_image`, as far as the header tells.
    """
    data, name = _load(source, MAX_BYTES)
    with _open(data, name, MAX_PIXELS) as image:
        width, height = image.size
        return (height, width) if _orientation(image, data) >= 5 else (width, height)


def write_png(path: Path | str, pixels: np.ndarray) -> None:
    """Write a PNG, whole or not at all.

    Args:
        pixels: uint8 or uint16, (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA.

    Raises:
        UserError: the disk is full or not writable.
    """
    if pixels.dtype not in (np.uint8, np.uint16):
        raise TypeError(f"write_png takes uint8 or uint16, not {pixels.dtype}")
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    reorder = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}.get(channels)
    stored = pixels if reorder is None else cv2.cvtColor(pixels, reorder)
    with atomic_path(path) as temporary:
        temporary.write_bytes(cv2.imencode(".png", stored)[1])


def _decode(
    source: Path | str | bytes,
    max_pixels: int,
    max_bytes: int,
    *,
    grey: bool,
    nameless: str = _NAMELESS,
    stretched: bool = True,
) -> np.ndarray:
    """uint8, uint16 or float32, (H, W) where `grey` or where the file has one wide channel, else (H, W, 3) RGB.

    Args:
        stretched: bring numbers without a nominal maximum into [0, 1].
    """
    data, name = _load(source, max_bytes, nameless)
    with _open(data, name, max_pixels) as image:
        orientation = _orientation(image, data)
        pixels = _decode_by_opencv(image, data, grey)
        if pixels is None:
            pixels = _decode_by_pillow(image, name, grey, stretched)
    if grey and pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    return np.ascontiguousarray(_TURNS[orientation](pixels))


def _load(source: Path | str | bytes, max_bytes: int, nameless: str = _NAMELESS) -> tuple[bytes, str]:
    """The file's bytes, and what to call it in an error; `nameless` if it comes as bytes."""
    if isinstance(source, bytes):
        name, length = nameless, len(source)
    else:
        name = str(source)
        try:
            if not Path(source).is_file():
                raise UserError(f"cannot read {name}: {_what_else(Path(source))}")
            length = Path(source).stat().st_size
        except (OSError, ValueError) as error:  # ValueError: a null byte in the path
            raise UserError(f"cannot read {name}: {error}; check the path") from error
    if length > max_bytes:
        raise UserError(f"cannot read {name}: {length} bytes, above the limit of {max_bytes}; make it smaller")
    if length == 0:
        raise UserError(f"cannot read {name}: it is empty; replace it")
    if isinstance(source, bytes):
        return source, name
    try:
        return Path(source).read_bytes(), name
    except OSError as error:
        raise UserError(f"cannot read {name}: {error.strerror}; check the file") from error


def _what_else(path: Path) -> str:
    """What is there in place of a file."""
    if path.is_dir():
        return "it is a folder; give a file"
    if path.exists():
        return "it is a pipe or device, no ordinary file; save the picture as one first"
    return "there is no such file; check the path"


def _open(data: bytes, name: str, max_pixels: int) -> Image.Image:
    """Parse the header alone."""
    kinds = "JPEG, PNG, WebP, BMP, TIFF or GIF"
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise UserError(f"cannot read {name}: {error}; make it smaller") from error
    except Exception as error:  # damaged headers raise nearly anything, from IndexError to struct.error
        raise UserError(f"cannot read {name}: it is no intact {kinds} picture; convert or replace it") from error
    width, height = image.size
    if width * height > max_pixels:
        raise UserError(
            f"cannot read {name}: {width}x{height} is {width * height} pixels, above the limit of {max_pixels}; "
            "make it smaller"
        )
    return image


def _orientation(image: Image.Image, data: bytes) -> int:
    """EXIF orientation that is left to apply, 1 to 8. Both decoders turn TIFF upright themselves."""
    if image.format == "TIFF":
        return 1
    # For a PNG Pillow would decode the whole picture in search of a tag that may follow it.
    if image.format == "PNG" and not any(marker in data for marker in _EMBEDDED_ORIENTATION):
        return 1
    try:
        orientation = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # a damaged tag says nothing about the picture; every viewer shows it as stored
        return 1
    return orientation if orientation in _TURNS else 1


def _decode_by_opencv(image: Image.Image, data: bytes, grey: bool) -> np.ndarray | None:
    """The pixels as stored, or None where Pillow must decode them or say what is wrong."""
    wide = _has_wide_channels(image)
    simple = image.format in ("JPEG", "MPO") and image.mode in ("L", "RGB")
    simple |= image.format == "PNG" and not getattr(image, "is_animated", False) and not image.mode.startswith("I")
    if not (wide or simple) or (image.format != "TIFF" and not data.rstrip(b"\0").endswith(_COMPLETE)):
        return None
    if wide:
        flags = cv2.IMREAD_UNCHANGED
    elif grey and image.mode in ("L", "1"):
        flags = cv2.IMREAD_GRAYSCALE
    else:
        flags = cv2.IMREAD_COLOR_RGB
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        return None
    if pixels is None or not wide:
        return pixels
    return np.ascontiguousarray(pixels[..., 2::-1]) if pixels.ndim == 3 else pixels


def _has_wide_channels(image: Image.Image) -> bool:
    """Several channels of 16 bits, of which Pillow would keep the upper eight."""
    return not image.mode.startswith("I") and ";16" in _raw_mode(image)


def _raw_mode(image: Image.Image) -> str:
    arguments: Any = image.tile[0].args if image.tile else ""
    return str(arguments if isinstance(arguments, str) else arguments[0])


def _decode_palette(image: Image.Image, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Indices uint8 (H, W), and the palette uint8 (n, 4) RGBA."""
    try:
        image.load()
        image.apply_transparency()
        return np.asarray(image), np.array(image.getpalette("RGBA"), np.uint8).reshape(-1, 4)
    except Exception as error:  # as in _decode_by_pillow
        raise UserError(f"cannot read {name}: {error}; replace the file") from error


def _decode_alpha(image: Image.Image, data: bytes, name: str) -> np.ndarray:
    """uint8 or uint16 (H, W, 4) RGBA."""
    is_wide = _has_wide_channels(image)
    try:
        pixels = np.asarray(image.convert("RGBA"))
    except Exception as error:  # as in _decode_by_pillow
        raise UserError(f"cannot read {name}: {error}; replace the file") from error
    if not is_wide:
        return pixels
    wide = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    return pixels if wide is None or wide.shape[2:] != (4,) else cv2.cvtColor(wide, cv2.COLOR_BGRA2RGBA)


def _decode_by_pillow(image: Image.Image, name: str, grey: bool, stretched: bool) -> np.ndarray:
    """uint8, uint16 or float32 pixels of the first frame, as stored."""
    try:
        image.info.pop("transparency", None)
        if image.mode.startswith("I;16"):
            return np.asarray(image).astype(np.uint16)
        if image.mode in ("I", "F"):
            pixels = np.asarray(image, np.float32)
            return _stretch(pixels, name) if stretched else pixels
        return np.asarray(image.convert("L" if grey and image.mode in ("L", "1", "LA") else "RGB"))
    except (UserError, MemoryError):
        raise
    except Exception as error:  # damaged data raises nearly anything, as above
        raise UserError(f"cannot read {name}: {error}; replace the file") from error


def _stretch(pixels: np.ndarray, name: str) -> np.ndarray:
    """float32 in [0, 1]: pixels without a nominal maximum, stretched where they leave that range."""
    if not np.isfinite(pixels).all():
        raise UserError(f"cannot read {name}: it holds pixels that are not finite; replace them")
    low, high = pixels.min(), pixels.max()
    if low >= 0 and high <= 1:
        return pixels
    return (pixels - low) / max(high - low, np.finfo(np.float32).tiny)


def _share(pixels: np.ndarray) -> np.ndarray:
    """float32: integer pixels as the share of their type's maximum."""
    if pixels.dtype == np.float32:
        return pixels
    return pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)


def _to_8bit(pixels: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3), every value rounded to the nearest."""
    if pixels.dtype == np.uint16:
        pixels = np.rint(pixels / 257.0).astype(np.uint8)
    elif pixels.dtype == np.float32:
        pixels = np.rint(pixels * 255).astype(np.uint8)
    return cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB) if pixels.ndim == 2 else pixels
