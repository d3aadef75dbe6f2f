"""Recognise pictures by suffix or by first bytes."""

import os
from pathlib import Path

from limelight.foundation.errors import UserError
from limelight.imaging.extensions import EXTENSIONS
from limelight.imaging.header import container_of

_RAW = (
    ".3fr .arq .arw .cr2 .cr3 .crw .dcr .dng .erf .fff .gpr .iiq .k25 .kdc .mef .mos .mrw .nef .nrw .orf .pef .raf "
    ".raw .rw2 .rwl .sr2 .srf .srw .x3f"
)
_VECTOR = ".ai .cdr .emf .eps .svg .svgz .wmf"
_OTHER_RASTER = (
    ".avifs .bpg .cin .cur .dcm .dcx .dds .djvu .dpx .exr .fits .flif .hdr .heics .heifs "
    ".icns .ico .j2c .jng .jpc .jpf .jpm .jls .jxl .jxr .kra .mng .mpo .ora .pam .pbm .pcd .pct "
    ".pcx .pfm .pgm .pict .pnm .ppm .psb .psd .psp .qoi .ras .sgi .tga .wbmp .wdp .xbm .xcf .xpm"
)
UNSUPPORTED = frozenset(f"{_RAW} {_VECTOR} {_OTHER_RASTER}".split())
"""Suffixes of unsupported pictures: camera raw files, vector graphics and other formats."""

HEAD = 32
"""Number of first bytes that identify a format."""
_MAGIC = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"\0\0\0\x0cjP  \r\n\x87\n": "JPEG 2000",
}
_BMP_HEADERS = frozenset((12, 40, 52, 56, 64, 108, 124))
"""Header sizes of the BMP versions."""


def sniff(head: bytes) -> str | None:
    """Return the format of a file's first `HEAD` bytes, such as 'JPEG'; None if they are not a picture's."""
    for magic, name in _MAGIC.items():
        if head.startswith(magic):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if container := container_of(head):
        return container
    if head[:2] == b"BM" and head[6:10] == bytes(4) and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    return None


def is_named_as_picture(name: str) -> bool:
    """Whether the suffix is a picture's, supported or not."""
    suffix = _suffix(name)
    return suffix in EXTENSIONS or suffix in UNSUPPORTED


def is_picture(path: Path | str) -> bool:
    """Whether to read an ordinary file as a picture: by its suffix, else by its first bytes.

    A file with an unsupported suffix may still hold a supported picture, since the decoder goes by content; but not a
    TIFF: most raw files begin like one, and the decoder would return their thumbnail.

    Raises:
        UserError: it looks like an unsupported picture, or it cannot be opened.
    """
    suffix = _suffix(path)
    if suffix in EXTENSIONS:
        return True
    try:
        with open(path, "rb", buffering=0) as handle:  # noqa: PTH123 - called for every file of a tree
            kind = sniff(handle.read(HEAD))
    except OSError as error:
        if suffix and suffix not in UNSUPPORTED:  # another kind of file
            return False
        raise UserError(
            f"{path} cannot be opened to see whether it is a picture: {error.strerror}; check its permissions"
        ) from error
    if suffix in UNSUPPORTED and kind in (None, "TIFF"):
        raise UserError(f"limelight does not read {suffix} files; convert it to JPEG, PNG or TIFF")
    return kind is not None


def check_is_read(path: Path | str) -> None:
    """Raise UserError where a file has the suffix of an unsupported picture and does not hold a supported one."""
    # Path.is_file raises in a folder without access.
    if _suffix(path) in UNSUPPORTED and os.path.isfile(path):  # noqa: PTH113
        is_picture(path)


def _suffix(path: Path | str) -> str:
    return os.path.splitext(path)[1].lower()  # noqa: PTH122 - as above
