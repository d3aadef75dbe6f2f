"""Runs that are written down now and logged later.

Importing MLflow takes longer than most stages do. Those write what they would log into work/journal/, and the next
stage that opens the store anyway (a training, compare, package) logs it, under the time at which it happened.
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from limelight.config import Params
from limelight.foundation.files import write_json
from limelight.provenance import provenance

FOLDER = Path("work/journal")


class Note:
    """What a stage has to say of itself, in the words of `limelight.tracking.Tracker`."""

    def __init__(self) -> None:
        self.params: dict[str, Any] = {}
        self.metrics: dict[str, float] = {}
        self.tags: dict[str, str] = {}
        self.artifacts: list[str] = []

    def log_params(self, values: Mapping[str, Any]) -> None:
        self.params.update(values)

    def log_metrics(self, values: Mapping[str, Any]) -> None:
        """Numbers; nested mappings become names with dots."""
        self.metrics.update(values)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        self.tags.update(tags)

    def log_artifact(self, path: Path) -> None:
        """A file or folder that is still there when the run is logged."""
        self.artifacts.append(str(path))


@contextmanager
def noted_run(params: Params, stage: str, name: str = "") -> Iterator[Note]:
    """A run for one stage, logged by the next `limelight.tracking.tracked_run` of this folder.

    An exception is noted too, as FAILED or KILLED, and goes on its way.
    """
    note, started, status = Note(), _now(), "FINISHED"
    try:
        yield note
    except BaseException as error:
        status = "KILLED" if isinstance(error, SystemExit | KeyboardInterrupt) else "FAILED"
        raise
    finally:
        if params.tracking.enabled:
            _write(params, note, stage, name, started, status)


def _write(params: Params, note: Note, stage: str, name: str, started: int, status: str) -> None:
    entry = {
        "name": f"{stage} {name}".strip(),
        "status": status,
        "started": started,
        "ended": _now(),
        "parent": os.environ.get("LIMELIGHT_PARENT_RUN"),
        "facts": provenance(params),  # at the end: the data's hash is what this stage may have made
        "tags": {"stage": stage, **note.tags},
        "params": note.params,
        "metrics": note.metrics,
        "artifacts": note.artifacts,
    }
    write_json(FOLDER / f"{entry['ended']}-{os.getpid()}.json", entry)


def _now() -> int:
    """Milliseconds, as MLflow counts time."""
    return time.time_ns() // 1_000_000
