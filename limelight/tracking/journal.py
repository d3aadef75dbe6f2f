"""Journal of runs: written to disk now, logged to MLflow later.

Importing MLflow takes longer than most stages run. Short stages write what they would log to work/journal/, and the
next stage that opens the store anyway (a training, compare, package) logs it with the original timestamps.
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from limelight.config import Params
from limelight.foundation.files import without_nan, write_json
from limelight.tracking.provenance import provenance

FOLDER = Path("work/journal")


class Note:
    """What a stage records of its run, through the methods of `limelight.tracking.Tracker`."""

    def __init__(self) -> None:
        self.params: dict[str, Any] = {}
        self.metrics: dict[str, float] = {}
        self.tags: dict[str, str] = {}
        self.artifacts: list[str] = []

    def log_params(self, values: Mapping[str, Any]) -> None:
        self.params.update(values)

    def log_metrics(self, values: Mapping[str, Any]) -> None:
        """Record numbers; nested mappings become dotted names."""
        self.metrics.update(values)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        self.tags.update(tags)

    def log_artifact(self, path: Path) -> None:
        """Record a file or folder, which must still exist when the run is logged."""
        self.artifacts.append(str(path))


@contextmanager
def noted_run(params: Params, stage: str, name: str = "") -> Iterator[Note]:
    """Record one stage's run, to be logged by the next `limelight.tracking.tracked_run` in this folder.

    An exception is recorded too, as FAILED or KILLED, and re-raised. NaN and infinite figures are recorded as null.
    """
    note, started = Note(), _now()
    try:
        yield note
    except BaseException as error:
        with suppress(Exception):  # a failure to record must not hide the stage's own
            _write(params, note, stage, name, started, _ended_by(error))
        raise
    _write(params, note, stage, name, started, "FINISHED")


def _ended_by(error: BaseException) -> str:
    return "KILLED" if isinstance(error, SystemExit | KeyboardInterrupt) else "FAILED"


def _write(params: Params, note: Note, stage: str, name: str, started: int, status: str) -> None:
    if not params.tracking.enabled:
        return
    entry = {
        "name": f"{stage} {name}".strip(),
        "status": status,
        "started": started,
        "ended": _now(),
        "parent": os.environ.get("LIMELIGHT_PARENT_RUN"),
        "facts": provenance(params),  # at the end: the stage may have changed the data's hash
        "tags": {"stage": stage, **note.tags},
        "params": without_nan(note.params),
        "metrics": without_nan(note.metrics),
        "artifacts": note.artifacts,
    }
    write_json(FOLDER / f"{entry['ended']}-{os.getpid()}.json", entry)


def _now() -> int:
    """Milliseconds since the epoch, MLflow's unit of time."""
    return time.time_ns() // 1_000_000
