"""All evaluations as comparable rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from limelight.evaluation.averages import over_datasets
from limelight.evaluation.scored import Method
from limelight.foundation.artifacts import run_name
from limelight.foundation.errors import UserError
from limelight.foundation.files import read_json
from limelight.tasks.task import Task

METRICS_FILE, ABOUT_FILE, PER_IMAGE_FILE = "metrics.json", "about.json", "per_image.csv"
"""Of one artifact's report; see `limelight.reporting.report.write_report`."""
MAPS = "maps"
"""Runtime name of a row scored from another method's maps: it has no weights here and cannot be champion."""
_TRAINING_FORM = "torch"


@dataclass(frozen=True)
class Row:
    """One artifact in one runtime."""

    artifact: str
    runtime: str
    datasets: dict[str, dict[str, float]]
    """Dataset -> the metrics of the task, and standard errors; undefined ones are omitted."""
    mean: dict[str, float]
    without_companion: dict[str, dict[str, float]] = field(default_factory=dict)
    """Dataset -> the same without companions, if the network got any and does not require them."""
    model: str = ""
    form: str = ""
    teacher: str = ""
    weights_sha256: str = ""
    code_sha256: str = ""
    """Hash of the code of the network's family."""
    folder_sha256: str = ""
    """Hash of the weights folder, exports included."""
    parameters: int | None = None
    macs: int | None = None
    size_bytes: int | None = None
    network_ms: float | None = None
    """Median latency of the network alone, for single images."""
    total_ms: float | None = None
    """Median latency with resizing and normalisation, without reading files."""
    faster_than_slowest: float | None = None
    faster_than_training_form: float | None = None
    """Speed-up; for merged forms and their exports only."""

    @property
    def name(self) -> str:
        return f"{self.artifact} ({self.runtime})"


@dataclass(frozen=True)
class Report:
    """One folder under reports/eval/."""

    folder: Path
    metrics: dict[str, Any]
    about: dict[str, Any]

    @property
    def task(self) -> str:
        return str(self.about["card"]["architecture"]["task"])


def read_reports(folder: Path | str, names: Sequence[str], manifest_sha256: str) -> tuple[list[Report], dict[str, str]]:
    """Read the reports of these artifacts under `folder` that were made on the current data.

    Returns:
        The reports, and the skipped artifacts: name -> reason.

    Raises:
        UserError: there is none.
    """
    reports, left_out = [], {}
    for path in (Path(folder) / name / METRICS_FILE for name in sorted(names)):
        about = read_json(path.with_name(ABOUT_FILE))
        if about["manifest_sha256"] == manifest_sha256:
            reports.append(Report(path.parent, read_json(path), about))
        else:
            left_out[path.parent.name] = "evaluated on other data; evaluate it again"
    if not reports:
        reason = f": {', '.join(left_out)} were evaluated on other data" if left_out else ""
        raise UserError(f"{folder} holds no evaluation to compare{reason}; run dvc repro evaluate")
    return reports, left_out


def rows_of(report: Report, teachers: Mapping[str, str]) -> list[Row]:
    """Make a row per runtime of one report.

    Args:
        teachers: distilled run -> its teacher.
    """
    metrics, about = report.metrics, report.about
    architecture, artifact = about["card"]["architecture"], about["artifact"]
    return [
        Row(
            artifact,
            runtime,
            {dataset: runtimes[runtime] for dataset, runtimes in metrics["datasets"].items()},
            metrics["mean"][runtime],
            {
                dataset: runtimes[runtime]
                for dataset, runtimes in metrics.get("without_companion", {}).items()
                if runtime in runtimes
            },
            model=architecture["model"],
            form=architecture["form"],
            teacher=teachers.get(run_name(artifact), ""),
            weights_sha256=about["card"]["provenance"]["sha256"],
            code_sha256=about["code_sha256"],
            folder_sha256=about["folder_sha256"],
            parameters=metrics["parameters"],
            macs=metrics.get("macs"),
            size_bytes=metrics["size_bytes"][runtime],
            network_ms=metrics["latency_ms"][runtime]["network_median"],
            total_ms=metrics["latency_ms"][runtime]["total_median"],
        )
        for runtime in metrics["mean"]
    ]


def row_of_maps(name: str, method: Method, task: Task[Any, Any]) -> Row:
    """Make a row for another method, known by its maps alone."""
    datasets = {dataset: dict(dataset_scores.figures) for dataset, dataset_scores in method.scores.items()}
    return Row(name, MAPS, datasets, over_datasets(list(datasets.values()), task.metrics), model=name)


def with_speed_ups(rows: Sequence[Row]) -> list[Row]:
    """Fill in how much faster each row's network is than the slowest, and than its own training form."""
    timed = [row.network_ms for row in rows if row.network_ms]
    training = {row.artifact: row.network_ms for row in rows if row.runtime == _TRAINING_FORM}
    filled = []
    for row in rows:
        run = run_name(row.artifact)
        own = training.get(run) if run != row.artifact else None
        filled.append(
            replace(
                row,
                faster_than_slowest=round(max(timed) / row.network_ms, 3) if row.network_ms else None,
                faster_than_training_form=round(own / row.network_ms, 3) if own and row.network_ms else None,
            )
        )
    return filled
