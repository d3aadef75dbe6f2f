"""Standard input: a picture or a video, told apart by its first bytes."""

import io
import os
import select
import shutil
import sys
import tempfile
import threading
from contextlib import suppress
from typing import Any

from PIL import Image

from limelight.foundation.errors import UserError
from limelight.imaging.header import FORMATS
from limelight.media.suffixes import HEAD, sniff

_HEAD = 4096
"""First bytes that are looked at."""
_PATIENCE_S = 0.2
"""How long a read waits before it looks whether it is to stop."""


class StandardInput:
    """What is piped or redirected into this process; read once.

    Raises:
        UserError: it is a terminal, or closed.
    """

    name = "standard input"

    def __init__(self) -> None:
        if sys.stdin is None:
            raise UserError("standard input is closed; pipe a picture or a video into it, or name a file")
        if sys.stdin.isatty():
            raise UserError("standard input is a terminal; pipe a picture or a video into it, or name a file")
        buffer: Any = sys.stdin.buffer
        self._bytes: Any = getattr(buffer, "raw", buffer)  # a buffer waits until it is full
        self._stopped = threading.Event()
        try:
            self._descriptor: int | None = self._bytes.fileno()
        except (AttributeError, OSError):
            self._descriptor = None
        self._head = b""
        while len(self._head) < _HEAD and (more := self._bytes.read(_HEAD - len(self._head))):
            self._head += more
        self._given = 0

    @property
    def is_picture(self) -> bool:
        """Whether it is a picture of any kind that is read, or nothing at all."""
        if not self._head or sniff(self._head[:HEAD]) is not None:
            return True
        with suppress(Exception), Image.open(io.BytesIO(self._head), formats=FORMATS):
            return True
        return False

    def read_all(self) -> bytes:
        """Return all of it."""
        return self._head + bytes(self._bytes.read())

    def file(self) -> Any:
        """Return it as a file to read from: itself, or where its beginning cannot be read without its end, a copy.

        Raises:
            UserError: there is no room for the copy.
        """
        if self._descriptor is not None and self._bytes.seekable():
            self._bytes.seek(self._bytes.tell() - len(self._head))
            return self._bytes
        if not _index_is_last(self._head):
            return self
        copy = tempfile.TemporaryFile()  # noqa: SIM115 - removed when it is closed, with what reads it
        try:
            shutil.copyfileobj(self, copy)
            copy.seek(0)
        except OSError as error:
            copy.close()
            raise UserError(
                f"cannot keep {self.name} in {tempfile.gettempdir()}, which an MP4 file with its index at the end "
                f"needs: {error.strerror}; name the file instead, or set TMPDIR"
            ) from error
        return copy

    def read(self, size: int = _HEAD) -> bytes:
        """Return up to `size` bytes as soon as there are any; none at the end, or once it is stopped."""
        if self._given < len(self._head):
            start, self._given = self._given, min(len(self._head), self._given + size)
            return self._head[start : self._given]
        while self._descriptor is not None and not self._stopped.is_set():
            if select.select([self._descriptor], [], [], _PATIENCE_S)[0]:
                return os.read(self._descriptor, size)
        return b"" if self._stopped.is_set() else bytes(self._bytes.read(size))

    def stop(self) -> None:
        """Let a read in another thread end."""
        self._stopped.set()


def _index_is_last(head: bytes) -> bool:
    """Whether the first bytes are those of an MP4 or QuickTime file whose frames come before its index."""
    start = 0
    while start + 8 <= len(head):
        size, kind = int.from_bytes(head[start : start + 4], "big"), head[start + 4 : start + 8]
        if kind == b"mdat":
            return True
        if kind not in (b"ftyp", b"free", b"skip", b"wide") or size < 8:
            return False
        start += size
    return False
