"""Unpacking archives that someone else made: nothing leaves the target folder, nothing grows without bound."""

import re
import shutil
import stat
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import IO, Self

from limelight.foundation.errors import UserError
from limelight.foundation.files import atomic_path

_BY_HAND = {b"Rar!": "a RAR archive", b"7z\xbc\xaf": "a 7z archive", b"\x28\xb5\x2f\xfd": "compressed by zstd"}
"""First bytes of archives that Python does not unpack."""
_DRIVE = re.compile(r"^[A-Za-z]:")
_CHUNK = 1 << 20
_MOST_HEADERS = 1 << 20
"""Bytes of what a tar says of one member, which is read into memory: a long name, times, extended attributes."""
_EXTENDED = (
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
)
_DAMAGE = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, LZMAError, EOFError),
    RecursionError,  # tarfile's, of a long chain of headers
)


@dataclass(frozen=True)
class Limits:
    """Limits beyond which an archive is rejected as a decompression bomb."""

    members: int = 1_000_000
    total_bytes: int = 200 << 30
    ratio: float = 200.0
    """Unpacked size / archive size; checked only beyond `free_bytes`, since small flat masks compress well."""
    free_bytes: int = 256 << 20


@dataclass
class _Guard:
    """Checks names and sizes one member at a time, before anything of it is written."""

    archive: Path
    limits: Limits
    members: int = 0
    total: int = 0
    headers: int = 0
    """Bytes of the extended headers of the member that comes next."""
    spelling: dict[str, str] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)

    def admit(self, name: str, size: int, *, folder: bool) -> PurePosixPath:
        path = self._safe(name)
        self.headers = 0
        self.members += 1
        if self.members > self.limits.members:
            self.refuse(f"holds more than {self.limits.members:,} files")
        self.grow(size)
        self._check_spelling(path, folder)
        return path

    def grow(self, size: int) -> None:
        self.total += size
        allowed = max(self.limits.free_bytes, self.limits.ratio * self.archive.stat().st_size)
        if self.total > min(allowed, self.limits.total_bytes):
            self.refuse(f"unpacks to more than {self.total >> 20:,} MB, as a decompression bomb does")

    def admit_header(self, size: int) -> None:
        self.headers += max(size, 0)
        if self.headers > _MOST_HEADERS:
            self.refuse(f"has a member with {self.headers:,} bytes of headers")

    def refuse(self, reason: str) -> None:
        raise UserError(f"{self.archive} {reason}; nothing was unpacked: get the archive from a source you trust")

    def _safe(self, name: str) -> PurePosixPath:
        plain = name.replace("\\", "/")
        path = PurePosixPath(plain)
        if path.is_absolute() or _DRIVE.match(plain) or ".." in path.parts or "\0" in plain or not path.parts:
            self.refuse(f"holds the path {name!r}, which leads out of the folder")
        return path

    def _check_spelling(self, path: PurePosixPath, folder: bool) -> None:
        """Refuse names that are equal on file systems that ignore case: one would overwrite the other there."""
        for part in [path, *path.parents][:-1]:
            folded = unicodedata.normalize("NFC", str(part)).casefold()
            known = self.spelling.setdefault(folded, str(part))
            if known != str(part):
                self.refuse(f"holds both {known!r} and {str(part)!r}, which differ in letters' case only")
        if not folder:
            if str(path) in self.files:
                self.refuse(f"holds {str(path)!r} twice")
            self.files.add(str(path))


def extract(archive: Path, target: Path, limits: Limits | None = None) -> None:
    """Unpack a .zip or a .tar (plain, gz, bz2, xz) into `target`, whole or not at all; an existing folder is replaced.

    Raises:
        UserError: damaged, encrypted, of another kind; or it holds an absolute path, '..', a drive letter, a link, a
            device, names that differ in case only, or more than `limits` allow.
    """
    with archive.open("rb") as handle:
        if what := _BY_HAND.get(handle.read(4)):
            raise _unknown(archive, what)
    guard = _Guard(archive, limits or Limits())
    unpack = _unpack_zip if zipfile.is_zipfile(archive) else _unpack_tar
    try:
        with atomic_path(target) as folder:
            folder.mkdir()
            for path, source in unpack(archive, guard):
                _write(folder / path, source, guard)
    except NotImplementedError as error:
        raise _unknown(archive, f"a zip archive of another kind ({error})") from None
    except _DAMAGE as error:
        raise UserError(f"{archive} is damaged or not a zip or tar archive ({error}); fetch it anew") from None


def _unknown(archive: Path, what: str) -> UserError:
    return UserError(
        f"{archive} is {what}, which cannot be unpacked here; unpack it by hand and give its folder as `path`"
    )


def _unpack_zip(archive: Path, guard: _Guard) -> Iterator[tuple[PurePosixPath, IO[bytes] | None]]:
    with zipfile.ZipFile(archive) as opened:
        for member in opened.infolist():
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                guard.refuse(f"holds {member.filename!r}, a link or a device")
            if member.flag_bits & 1:
                guard.refuse(f"holds {member.filename!r}, which is encrypted")
            # Windows' own tool ends a folder's name by a backslash.
            folder = member.is_dir() or member.filename.endswith("\\") or kind == stat.S_IFDIR
            path = guard.admit(member.filename, member.file_size, folder=folder)
            if folder:
                yield path, None
            else:
                with opened.open(member) as source:
                    yield path, source


def _unpack_tar(archive: Path, guard: _Guard) -> Iterator[tuple[PurePosixPath, IO[bytes] | None]]:
    class Member(tarfile.TarInfo):
        @classmethod
        def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
            """As TarInfo's, which tarfile calls before it reads what follows a block: all of an extended header."""
            member = super().frombuf(buf, encoding, errors)
            if member.type in _EXTENDED:
                guard.admit_header(member.size)
            return member

    # As a stream: each member is checked before the next is decompressed.
    with tarfile.open(archive, "r|*", tarinfo=Member) as opened:
        for member in opened:
            if member.name in (".", "./"):
                continue
            if not (member.isreg() or member.isdir()):
                guard.refuse(f"holds {member.name!r}, a link or a device")
            path = guard.admit(member.name, member.size, folder=member.isdir())
            yield path, None if member.isdir() else opened.extractfile(member)


def _write(path: Path, source: IO[bytes] | None, guard: _Guard) -> None:
    if source is None:
        path.mkdir(parents=True, exist_ok=True)
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as sink:
            shutil.copyfileobj(source, sink, _CHUNK)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        guard.refuse(f"holds {path.name!r} both as a file and as a folder")
