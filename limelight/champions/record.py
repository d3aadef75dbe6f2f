"""The leaderboard's champion of each task: the weights used where none are named."""

from pathlib import Path
from typing import Any, NamedTuple

from limelight.foundation.artifacts import ARTIFACTS
from limelight.foundation.errors import UserError
from limelight.foundation.files import read_json
from limelight.models import shipped
from limelight.tasks import DEFAULT

RECORD = Path("reports/leaderboard/champion.json")


class Chosen(NamedTuple):
    """A weights folder, and the runtime that it won with."""

    folder: Path
    runtime: str


def champion(task: str = DEFAULT) -> Chosen:
    """The weights and runtime that the compare stage chose for a task; without any, what comes with the package.

    Raises:
        UserError: see `record`.
    """
    if task == DEFAULT and task not in champions() and shipped.DEFAULT in shipped.shipped_names():
        return Chosen(shipped.FOLDER / shipped.DEFAULT, "auto")
    entry = record(task)
    return Chosen(ARTIFACTS / entry["artifact"], entry["runtime"])


def record(task: str = DEFAULT) -> dict[str, Any]:
    """The entry of champion.json for a task; see `limelight.reporting.leaderboard.Leaderboard.champions`.

    Raises:
        UserError: the compare stage has not run yet, or found no evaluation for this task.
    """
    entries = champions()
    if not entries:
        raise UserError(
            f"there is no champion yet ({RECORD}); run dvc repro, or name weights where a command takes them"
        )
    if task not in entries:
        raise UserError(
            f"there is no champion of {task}, only of {' and '.join(entries)} ({RECORD}); evaluate a network for this "
            "task, or name weights where a command takes them"
        )
    return entries[task]


def champions() -> dict[str, dict[str, Any]]:
    """Read champion.json: task -> its record; empty if the compare stage has not run."""
    return read_json(RECORD) if RECORD.is_file() else {}
