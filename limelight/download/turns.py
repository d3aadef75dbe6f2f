"""Processes that want the same file take turns."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from limelight.foundation.errors import UserError


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Within the block, no other process is in a block of the same path; one that has to wait says so.

    The lock is the file '<path>.lock', which stays. A killed process holds it no longer.

    Raises:
        UserError: the folder cannot be made or written.
    """
    from filelock import FileLock, Timeout

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_name(path.name + ".lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            print(f"another process is at work on {path}; waiting for it", file=sys.stderr)
            lock.acquire()
    except OSError as error:
        raise UserError(f"cannot write {path.parent}: {error.strerror}; choose another place") from error
    try:
        yield
    finally:
        lock.release()
