"""Folders for files that are being written, and their removal after a process was killed.

The process that writes holds a lock (flock) on a file in the folder for as long as it lives. Unlike a process number, a
lock cannot be mistaken for another process's, and machines that share a disk see each other's. Folders without one are
left over.
"""

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

REPLACED = "replaced"
"""In such a folder: what stood where its content goes."""
_LOCK = ".lock"
_PREFIX = ".limelight."
_NAME = re.compile(re.escape(_PREFIX) + "[a-z0-9_]{8}")
"""As `tempfile.mkdtemp` makes them."""
_swept: set[str] = set()


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """Yield a new empty folder in `parent` for the time of the block.

    The first one that a process makes in a folder also sweeps it.

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
    """Remove what killed processes of this user left in a folder; what a process still writes stays.

    It stays too where the disk knows no locks, and where it cannot be removed.
    """
    _swept.add(_place(parent))
    try:
        with os.scandir(parent) as entries:
            found = [Path(entry.path) for entry in entries if _NAME.fullmatch(entry.name) and _is_ours(entry)]
    except OSError:  # there is no such folder, or it cannot be listed
        return
    for scratch in found:
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
    """A folder and the lock in it, which goes with its file descriptor."""
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
    """The file descriptor of a folder's lock; None: another process has the lock, or has removed the folder.

    Raises:
        OSError: the disk knows no locks, and it is `needed`; or the file cannot be made.
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
    """Remove a folder; if what it replaces was moved here and its new content not yet there, put that there first."""
    try:
        names = {entry.name for entry in scratch.iterdir()} - {_LOCK}
        if REPLACED in names and len(names) == 2:
            (new,) = names - {REPLACED}
            if not os.path.lexists(scratch.parent / new):
                (scratch / new).rename(scratch.parent / new)
    except OSError:  # better left over than lost
        return
    shutil.rmtree(scratch, ignore_errors=True)
