"""The table of what failed, `failures.csv`."""

import csv
import io
import os
from collections.abc import Collection, Sequence
from pathlib import Path

from limelight.foundation.csv_text import to_csv
from limelight.foundation.files import write_text

FAILURES = "failures.csv"
Failure = tuple[Path, str]
"""Absolute path of a file or a folder, and why it failed."""


def list_failures(path: Path, failures: Sequence[Failure], given: Collection[Path] | None = None) -> None:
    """Write a table of what failed, each with the reason; without rows, remove an earlier one.

    Args:
        given: absolute paths of this run's files and folders: an earlier table's rows on other files that still exist
            are kept. None = keep no row.
    """
    kept = [] if given is None else _rows_on_others(path, {*given, *(source for source, _ in failures)})
    rows = sorted([*kept, *((str(source), reason) for source, reason in failures)])
    if not rows:
        path.unlink(missing_ok=True)
        return
    # A file name may hold bytes that are not valid text.
    write_text(path, to_csv(("source", "reason"), rows).encode("utf-8", "backslashreplace").decode())


def _rows_on_others(path: Path, given: set[Path]) -> list[tuple[str, str]]:
    try:
        table = io.StringIO(path.read_text(encoding="utf-8", errors="replace"))
    except FileNotFoundError:
        return []
    rows = [(Path(row[0]), row[1]) for row in csv.reader(table) if len(row) == 2]
    return [
        (str(source), reason)
        for source, reason in rows[1:]
        if given.isdisjoint((source, *source.parents)) and os.path.lexists(source)
    ]
