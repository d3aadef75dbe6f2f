"""Atomic writes, and hashes.

Content is written to a scratch folder beside its target. The writing process holds a lock (flock) on a file in the
folder for as long as it lives. Unlike a process number, a lock cannot be mistaken for another process's,
and machines that share a disk see each other's. Folders without one are left over from killed processes.
"""

import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from limelight.foundation.errors import UserError

REPLACED = "replaced"
"""Name in a scratch folder of the old target that its content replaces."""
_LOCK = ".lock"
_PREFIX = ".limelight."
_NAME = re.compile(re.escape(_PREFIX) + "[a-z0-9_]{8}")
"""Names of scratch folders, as `tempfile.mkdtemp` makes them."""
_swept: set[str] = set()
_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path` that becomes `path` when the block succeeds, and is removed if it fails.

    Works for a file or a folder; an existing target of the same kind is replaced. The suffix is kept, since encoders
    choose their format by it. What a killed process left in the same folder is removed.

    Raises:
        UserError: the system refuses to write: the disk is full, or the folder is not writable or missing.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with scratch_folder(path.parent) as scratch:
            # Its name does not repeat the target's, which may be as long as a name can be.
            temporary = scratch / path.name
            yield temporary
            _sync(temporary)
            if temporary.is_dir() and path.is_dir():
                path.rename(scratch / REPLACED)
            temporary.replace(path)
    except OSError as error:
        if error.errno is None:  # raised by a library, for example for a damaged archive
            raise
        advice = "free some space or choose another place" if error.errno in _FULL else "choose another place"
        raise UserError(f"cannot write {path}: {error.strerror}; {advice}") from error


def _sync(path: Path) -> None:
    """Flush one file to the disk, so that a power cut after the rename leaves no empty file behind."""
    if path.is_file():
        with path.open("rb") as handle:
            os.fsync(handle.fileno())


def write_json(path: Path | str, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys, whole or not at all. NaN and infinity are refused."""
    text = json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
    write_text(path, text + "\n")


def write_bytes(path: Path | str, content: bytes) -> None:
    """Write a file, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_text(path: Path | str) -> str:
    """Read UTF-8 text, without the byte order mark that Windows' editors add.

    Raises:
        UserError: the file has another encoding.
        OSError: it cannot be opened.
    """
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text (byte {error.start}: {error.reason}); save it as UTF-8") from None


def read_json(path: Path | str) -> Any:
    """Read a JSON file.

    Raises:
        UserError: the file is missing, cannot be read or is not JSON in UTF-8.
    """
    try:
        return json.loads(read_text(path))
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist; run the stage that writes it (dvc repro)") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; check the file and its permissions") from error
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({error}); restore it or write it anew") from error


def sha256_file(path: Path | str) -> str:
    """SHA-256 of a file's bytes, 64 lower-case hex digits.

    Raises:
        UserError: the file cannot be read.
    """
    return hash_file(path, "sha256")


def hash_file(path: Path | str, algorithm: Literal["sha256", "md5"]) -> str:
    """Hash of a file's bytes, lower-case hex digits.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        with Path(path).open("rb") as handle:
            # Machines under FIPS refuse MD5 unless it is said not to be a matter of security.
            return hashlib.file_digest(handle, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; check the file and its permissions") from error


def check_sha256(path: Path | str, expected: str | None) -> str:
    """Return a file's SHA-256, checked against `expected`; None = no check.

    Raises:
        UserError: the file is missing, or its hash differs.
    """
    if not Path(path).is_file():
        raise UserError(f"{path} does not exist; download it first")
    digest = sha256_file(path)
    if expected and digest != expected.lower():
        raise UserError(f"{path} has sha256 {digest}, expected {expected}; download it again")
    return digest


# ---------------------------------------------------------------------------------------------------- scratch folders
@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """Yield a new empty folder in `parent` for the time of the block.

    A process's first scratch folder in `parent` also sweeps `parent`.

    Raises:
        OSError: it cannot be made.
    """
    if _place(parent) not in _swept:
        sweep(parent)
    scratch, lock = _make(parent)
    try:
        yield scratch
    finally:
        os.close(lock)  # first: NFS keeps a file that is open, and its folder
        _remove(scratch)


def sweep(parent: Path) -> None:
    """Remove what killed processes of this user left in a folder; what a process is still writing stays.

    Leftovers also stay if the file system has no locks, or if they cannot be removed.
    """
    _swept.add(_place(parent))
    try:
        with os.scandir(parent) as entries:
            scratch_folders = [Path(entry.path) for entry in entries if _NAME.fullmatch(entry.name) and _is_ours(entry)]
    except OSError:  # there is no such folder, or it cannot be listed
        return
    for scratch in scratch_folders:
        with suppress(OSError):
            lock = _lock(scratch)
            if lock is not None:
                _remove(scratch)
                os.close(lock)
                scratch.rmdir()  # what NFS kept of it


def _place(folder: Path) -> str:
    return os.path.abspath(folder)  # noqa: PTH100 - resolve() would look at every part of the path, at every write


def _is_ours(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_uid == os.geteuid()
    except FileNotFoundError:  # its own process has just removed it
        return False


def _make(parent: Path) -> tuple[Path, int]:
    """Make a scratch folder, and lock it by a file in it; closing the returned descriptor releases the lock."""
    while True:
        scratch = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        try:
            lock = _lock(scratch, needed=False)
        except OSError:
            _remove(scratch)
            raise
        if lock is not None:  # else another process swept it before it was locked
            return scratch, lock


def _lock(scratch: Path, *, needed: bool = True) -> int | None:
    """Lock a folder and return the file descriptor; None: another process has the lock, or has removed the folder.

    Raises:
        OSError: the file system has no locks, and one is `needed`; or the file cannot be made.
    """
    try:
        lock = os.open(scratch / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(lock).st_nlink:
            return lock
    except BlockingIOError:
        pass
    except OSError:
        if not needed:
            return lock
        os.close(lock)
        raise
    os.close(lock)
    return None


def _remove(scratch: Path) -> None:
    """Remove a folder; if the old target was moved into it and the new one not yet out, finish that first."""
    try:
        names = {entry.name for entry in scratch.iterdir()} - {_LOCK}
        if REPLACED in names and len(names) == 2:
            (new,) = names - {REPLACED}
            if not os.path.lexists(scratch.parent / new):
                (scratch / new).rename(scratch.parent / new)
    except OSError:  # better left over than lost
        return
    shutil.rmtree(scratch, ignore_errors=True)
