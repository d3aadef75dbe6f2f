"""Networks compared picture by picture: what one option brings or costs, with its standard error.

    python -m benchmarks.paired reports/eval/plain reports/eval/other
    python -m benchmarks.paired reports/eval/plain-0 reports/eval/other-0 reports/eval/plain-1 reports/eval/other-1

Reports of `limelight evaluate` by twos, without and with; further twos are the same comparison from other seeds.
Figures are means over the pictures that all reports have scored, of each picture's mean over the seeds. The standard
error of the difference is over the pictures: it says how sure the difference is on other pictures, not with other
seeds, of which the difference of each two tells. Frames of a clip are not independent: reports of clips are refused.
"""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._command import new_parser, run_command
from limelight.evaluation.averages import standard_error
from limelight.foundation.errors import UserError
from limelight.foundation.files import read_json, write_json
from limelight.reporting.rows import METRICS_FILE, PER_IMAGE_FILE

METRICS = ("mae", "wFm", "Sm", "iou", "mba")
Figures = dict[str, dict[str, float]]
"""Of each picture, by metric."""


def main() -> None:
    options = _parse()
    reports = [read(folder, options.runtime) for folder in options.reports]
    twos = list(zip(reports[::2], reports[1::2], strict=True))
    compared = {metric: compare(twos, metric) for metric in options.metrics}
    for metric, each in compared.items():
        seeds = ", ".join(f"{value:+.4f}" for value in each["differences"])
        print(
            f"{metric:>6}: {each['without']:.4f} to {each['with']:.4f}, {each['difference']:+.4f} "
            f"± {each['standard_error']:.4f}, {each['pictures']} pictures; by seed: {seeds}"
        )
    if options.json:
        write_json(options.json, compared)


def read(folder: Path, runtime: str | None) -> Figures:
    """Each picture's figures in a report.

    Raises:
        UserError: no report, one of clips, or of several runtimes or of none of this name.
    """
    file = folder / PER_IMAGE_FILE
    if not file.is_file():
        raise UserError(f"{folder} is no report of `limelight evaluate`: there is no {PER_IMAGE_FILE}")
    datasets = read_json(folder / METRICS_FILE)["datasets"]
    if clips := [name for name, runtimes in datasets.items() if any("dtssd" in each for each in runtimes.values())]:
        raise UserError(f"{folder}: {', '.join(clips)} has clips, whose frames are not independent")
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    runtimes = list(dict.fromkeys(row["runtime"] for row in rows))
    chosen = runtime or runtimes[0]
    if chosen not in runtimes or (runtime is None and len(runtimes) > 1):
        raise UserError(f"{folder} has {', '.join(runtimes)}; name one of them with --runtime")
    skipped = ("id", "dataset", "runtime")
    return {
        row["id"]: {
            name: float(value)
            for name, value in row.items()
            if name not in skipped and value not in ("", "nan")  # no border, say
        }
        for row in rows
        if row["runtime"] == chosen
    }


def compare(twos: Sequence[tuple[Figures, Figures]], metric: str) -> dict[str, Any]:
    """Means without and with, and their difference with its standard error over pictures.

    Args:
        twos: figures without and with, of each seed.

    Raises:
        UserError: fewer than two pictures have this metric in all of them.
    """
    known = [{name for name, own in figures.items() if metric in own} for two in twos for figures in two]
    names = sorted(set.intersection(*known))
    if len(names) < 2:
        raise UserError(f"no two pictures have {metric!r} in all reports")
    values_S2N = np.array([[[figures[name][metric] for name in names] for figures in two] for two in twos])
    without_N, with_N = values_S2N.mean(0)
    return {
        "without": float(without_N.mean()),
        "with": float(with_N.mean()),
        "difference": float((with_N - without_N).mean()),
        "standard_error": standard_error(with_N - without_N),
        "pictures": len(names),
        "differences": [float(value) for value in (values_S2N[:, 1] - values_S2N[:, 0]).mean(-1)],
    }


def _parse() -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("reports", type=Path, nargs="+", help="folders below reports/eval: without, with, ...")
    parser.add_argument(
        "--metrics", nargs="+", default=METRICS, help=f"columns of {PER_IMAGE_FILE} [{' '.join(METRICS)}]"
    )
    parser.add_argument("--runtime", help="whose figures, where there are several")
    options = parser.parse_args()
    if len(options.reports) % 2:
        parser.error("give reports by twos: without and with")
    return options


if __name__ == "__main__":
    run_command(main)
