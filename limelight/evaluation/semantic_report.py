"""What the evaluation of weights that take words leaves on disk."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from limelight.data.manifest import Sample, manifest_hash
from limelight.evaluation.confusion import class_iou
from limelight.evaluation.plots import plot_confusion
from limelight.evaluation.report import ABOUT_FILE, METRICS_FILE, packages, to_csv
from limelight.evaluation.semantic import RUNTIME, WordEvaluation, WordScores
from limelight.evaluation.speed import hardware
from models.files import write_json, write_text


def write_words_report(
    evaluation: WordEvaluation, samples: Sequence[Sample], folder: Path | str, *, threads: int
) -> None:
    """Write metrics.json (numbers only), about.json (all else), per_class.csv, per_image.csv and, of each dataset,
    confusion-<dataset>.png.

    Args:
        samples: what was evaluated on; their hash goes into about.json.
        threads: of the network while it was timed.
    """
    folder = Path(folder)
    write_json(folder / METRICS_FILE, words_tree(evaluation))
    write_text(folder / "per_class.csv", _per_class_csv(evaluation.scores))
    write_text(folder / "per_image.csv", _per_image_csv(evaluation.scores))
    for name, scores in evaluation.scores.items():
        names = [*(["background"] if scores.classes.background else []), *scores.classes.names]
        matrix = scores.confusion[1 - scores.classes.background :, 1 - scores.classes.background :]
        plot_confusion(matrix, names, name, folder / f"confusion-{name}.png")
    write_json(folder / ABOUT_FILE, _about(evaluation, samples, threads))


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
        "parameters": evaluation.card.parameters,
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
            rows.append([dataset, name, int(scores.trained[label - 1]), pixels[label], shown, accuracy])
    return to_csv(["dataset", "class", "trained", "pixels", "iou", "accuracy"], rows)


def _per_image_csv(datasets: dict[str, WordScores]) -> str:
    rows = [
        [sample_id, dataset, *(f"{own[name]:.6f}" if name in own else "" for name in ("mIoU", "pixel_accuracy"))]
        for dataset, scores in datasets.items()
        for sample_id, own in scores.per_image.items()
    ]
    return to_csv(["id", "dataset", "mIoU", "pixel_accuracy"], rows)


def _about(evaluation: WordEvaluation, samples: Sequence[Sample], threads: int) -> dict[str, Any]:
    return {
        "artifact": evaluation.artifact,
        "card": evaluation.card.model_dump(mode="json"),
        "hardware": hardware(),
        "threads": threads,
        "manifest_sha256": manifest_hash(samples),
        "packages": packages(),
        "runtimes": {RUNTIME: evaluation.description},
        "left_out": {},
        "failures": {name: scores.failures for name, scores in evaluation.scores.items()},
        "unseen": {
            name: [each for each, trained in zip(scores.classes.names, scores.trained, strict=True) if not trained]
            for name, scores in evaluation.scores.items()
        },
    }
