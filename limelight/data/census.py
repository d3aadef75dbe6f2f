"""How each mask of a dataset is coded, so that a few odd ones among thousands do not pass unnoticed."""

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
from limelight.foundation.errors import UserError
from limelight.foundation.files import read_text, write_text
from limelight.imaging.masks import Coding, Mask

CENSUS = MANIFEST.with_name("masks.csv")
"""All findings; written where there are any."""
FAINT = 0.5
"""A map is salient above this level."""
_SHOWN = 5
_INTERPRETED = (Coding.INDEX, Coding.COLOUR, Coding.LUMINANCE, Coding.ALPHA)


@dataclass(frozen=True)
class Reading:
    """What decoding a mask showed."""

    sample_id: str
    mask: str
    coding: Coding
    top: float
    """Its highest level; 0: it is empty, and nothing is known of its coding."""


@dataclass(frozen=True)
class Finding:
    """One thing to know of one mask."""

    dataset: str
    sample_id: str
    mask: str
    state: Literal["notice", "fault"]
    """'fault': it would be learnt from as if it showed next to nothing."""
    finding: str
    detail: str


def note_mask(sample_id: str, path: str, mask: Mask) -> Reading:
    """The reading of a decoded mask."""
    return Reading(sample_id, path, mask.coding, float(mask.level_HW.max()))


def findings(dataset: str, readings: Sequence[Reading], *, soft: bool = False) -> list[Finding]:
    """What is odd about a dataset's masks, one kind of finding after another. Empty masks are not: scenes may be.

    Args:
        soft: grey levels are meant, so that a mask which never exceeds 0.5 is no fault.
    """
    shown = [one for one in readings if one.top > 0]
    counts = Counter(one.coding for one in shown)
    usual = min(counts, key=lambda coding: (-counts[coding], coding), default=None)
    found = [
        Finding(dataset, one.sample_id, one.mask, "notice" if soft else "fault", "never above 0.5", f"{one.top:.3f}")
        for one in shown
        if one.top <= FAINT
    ]
    for coding in _INTERPRETED:
        found += [
            Finding(dataset, one.sample_id, one.mask, "notice", f"read as {coding}", "")
            for one in shown
            if one.coding == coding
        ]
    return found + [
        Finding(dataset, one.sample_id, one.mask, "notice", "coded unlike the rest", f"{one.coding}, not {usual}")
        for one in shown
        if one.coding != usual
    ]


def summarise(found: Iterable[Finding]) -> list[dict[str, Any]]:
    """Each kind of finding of each dataset: how many masks, and the ids of the first five."""
    rows = []
    for (dataset, state, finding), members in groupby(found, key=attrgetter("dataset", "state", "finding")):
        ids = [one.sample_id for one in members]
        rows.append({"dataset": dataset, "state": state, "finding": finding, "masks": len(ids), "first": ids[:_SHOWN]})
    return rows


def census_lines(found: Iterable[Finding]) -> list[str]:
    """`summarise` in words, a line each."""
    lines = []
    for row in summarise(found):
        more = ", ..." if row["masks"] > len(row["first"]) else ""
        names = f"{', '.join(row['first'])}{more}"
        count = f"{row['masks']:,} mask{'s' if row['masks'] != 1 else ''}"
        lines.append(f"  {row['state']}: {count} {row['finding']}: {names} (all in {CENSUS})")
    return lines


def write_census(found: Iterable[Finding], path: Path) -> None:
    """Write the findings as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in fields(Finding))
    writer.writerows(astuple(one) for one in found)
    write_text(path, text.getvalue())


def read_census(path: Path = CENSUS) -> list[Finding]:
    """What `write_census` wrote; nothing where there was nothing to write.

    Raises:
        UserError: the file is damaged.
    """
    if not path.is_file():
        return []
    try:
        rows: Iterable[dict[str, Any]] = csv.DictReader(io.StringIO(read_text(path)))
        return [Finding(**row) for row in rows]
    except TypeError as error:
        raise UserError(f"{path} is not a list of masks ({error}); run the prepare stage anew") from None
