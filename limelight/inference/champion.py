"""The weights that everything uses that was not told which: the leaderboard's champion."""

from pathlib import Path
from typing import NamedTuple

from models.errors import UserError
from models.files import read_json

RECORD = Path("reports/leaderboard/champion.json")


class Chosen(NamedTuple):
    """A weights folder, and the runtime that it won with."""

    folder: Path
    runtime: str


def champion() -> Chosen:
    """What the compare stage chose.

    Raises:
        UserError: it has not run yet.
    """
    if not RECORD.is_file():
        raise UserError(f"no --model given and no champion yet ({RECORD}); run dvc repro, or name a weights folder")
    record = read_json(RECORD)
    return Chosen(Path("artifacts") / record["artifact"], record["runtime"])
