"""Record which results in a folder are finished, and from which inputs.

`limelight.done.jsonl` has one JSON object per line, appended once all results of a picture, or of a video, are written:

    {"result": "sub/a", "settings": "0a1b", "inputs": [["a.jpg", 9000, 17000000000]], "sizes": [80], "omitted": null,
     "source": "../photos/sub/a.jpg"}

The last line for a `result` counts. Paths are relative to the folder, so that it can be moved together with its
pictures. A line that a killed process left incomplete is ignored, and its picture is processed again. Earlier versions
wrote no `source`.

Inputs are compared by size and time, not by content: hashing would mean to read every file again. A picture copied
without its time is therefore processed again, which is safe.
"""

import hashlib
import json
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from limelight.foundation.errors import UserError
from limelight.foundation.files import write_bytes
from limelight.media.sources import absolute

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
    source: str | None = None
    """Path of the picture or video, relative to the record's folder; None = unknown."""


class Done:
    """The finished results in a folder.

    Args:
        path: the record file; the first line creates it.
        settings: this run's settings, as JSON.

    Raises:
        UserError: the file cannot be read.
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
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror}; check it, or delete it") from error

    def find(self, place: PurePosixPath, inputs: Stamp | None, targets: Sequence[Path]) -> Finished | None:
        """Return a picture's line if all its results are complete and match these inputs and settings."""
        known = self._finished.get(str(place))
        if known is None or (known.settings, known.inputs) != (self._settings, inputs):
            return None
        return known if known.sizes == [_size(target) for target in targets] else None

    def refusal(
        self, place: PurePosixPath, target: Path, source: Path, inputs: Stamp | None, *, unknown_is_ours: bool = False
    ) -> UserError | None:
        """Return why an existing result may not be replaced; None where it may.

        It may where it was made with this run's settings, of `source` or of a file that is gone.

        Args:
            target: the existing result.
            source: what it would now be made from.
            unknown_is_ours: whether a result without a line counts as one of this run's settings and source.
        """
        known = self._finished.get(str(place))
        if known is None and unknown_is_ours:
            return None
        if known is None or known.settings != self._settings:
            return UserError(
                f"{target} exists and was made with other settings or by something else; "
                "choose another --output, or --overwrite it"
            )
        if known.source is None or inputs in (None, known.inputs):
            return None
        other = self._path.parent.resolve() / known.source
        if not os.path.exists(other) or other.samefile(source):  # noqa: PTH110 - Path raises in a closed folder
            return None
        return UserError(
            f"{target} exists and was made from {os.path.normpath(other)}; choose another --output, --overwrite it, "
            "or give both sources in one run"
        )

    def add(
        self, place: PurePosixPath, source: Path, inputs: Stamp, sizes: list[int], omitted: str | None = None
    ) -> None:
        """Append a line; safe from several threads and processes.

        Raises:
            UserError: the disk is full or not writable.
        """
        relative = os.path.relpath(absolute(source), self._path.parent.resolve())
        line = _line(str(place), Finished(self._settings, inputs, sizes, omitted, relative))
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
