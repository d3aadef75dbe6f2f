"""What the evaluation of weights that take words leaves on disk."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from limelight.data.manifest import Sample
from limelight.evaluation.confusion import class_iou
from limelight.evaluation.plots import plot_curves
from limelight.evaluation.report import ABOUT_FILE, METRICS_FILE, about, curves_csv, to_csv, write_examples
from limelight.evaluation.semantic import RUNTIME, WordEvaluation, WordScores
from limelight.foundation.files import write_json, write_text


def write_words_report(
    evaluation: WordEvaluation, samples: Sequence[Sample], folder: Path | str, *, threads: int
) -> None:
    """Write what `write_report` writes, the curves being those of each class's own map and the examples 16-bit labels;
    and per_class.csv.

    Args:
        samples: what was evaluated on; their hash goes into about.json.
        threads: of the network while it was timed.
    """
    folder = Path(folder)
    write_json(folder / METRICS_FILE, words_tree(evaluation))
    write_text(folder / "per_class.csv", _per_class_csv(evaluation.scores))
    write_text(folder / "per_image.csv", _per_image_csv(evaluation.scores))
    curves = {name: scores.curves for name, scores in evaluation.scores.items()}
    write_text(folder / "pr.csv", curves_csv(curves, ("precision", "recall")))
    write_text(folder / "f.csv", curves_csv(curves, ("f",)))
    plot_curves(curves, folder / "curves.png")
    write_examples(folder, {name: labels_HW.astype(np.uint16) for name, labels_HW in evaluation.examples.items()})
    facts = about(evaluation, samples, threads, evaluation.scores, {RUNTIME: evaluation.description})
    write_json(folder / ABOUT_FILE, facts | {"left_out": {}, "unseen": _unseen(evaluation.scores)})


def words_tree(evaluation: WordEvaluation) -> dict[str, Any]:
    """metrics.json: as `limelight.evaluation.report.metrics_tree`, with the figures of words for those of saliency.

    Besides: iou.<dataset>.<class>, macs_of_one (one prompt instead of all classes) and prompts, so many as were timed.
    """
    return {
        "datasets": {name: {RUNTIME: scores.metrics} for name, scores in evaluation.scores.items()},
        "mean": {RUNTIME: evaluation.mean},
        "iou": {name: scores.iou for name, scores in evaluation.scores.items()},
        "images": {
            name: {"scored": len(scores.per_image), "failed": len(scores.failures)}
            for name, scores in evaluation.scores.items()
        },
        "latency_ms": {RUNTIME: evaluation.latency_ms},
        "prompts": evaluation.prompts,
        "size_bytes": {RUNTIME: evaluation.size_bytes},
        "parameters": evaluation.card.architecture.parameters,
        "macs": evaluation.macs,
        "macs_of_one": evaluation.macs_of_one,
        "peak_memory_mb": evaluation.peak_memory_mb,
    }


def _per_class_csv(datasets: dict[str, WordScores]) -> str:
    rows: list[Sequence[object]] = []
    for dataset, scores in datasets.items():
        pixels, found = scores.confusion.sum(1), scores.confusion.diagonal()
        for label, name in enumerate(scores.classes.names, start=1):
            iou = class_iou(scores.confusion)[label]
            accuracy = f"{found[label] / pixels[label]:.6f}" if pixels[label] else ""
            shown = f"{iou:.6f}" if iou == iou else ""
            trained = "" if scores.trained is None else int(scores.trained[label - 1])
            rows.append([dataset, name, trained, pixels[label], shown, accuracy])
    return to_csv(["dataset", "class", "trained", "pixels", "iou", "accuracy"], rows)


def _per_image_csv(datasets: dict[str, WordScores]) -> str:
    rows = [
        [sample_id, dataset, *(f"{own[name]:.6f}" if name in own else "" for name in ("mIoU", "pixel_accuracy"))]
        for dataset, scores in datasets.items()
        for sample_id, own in scores.per_image.items()
    ]
    return to_csv(["id", "dataset", "mIoU", "pixel_accuracy"], rows)


def _unseen(datasets: dict[str, WordScores]) -> dict[str, list[str]]:
    """The classes that training did not name, of the datasets of which that is known."""
    return {
        name: [each for each, trained in zip(scores.classes.names, scores.trained, strict=True) if not trained]
        for name, scores in datasets.items()
        if scores.trained is not None
    }
