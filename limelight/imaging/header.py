"""Picture files and their headers: format, size, orientation, and whether a file is too large to decode.

Pillow parses every header: it reads format, orientation and size without decoding a pixel.
"""

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image, ImageFile, PngImagePlugin, TiffImagePlugin

from limelight.foundation.errors import TooLarge, UserError
from limelight.imaging.colour import MAX_PROFILE
from limelight.imaging.tiff import Tags, read_tags, size_of
from limelight.models.inputs import Size

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "BMP", "DIB", "TIFF", "GIF", "JPEG2000")
"""Pillow's names of supported formats. HEIF is read by another package."""
KINDS = "JPEG, PNG, WebP, AVIF, HEIC, BMP, TIFF, GIF or JPEG 2000"
MAX_PIXELS = 50_000_000
MAX_BYTES = 100 << 20

_ORIENTATION_TAG = 0x0112
_EMBEDDED_ORIENTATION = (b"eXIf", b"Raw profile type exif", b"XML:com.adobe.xmp")
_MAX_DPI = 65535
"""The largest value that JFIF can store."""
_INCH, _CM = 2, 3
"""Values of EXIF ResolutionUnit."""
_SUBFILE_TAG, _REDUCED_OR_MASK = 254, 1 | 4
"""TIFF 6.0, NewSubfileType: a smaller copy of another page, or a mask."""
_MOST_COUNTED = 100
"""Pages of a TIFF and frames of a GIF: neither states how many there are, and a small file can hold very many."""
_HEIF_BRANDS = frozenset((b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"))
_AVIF_BRANDS = frozenset((b"avif", b"avis"))


@dataclass(frozen=True)
class Header:
    """A file's bytes and parsed header; no pixel is decoded."""

    name: str
    """Name used in errors."""
    data: bytes
    image: ImageFile.ImageFile | None
    """Open, not decoded. None: a kind of TIFF that Pillow cannot open."""
    stored_size: Size
    """Height and width, before `orientation` is applied."""
    orientation: int = 1
    """EXIF orientation still to be applied to the decoded pixels, 1 to 8."""
    tags: Tags | None = None
    """Tags of a TIFF that Pillow cannot open."""

    @property
    def size(self) -> Size:
        """Height and width, upright."""
        return self.stored_size[::-1] if self.orientation >= 5 else self.stored_size

    @property
    def dpi(self) -> tuple[float, float] | None:
        """Resolution of the upright picture, horizontal and vertical; None where the file does not state it."""
        if self.image is None:
            return None
        try:
            across, down = (float(value) for value in self.image.info.get("dpi") or _exif_dpi(self.image))
        except Exception:  # damaged tags do not imply damaged pixels
            return None
        if not (0 < across <= _MAX_DPI and 0 < down <= _MAX_DPI):
            return None
        return (down, across) if self.orientation >= 5 else (across, down)

    @property
    def omitted(self) -> str | None:
        """Content besides the first picture, described in a note; read it only after decoding that picture."""
        # A JPEG's second picture is a preview or a gain map for brightness.
        if self.image is None or self.image.format in ("JPEG", "MPO"):
            return None
        try:
            count = _frames(self.image)
        except Exception:  # damaged data raises nearly any exception type
            return "only its first picture was used, and the others are damaged; replace the file"
        if count == 1:
            return None
        known = count or f"more than {_MOST_COUNTED}"
        return f"only the first of its {known} pictures was used; save the others as files of their own"


def open_picture(
    source: Path | str | bytes,
    max_pixels: int = MAX_PIXELS,
    max_bytes: int = MAX_BYTES,
    nameless: str = "the image",
) -> Header:
    """Read a file and parse its header.

    Args:
        source: a file, or the bytes of one.
        max_pixels, max_bytes: limits above which a file is refused.
        nameless: the name of raw bytes in errors.

    Raises:
        UserError: missing, empty, above a limit, damaged, or of an unsupported format.
        TooLarge: the picture has more than `max_pixels`.
    """
    data, name = _load(source, max_bytes, nameless)
    image: ImageFile.ImageFile | None = None
    tags = None
    try:
        with _pillows_limits_raised():
            image = Image.open(io.BytesIO(data), formats=_formats(data, name))
            size = image.size[::-1]
    except UserError:
        raise
    except Exception as error:  # damaged headers raise nearly any exception type, from IndexError to struct.error
        image, tags = None, read_tags(data)
        if tags is None:
            raise UserError(
                f"cannot read {name}: it is not an intact {KINDS} picture; convert or replace it"
            ) from error
        size = size_of(tags)
    height, width = size
    if width * height > max_pixels:
        raise TooLarge(
            f"cannot read {name}: {width}x{height} is {width * height} pixels, above the limit of {max_pixels}",
            "make it smaller",
            "limelight predict --max-pixels",
        )
    return Header(name, data, image, size, 1 if image is None else _orientation(image, data), tags)


def _load(source: Path | str | bytes, max_bytes: int, nameless: str) -> tuple[bytes, str]:
    """Return the file's bytes, and its name for errors."""
    if isinstance(source, bytes):
        name, length = nameless, len(source)
    else:
        name = str(source)
        try:
            if not Path(source).is_file():
                raise UserError(f"cannot read {name}: {_describe_obstacle(Path(source))}")
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


def _describe_obstacle(path: Path) -> str:
    """Describe what exists in place of a file."""
    if path.is_dir():
        return "it is a folder; give a file"
    if path.exists():
        return "it is a pipe or device, not an ordinary file; save the picture as one first"
    return "there is no such file; check the path"


def container_of(head: bytes) -> str | None:
    """Return 'AVIF' or 'HEIF' by the brands in a file's first bytes (videos use other brands); None for other files."""
    if head[4:8] != b"ftyp":
        return None
    brands = {head[at : at + 4] for at in range(8, min(int.from_bytes(head[:4]), 256), 4)}
    if brands & _AVIF_BRANDS:
        return "AVIF"
    return "HEIF" if brands & _HEIF_BRANDS else None


_lock = threading.Lock()


@contextmanager
def _pillows_limits_raised() -> Iterator[None]:
    """Lift Pillow's own limits: its pixel limit warns of pictures below this module's and would refuse some where this
    module's is raised; its PNG chunk limit refuses pictures with a large profile."""
    with _lock:
        pixels, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        chunk, PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_CHUNK, MAX_PROFILE
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK = pixels, chunk


def _formats(data: bytes, name: str) -> tuple[str, ...]:
    """Return candidate formats for the file. HEIF's reader is loaded for HEIF only."""
    if container_of(data) != "HEIF":
        return FORMATS
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        raise UserError(f"cannot read {name}: HEIC needs another package; pip install 'limelight[heif]'") from None
    register_heif_opener()
    return ("HEIF",)


def _orientation(image: Image.Image, data: bytes) -> int:
    """Return the EXIF orientation still to be applied. All decoders turn TIFF upright themselves."""
    if image.format == "TIFF":
        return 1
    # For a PNG, Pillow would decode the whole picture to search for a tag that may follow the pixels.
    if image.format == "PNG" and not any(marker in data for marker in _EMBEDDED_ORIENTATION):
        return 1
    try:
        orientation = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # a damaged tag: show the picture as stored, as every viewer does
        return 1
    return orientation if orientation in range(1, 9) else 1


def _exif_dpi(image: Image.Image) -> tuple[float, float]:
    """Read the resolution from EXIF, for formats where Pillow does not.

    Raises:
        Exception: of any type, where there is none.
    """
    if image.format not in ("WEBP", "AVIF", "HEIF") and "exif" not in image.info:
        raise KeyError("dpi")
    exif = image.getexif()
    per_inch = {_INCH: 1.0, _CM: 2.54}[exif.get(ExifTags.Base.ResolutionUnit, _INCH)]
    return exif[ExifTags.Base.XResolution] * per_inch, exif[ExifTags.Base.YResolution] * per_inch


def _frames(image: Image.Image) -> int | None:
    """Count the frames of an animation, or the pages of a TIFF that are not smaller copies or masks of others.

    Returns:
        None for more than are counted of this format.
    """
    if not getattr(image, "is_animated", False):
        return 1
    animated: Any = image  # not all formats have n_frames
    paged = isinstance(image, TiffImagePlugin.TiffImageFile)
    if not paged and image.format != "GIF":
        return animated.n_frames
    count = 0
    for number in range(_MOST_COUNTED + 1):
        try:
            if paged:
                animated.seek(number)
            else:
                animated._seek(number, False)  # as n_frames does; `seek` would decode each frame
        except EOFError:
            return count
        count += not (paged and animated.tag_v2.get(_SUBFILE_TAG, 0) & _REDUCED_OR_MASK)
    return None
