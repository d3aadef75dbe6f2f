"""Where the bytes of a video go."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from limelight.foundation.errors import UserError
from limelight.foundation.files import FULL_DISK


class Sink:
    """A file, or standard output: what PyAV writes into. A context manager, which closes a file of its own.

    Args:
        target: the file, which is replaced; or an open one, such as standard output's, whose reader may wait for bytes.
        name: of messages.

    Raises:
        UserError: the file cannot be opened.
    """

    def __init__(self, target: Path | Any, name: str) -> None:
        self.name, self._owns = name, isinstance(target, Path)
        self.error: OSError | None = None
        """The first that the system raised; FFmpeg may hide it."""
        try:
            self._file: Any = target.open("wb") if self._owns else target
        except OSError as error:
            raise self.failure(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._owns:
            with suppress(OSError):  # raised before, by `finish`
                self._file.close()

    @property
    def closed(self) -> bool:
        return bool(self._file.closed)

    def seekable(self) -> bool:
        """Whether what was written can be written anew: a file's length is known at its end only."""
        return self._owns

    def write(self, data: bytes) -> int:
        try:
            self._file.write(data)
            if not self._owns:
                self._file.flush()
        except OSError as error:
            self.error = self.error or error
            raise
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        try:
            return int(self._file.seek(offset, whence))
        except OSError as error:  # from bytes that waited to be written
            self.error = self.error or error
            raise

    def tell(self) -> int:
        return int(self._file.tell())

    def finish(self) -> None:
        """Bring all bytes to the disk.

        Raises:
            UserError: it is full, or the like.
        """
        try:
            self._file.flush()
            if self._owns:
                os.fsync(self._file.fileno())
        except OSError as error:
            raise self.failure(self.error or error) from error

    def failure(self, error: OSError) -> UserError:
        """The error of one line that an error of the system becomes."""
        if isinstance(error, BrokenPipeError):
            return UserError(f"cannot write {self.name}: its reader ended; see what it says")
        advice = "free some space or choose another place" if error.errno in FULL_DISK else "choose another place"
        return UserError(f"cannot write {self.name}: {error.strerror}; {advice}")
