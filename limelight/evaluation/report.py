"""What the evaluation of one artifact leaves on disk: figures as JSON and CSV, pictures as PNG."""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limelight.data.manifest import Sample, manifest_hash
from limelight.evaluation.metrics import Scores
from limelight.evaluation.plots import plot_curves
from limelight.evaluation.protocol import REFERENCE, Evaluation, RuntimeResult
from limelight.evaluation.speed import hardware
from limelight.foundation.files import atomic_path, write_json, write_text
from limelight.imaging.images import write_png

METRICS_FILE, ABOUT_FILE = "metrics.json", "about.json"


def write_report(evaluation: Evaluation, samples: Sequence[Sample], folder: Path | str, *, threads: int) -> None:
    """Write metrics.json (numbers only), about.json (all else), per_image.csv, pr.csv, f.csv, curves.png and examples/.

    Args:
        samples: what was evaluated on; their hash goes into about.json.
        threads: of the runtimes while they were timed.
    """
    folder = Path(folder)
    curves = {dataset: scores.curves for dataset, scores in evaluation.runtimes[REFERENCE].scores.items()}
    write_json(folder / METRICS_FILE, metrics_tree(evaluation))
    write_text(folder / "per_image.csv", _per_image_csv(evaluation.runtimes))
    write_text(folder / "pr.csv", curves_csv(curves, ("precision", "recall")))
    write_text(folder / "f.csv", curves_csv(curves, ("f", "e")))
    plot_curves(curves, folder / "curves.png")
    write_examples(folder, evaluation.examples)
    scores = evaluation.runtimes[REFERENCE].scores
    descriptions = {name: result.description for name, result in evaluation.runtimes.items()}
    facts = about(evaluation, samples, threads, scores, descriptions)
    undefined = {name: found.undefined for name, found in scores.items()}
    write_json(folder / ABOUT_FILE, facts | {"left_out": evaluation.left_out, "undefined": undefined})


def metrics_tree(evaluation: Evaluation) -> dict[str, Any]:
    """metrics.json: the same keys in every run, numbers in every leaf, so that `dvc metrics diff` lines them up.

    datasets.<dataset>.<runtime>.<metric>, mean.<runtime>.<metric>, images.<dataset>.<count>,
    latency_ms.<runtime>.<what>, size_bytes.<runtime>, parameters, macs, peak_memory_mb; and of a network that works
    with companions and without, without_companion.<dataset>.<runtime>.<metric>. <metric>_se is a metric's standard
    error. A metric that is undefined on every image is left out.
    """
    runtimes = evaluation.runtimes
    datasets = runtimes[REFERENCE].scores
    hidden = {name: {REFERENCE: scores.figures} for name, scores in evaluation.without_companion.items()}
    return {
        "datasets": {name: {run: runtimes[run].scores[name].figures for run in runtimes} for name in datasets},
        "mean": {run: result.mean for run, result in runtimes.items()},
        "images": {name: _counts(scores) for name, scores in datasets.items()},
        "latency_ms": {run: result.latency_ms for run, result in runtimes.items()},
        "size_bytes": {run: result.size_bytes for run, result in runtimes.items()},
        "parameters": evaluation.card.architecture.parameters,
        "macs": evaluation.macs,
        "peak_memory_mb": evaluation.peak_memory_mb,
        **({"without_companion": hidden} if hidden else {}),
    }


def write_examples(folder: Path, pictures: Mapping[str, NDArray[np.unsignedinteger]]) -> None:
    """Write examples/, whole or not at all, a PNG for each sample id."""
    with atomic_path(folder / "examples") as examples:
        examples.mkdir()
        for name, picture_HW in pictures.items():
            write_png(examples / f"{slug(name)}.png", picture_HW)


def about(
    evaluation: Any, samples: Sequence[Sample], threads: int, scores: Mapping[str, Any], runtimes: dict[str, str]
) -> dict[str, Any]:
    """about.json, so far as it is the same for saliency and for words: all that is no figure.

    Args:
        evaluation: of either; `artifact`, `card` and `examples` are read.
        scores: by dataset; their `failures` are read.
        runtimes: descriptions.
    """
    return {
        "artifact": evaluation.artifact,
        "card": evaluation.card.model_dump(mode="json"),
        "hardware": hardware(),
        "threads": threads,
        "manifest_sha256": manifest_hash(samples),
        "packages": packages(),
        "runtimes": runtimes,
        "failures": {name: found.failures for name, found in scores.items()},
        "examples": {name: f"examples/{slug(name)}.png" for name in evaluation.examples},
    }


def slug(sample_id: str) -> str:
    """A sample id as a file name: 'ECSSD/0001' -> 'ECSSD-0001'."""
    return re.sub(r"[^\w.-]+", "-", sample_id)


def packages() -> dict[str, str]:
    """Versions of what computes."""
    return {name: version(name) for name in ("torch", "numpy")}


def to_csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Comma-separated text with Unix line ends."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def curves_csv(datasets: Mapping[str, Mapping[str, NDArray[np.float64]]], names: Sequence[str]) -> str:
    """One row per threshold, 0 to 255: the mean over the datasets, so that it is one line."""
    columns = [np.mean([curves[name] for curves in datasets.values()], axis=0)[::-1] for name in names]
    rows = zip(*columns, strict=True)
    return to_csv(
        ["threshold", *names],
        ([threshold, *(f"{value:.6f}" for value in values)] for threshold, values in enumerate(rows)),
    )


def _counts(scores: Scores) -> dict[str, int]:
    return {
        "scored": len(scores.per_image),
        "failed": len(scores.failures),
        "empty": len(scores.empty),
        "full": len(scores.full),
        "undefined": len(scores.undefined),
    }


def _per_image_csv(runtimes: dict[str, RuntimeResult]) -> str:
    rows: list[Sequence[object]] = []
    names: list[str] = []
    for runtime, result in runtimes.items():
        for dataset, scores in result.scores.items():
            for sample_id, figures in scores.per_image.items():
                names = list(figures)
                rows.append([sample_id, dataset, runtime, *(f"{value:.6f}" for value in figures.values())])
    return to_csv(["id", "dataset", "runtime", *names], rows)
