"""Scratch folders beside what is written, and the removal of those that killed processes left.

A process holds a lock (flock) on a file in its scratch folder for as long as it lives. Unlike a process number, a lock
cannot be mistaken for another process's, and machines that share a disk see each other's. Folders without one are left
over from killed processes.
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
"""Name in a scratch folder of the old target that its content replaces."""
_LOCK = ".lock"
_PREFIX = ".limelight."
_NAME = re.compile(re.escape(_PREFIX) + "[a-z0-9_]{8}")
"""Names of scratch folders, as `tempfile.mkdtemp` makes them."""
_swept: set[str] = set()


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
