"""What looks like a picture: by its suffix, or by its first bytes."""

import os
from pathlib import Path

from limelight.foundation.errors import UserError
from limelight.imaging.header import EXTENSIONS, container_of

_RAW = (
    ".3fr .arq .arw .cr2 .cr3 .crw .dcr .dng .erf .fff .gpr .iiq .k25 .kdc .mef .mos .mrw .nef .nrw .orf .pef .raf "
    ".raw .rw2 .rwl .sr2 .srf .srw .x3f"
)
_DRAWN = ".ai .cdr .emf .eps .svg .svgz .wmf"
_OTHER = (
    ".avifs .bpg .cin .cur .dcm .dcx .dds .djvu .dpx .exr .fits .flif .hdr .heics .heifs "
    ".icns .ico .j2c .jng .jpc .jpf .jpm .jls .jxl .jxr .kra .mng .mpo .ora .pam .pbm .pcd .pct "
    ".pcx .pfm .pgm .pict .pnm .ppm .psb .psd .psp .qoi .ras .sgi .tga .wbmp .wdp .xbm .xcf .xpm"
)
UNREAD = frozenset(f"{_RAW} {_DRAWN} {_OTHER}".split())
"""Suffixes of pictures that are not read: of cameras' raw files, of vector graphics and of other formats."""

HEAD = 32
"""Bytes that tell a format."""
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
"""Sizes that the header of a BMP has in its versions."""


def sniff(head: bytes) -> str | None:
    """The format that a file's first `HEAD` bytes are of, such as 'JPEG'; None where they are of no picture."""
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
    """Whether the suffix is one of pictures, be they read or not."""
    suffix = _suffix(name)
    return suffix in EXTENSIONS or suffix in UNREAD


def is_picture(path: Path | str) -> bool:
    """Whether an ordinary file is to be read as a picture: by its suffix, else by its first bytes.

    Under a suffix that is not read there may still be a picture that is, since the decoder goes by content; but not a
    TIFF, which is how most raw files begin, and of which it would decode the thumbnail.

    Raises:
        UserError: it looks like a picture and is not read, or it cannot be opened.
    """
    suffix = _suffix(path)
    if suffix in EXTENSIONS:
        return True
    try:
        with open(path, "rb", buffering=0) as handle:  # noqa: PTH123 - of every file of a tree
            kind = sniff(handle.read(HEAD))
    except OSError as error:
        if suffix and suffix not in UNREAD:  # it does not look like one
            return False
        raise UserError(
            f"{path} cannot be opened to see whether it is a picture: {error.strerror}; check who may read it"
        ) from error
    if suffix in UNREAD and kind in (None, "TIFF"):
        raise UserError(f"limelight does not read {suffix} files; convert it to JPEG, PNG or TIFF")
    return kind is not None


def check_is_read(path: Path | str) -> None:
    """Raise UserError where a file has the suffix of a picture that is not read, and no other picture is in it."""
    # Path.is_file raises in a closed folder.
    if _suffix(path) in UNREAD and os.path.isfile(path):  # noqa: PTH113
        is_picture(path)


def _suffix(path: Path | str) -> str:
    return os.path.splitext(path)[1].lower()  # noqa: PTH122 - as above
