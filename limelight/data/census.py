"""The encoding of each mask of a dataset, so that a few odd ones among thousands do not go unnoticed."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal

from limelight.data.manifest import MANIFEST
from limelight.foundation.csv_text import to_csv
from limelight.foundation.errors import UserError
from limelight.foundation.files import read_text, write_text
from limelight.imaging.masks import Coding, Mask

CENSUS = MANIFEST.with_name("masks.csv")
"""All findings; written where there are any."""
FAINT = 0.5
"""Level above which a map counts as salient."""
_MAX_EXAMPLES = 5
_INTERPRETED = (Coding.INDEX, Coding.COLOUR, Coding.LUMINANCE, Coding.ALPHA)


@dataclass(frozen=True)
class Reading:
    """The encoding of one mask, as its decoding found it."""

    sample_id: str
    mask: str
    coding: Coding
    top: float
    """Highest level; 0 = empty mask, encoding unknown."""


@dataclass(frozen=True)
class Finding:
    """One oddity of one mask."""

    dataset: str
    sample_id: str
    mask: str
    state: Literal["notice", "fault"]
    """'fault': training would take the mask for almost empty."""
    finding: str
    detail: str


def note_mask(sample_id: str, path: str, mask: Mask) -> Reading:
    """Record the encoding of a decoded mask."""
    return Reading(sample_id, path, mask.coding, float(mask.level_HW.max()))


def findings(dataset: str, readings: Sequence[Reading], *, soft: bool = False) -> list[Finding]:
    """List what is odd about a dataset's masks, grouped by kind. Empty masks are not odd: scenes may be empty.

    Args:
        soft: grey levels are intended, so that a mask which never exceeds 0.5 is no fault.
    """
    shown = [one for one in readings if one.top > 0]
    counts = Counter(one.coding for one in shown)
    usual_coding = min(counts, key=lambda coding: (-counts[coding], coding), default=None)
    findings = [
        Finding(dataset, one.sample_id, one.mask, "notice" if soft else "fault", "never above 0.5", f"{one.top:.3f}")
        for one in shown
        if one.top <= FAINT
    ]
    for coding in _INTERPRETED:
        findings += [
            Finding(dataset, one.sample_id, one.mask, "notice", f"read as {coding}", "")
            for one in shown
            if one.coding == coding
        ]
    return findings + [
        Finding(
            dataset,
            one.sample_id,
            one.mask,
            "notice",
            "coded differently from the rest",
            f"{one.coding}, not {usual_coding}",
        )
        for one in shown
        if one.coding != usual_coding
    ]


def summarise(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Count the masks per kind of finding and dataset, with the ids of the first five."""
    rows = []
    for (dataset, state, finding), members in groupby(findings, key=attrgetter("dataset", "state", "finding")):
        ids = [one.sample_id for one in members]
        rows.append(
            {"dataset": dataset, "state": state, "finding": finding, "masks": len(ids), "first": ids[:_MAX_EXAMPLES]}
        )
    return rows


def census_lines(findings: Iterable[Finding]) -> list[str]:
    """Format the result of `summarise`, one line per kind of finding and dataset."""
    lines = []
    for row in summarise(findings):
        more = ", ..." if row["masks"] > len(row["first"]) else ""
        names = f"{', '.join(row['first'])}{more}"
        count = f"{row['masks']:,} mask{'s' if row['masks'] != 1 else ''}"
        lines.append(f"  {row['state']}: {count} {row['finding']}: {names} (all in {CENSUS})")
    return lines


def write_census(findings: Iterable[Finding], path: Path) -> None:
    """Write the findings as CSV."""
    write_text(path, to_csv([field.name for field in fields(Finding)], map(astuple, findings)))


def read_census() -> list[Finding]:
    """Read what `write_census` wrote as CENSUS; without that file there are no findings.

    Raises:
        UserError: the file is damaged.
    """
    if not CENSUS.is_file():
        return []
    try:
        rows: Iterable[dict[str, Any]] = csv.DictReader(io.StringIO(read_text(CENSUS)))
        return [Finding(**row) for row in rows]
    except TypeError as error:
        raise UserError(f"{CENSUS} is not a list of masks ({error}); run the prepare stage anew") from None
