"""Which results of a folder are finished, and what each was made from.

`limelight.done.jsonl` has one JSON object per line, appended when all results of a picture are written:

    {"result": "sub/a", "settings": "0a1b", "inputs": [["a.jpg", 9000, 17000000000]], "sizes": [80], "omitted": null}

Of several lines with one `result` the last counts. Everything is relative to the folder, so that it may be moved with
its pictures. A line that a killed process left unfinished is ignored: its picture is done again.

Inputs are compared by size and time, not by content, since to hash a file would mean to read it once more. A picture
that was copied without its time is thus done again, which is never wrong.
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
_WASTE = 2
"""Lines per result from which on the file is written anew."""
Stamp = list[list[str | int]]
"""Name, size in bytes and time of change in ns of a picture and, where there is one, of its companion."""


def stamp_of(inputs: Sequence[Path]) -> Stamp | None:
    """What tells whether a picture or its companion has changed; None where one of them is missing or closed."""
    try:
        found = [(path.name, path.stat()) for path in inputs]
    except OSError:
        return None
    return [[name, status.st_size, status.st_mtime_ns] for name, status in found]


class Finished(NamedTuple):
    """One line."""

    settings: str
    inputs: Stamp
    sizes: list[int]
    """Of the results, in bytes."""
    omitted: str | None
    """What was left out of the picture; see `limelight.imaging.images.Photo`."""


class Done:
    """What is finished in a folder of results.

    Args:
        path: of the file; made where it is not there.
        settings: those of this run, as JSON.

    Raises:
        UserError: the file cannot be read or made.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self._path = path
        self._settings = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
        self._finished: dict[str, Finished] = {}
        self.is_new = False
        """Whether the file was not there: nothing was begun here, or by a version that kept none."""
        try:
            self._load(path.read_bytes())
        except FileNotFoundError:
            self.is_new = True
            write_bytes(path, b"")
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror}; check it, or delete it") from error

    def find(self, place: PurePosixPath, inputs: Stamp | None, targets: Sequence[Path]) -> Finished | None:
        """The line of a picture whose results are all there, whole, and made from these inputs with these settings."""
        known = self._finished.get(str(place))
        if known is None or (known.settings, known.inputs) != (self._settings, inputs):
            return None
        return known if known.sizes == [_size(target) for target in targets] else None

    def add(self, place: PurePosixPath, inputs: Stamp, sizes: list[int], omitted: str | None) -> None:
        """Append a line; from any thread, and beside other processes.

        Raises:
            UserError: the disk is full or not writable.
        """
        line = _line(str(place), Finished(self._settings, inputs, sizes, omitted))
        try:
            # One write to a file that is open for appending is not mixed with another's.
            with self._path.open("ab", buffering=0) as handle:
                handle.write(line)
        except OSError as error:
            raise UserError(f"cannot write {self._path}: {error.strerror}; free some space") from error

    def _load(self, content: bytes) -> None:
        """Write the file anew, too, where its end is torn or many of its lines count no more."""
        lines = content.splitlines()
        for line in lines:
            self._finished.update(_parse(line))
        if (content and not content.endswith(b"\n")) or len(lines) > _WASTE * len(self._finished):
            write_bytes(self._path, b"".join(_line(*item) for item in self._finished.items()))


def _line(place: str, finished: Finished) -> bytes:
    return json.dumps({"result": place, **finished._asdict()}).encode() + b"\n"


def _parse(line: bytes) -> dict[str, Finished]:
    """Nothing, where the line was not finished."""
    try:
        fields = json.loads(line)
        return {fields.pop("result"): Finished(**fields)}
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}


def _size(path: Path) -> int | None:
    """None where there is no such file, or no ordinary one, or its name is too long for one."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None
