"""Record which results in a folder are finished, and from which inputs.

`limelight.done.jsonl` has one JSON object per line, appended once all results of a picture are written:

    {"result": "sub/a", "settings": "0a1b", "inputs": [["a.jpg", 9000, 17000000000]], "sizes": [80], "omitted": null}

The last line for a `result` counts. Paths are relative to the folder, so that it can be moved together with its
pictures. A line that a killed process left incomplete is ignored, and its picture is processed again.

Inputs are compared by size and time, not by content: hashing would mean to read every file again. A picture copied
without its time is therefore processed again, which is safe.
"""

import hashlib
import json
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from limelight.foundation.errors import UserError
from limelight.foundation.files import write_bytes

DONE = "limelight.done.jsonl"
_MAX_LINES_PER_RESULT = 2
"""Lines per result from which on the file is rewritten."""
Stamp = list[list[str | int]]
"""Name, size in bytes and modification time in ns of a picture and of its companion, if any."""


def stamp_of(inputs: Sequence[Path]) -> Stamp | None:
    """Return what shows whether a picture or its companion has changed; None where one is missing or inaccessible."""
    try:
        statuses = [(path.name, path.stat()) for path in inputs]
    except OSError:
        return None
    return [[name, status.st_size, status.st_mtime_ns] for name, status in statuses]


class Finished(NamedTuple):
    """One line of the record."""

    settings: str
    inputs: Stamp
    sizes: list[int]
    """Sizes of the results, in bytes."""
    omitted: str | None
    """Content of the picture that the image lacks; see `limelight.imaging.images.Photo`."""


class Done:
    """The finished results in a folder.

    Args:
        path: the record file; created if missing.
        settings: this run's settings, as JSON.

    Raises:
        UserError: the file cannot be read or created.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self._path = path
        self._settings = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
        self._finished: dict[str, Finished] = {}
        self.is_new = False
        """Whether the file was missing: no run began here, or one by a version that kept no such file."""
        try:
            self._load(path.read_bytes())
        except FileNotFoundError:
            self.is_new = True
            write_bytes(path, b"")
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror}; check it, or delete it") from error

    def find(self, place: PurePosixPath, inputs: Stamp | None, targets: Sequence[Path]) -> Finished | None:
        """Return a picture's line if all its results are complete and match these inputs and settings."""
        known = self._finished.get(str(place))
        if known is None or (known.settings, known.inputs) != (self._settings, inputs):
            return None
        return known if known.sizes == [_size(target) for target in targets] else None

    def is_of_these_settings(self, place: PurePosixPath) -> bool:
        """Whether results were made here with this run's settings, of these inputs or others."""
        known = self._finished.get(str(place))
        return known is not None and known.settings == self._settings

    def add(self, place: PurePosixPath, inputs: Stamp, sizes: list[int], omitted: str | None) -> None:
        """Append a line; safe from several threads and processes.

        Raises:
            UserError: the disk is full or not writable.
        """
        line = _line(str(place), Finished(self._settings, inputs, sizes, omitted))
        try:
            # A single write to a file opened for appending is not interleaved with others.
            with self._path.open("ab", buffering=0) as handle:
                handle.write(line)
        except OSError as error:
            raise UserError(f"cannot write {self._path}: {error.strerror}; free some space") from error

    def _load(self, content: bytes) -> None:
        """Parse the file; rewrite it where its last line is incomplete or many lines are superseded."""
        lines = content.splitlines()
        for line in lines:
            self._finished.update(_parse(line))
        if (content and not content.endswith(b"\n")) or len(lines) > _MAX_LINES_PER_RESULT * len(self._finished):
            write_bytes(self._path, b"".join(_line(*item) for item in self._finished.items()))


def _line(place: str, finished: Finished) -> bytes:
    return json.dumps({"result": place, **finished._asdict()}).encode() + b"\n"


def _parse(line: bytes) -> dict[str, Finished]:
    """Parse a line; empty if it is incomplete."""
    try:
        fields = json.loads(line)
        return {fields.pop("result"): Finished(**fields)}
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}


def _size(path: Path) -> int | None:
    """Return a file's size; None where it is missing, not an ordinary file, or its name is too long."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None
