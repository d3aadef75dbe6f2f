"""Write the evaluation report of one artifact: figures as JSON and CSV, pictures as PNG."""

import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limelight.data.manifest import Sample, manifest_hash
from limelight.evaluation.plots import plot_curves
from limelight.evaluation.scored import Examples
from limelight.foundation.csv_text import to_csv
from limelight.foundation.files import atomic_path, write_json, write_text
from limelight.imaging.encoding import write_png
from limelight.reporting.evaluate import REFERENCE, Evaluation
from limelight.reporting.rows import ABOUT_FILE, METRICS_FILE, PER_IMAGE_FILE
from limelight.reporting.speed import hardware

PR = ("precision", "recall")


def write_report(evaluation: Evaluation, samples: Sequence[Sample], folder: Path | str, *, threads: int) -> None:
    """Write metrics.json (numbers only), about.json (all else), per_image.csv, pr.csv, f.csv, curves.png, examples/ and
    further files of the task.

    Args:
        samples: the samples evaluated; their hash goes into about.json.
        threads: the runtimes' threads during timing.
    """
    folder, task, scores = Path(folder), evaluation.task, evaluation.scores
    curves = {dataset: dataset_scores.curves for dataset, dataset_scores in scores.items()}
    write_json(folder / METRICS_FILE, metrics_tree(evaluation) | task.details(scores))
    write_text(folder / PER_IMAGE_FILE, _per_image_csv(evaluation))
    write_text(folder / "pr.csv", curves_csv(curves, PR))
    others = [name for name in next(iter(curves.values())) if name not in PR]
    write_text(folder / "f.csv", curves_csv(curves, others))
    plot_curves(curves, folder / "curves.png")
    for name, text in task.csv_files(scores).items():
        write_text(folder / name, text)
    _write_examples(folder, evaluation.examples)
    write_json(folder / ABOUT_FILE, _about(evaluation, samples, threads) | task.remarks(scores))


def metrics_tree(evaluation: Evaluation) -> dict[str, Any]:
    """metrics.json: the same keys in every run, numbers in every leaf, so that `dvc metrics diff` lines them up.

    datasets.<dataset>.<runtime>.<metric>, mean.<runtime>.<metric>, images.<dataset>.<count>,
    latency_ms.<runtime>.<what>, size_bytes.<runtime>, parameters, macs and further costs, peak_memory_mb; and of a
    network that works with companions and without, without_companion.<dataset>.<runtime>.<metric>. <metric>_se is a
    metric's standard error. A metric that is undefined on every image is left out. What a task adds to the file is
    no part of the tree.
    """
    runtimes, datasets = evaluation.runtimes, evaluation.scores
    hidden = {name: {REFERENCE: scores.figures} for name, scores in evaluation.without_companion.items()}
    return {
        "datasets": {name: {run: runtimes[run].scores[name].figures for run in runtimes} for name in datasets},
        "mean": {run: result.mean for run, result in runtimes.items()},
        "images": {name: scores.counts for name, scores in datasets.items()},
        "latency_ms": {run: result.latency_ms for run, result in runtimes.items()},
        "size_bytes": {run: result.size_bytes for run, result in runtimes.items()},
        "parameters": evaluation.card.architecture.parameters,
        **evaluation.cost,
        "peak_memory_mb": evaluation.peak_memory_mb,
        **({"without_companion": hidden} if hidden else {}),
    }


def slug(sample_id: str) -> str:
    """A sample id as a file name: 'ECSSD/0001' -> 'ECSSD-0001'."""
    return re.sub(r"[^\w.-]+", "-", sample_id)


def packages() -> dict[str, str]:
    """Return the versions of the packages that compute."""
    return {name: version(name) for name in ("torch", "numpy")}


def curves_csv(datasets: Mapping[str, Mapping[str, NDArray[np.float64]]], names: Sequence[str]) -> str:
    """Format one row per threshold, 0 to 255: means over the datasets, so that each curve is one line."""
    columns = [np.mean([curves[name] for curves in datasets.values()], axis=0)[::-1] for name in names]
    rows = zip(*columns, strict=True)
    return to_csv(
        ["threshold", *names],
        ([threshold, *(f"{value:.6f}" for value in values)] for threshold, values in enumerate(rows)),
    )


def _write_examples(folder: Path, pictures: Examples) -> None:
    """Write examples/, whole or not at all, a PNG for each sample id."""
    with atomic_path(folder / "examples") as examples:
        examples.mkdir()
        for name, picture_HW in pictures.items():
            if picture_HW is not None:
                write_png(examples / f"{slug(name)}.png", picture_HW)


def _about(evaluation: Evaluation, samples: Sequence[Sample], threads: int) -> dict[str, Any]:
    return {
        "artifact": evaluation.artifact,
        "card": evaluation.card.model_dump(mode="json"),
        "code_sha256": evaluation.code_sha256,
        "folder_sha256": evaluation.folder_sha256,
        "hardware": hardware(),
        "threads": threads,
        "manifest_sha256": manifest_hash(samples),
        "packages": packages(),
        "runtimes": {name: result.description for name, result in evaluation.runtimes.items()},
        "failures": {name: dataset_scores.failures for name, dataset_scores in evaluation.scores.items()},
        "examples": {name: f"examples/{slug(name)}.png" for name in evaluation.examples},
        "left_out": evaluation.left_out,
    }


def _per_image_csv(evaluation: Evaluation) -> str:
    """Format a row per image and runtime; metrics that no image has are left out."""
    measured = {
        name
        for result in evaluation.runtimes.values()
        for scores in result.scores.values()
        for figures in scores.per_image.values()
        for name in figures
    }
    names = [name for name in evaluation.task.per_image if name in measured]
    rows = [
        [sample_id, dataset, runtime, *(f"{figures[name]:.6f}" if name in figures else "" for name in names)]
        for runtime, result in evaluation.runtimes.items()
        for dataset, scores in result.scores.items()
        for sample_id, figures in scores.per_image.items()
    ]
    return to_csv(["id", "dataset", "runtime", *names], rows)
