"""Pictures of a network's results on single images, ranked from best to worst."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from limelight.config import Evaluate
from limelight.data.manifest import Sample
from limelight.evaluation.scored import Scores
from limelight.foundation.evenly import evenly_spaced
from limelight.foundation.files import atomic_path
from limelight.imaging.encoding import write_png
from limelight.inference.predictor import Predictor
from limelight.reporting.evaluate import Evaluation
from limelight.tasks.task import Task


def write_overlays(
    evaluation: Evaluation, predictor: Predictor[Any], samples: Sequence[Sample], settings: Evaluate, folder: Path
) -> None:
    """Write the overlays of every dataset and the task's diagrams into `folder`, whole or not at all."""
    by_id = {sample.sample_id: sample for sample in samples}
    with atomic_path(folder) as overlays:
        overlays.mkdir()
        for dataset, scores in evaluation.scores.items():
            evaluation.task.diagrams(scores, overlays, dataset)
            draw_overlays(evaluation.task, predictor, by_id, settings, scores, overlays, dataset)


def draw_overlays(
    task: Task[Any, Any],
    predictor: Predictor[Any],
    samples: Mapping[str, Sample],
    settings: Evaluate,
    scores: Scores,
    folder: Path,
    name: str,
) -> None:
    """Draw `settings.overlays` pictures, from a dataset's best image over the median to the worst.

    File names hold the rank but not the image, so that the pictures of two revisions can be compared side by side:
    <name>-1-best.png, ..., <name>-<count>-worst.png.

    Args:
        samples: by sample id; those of `scores` are looked up.
    """
    chosen = spread(scores, task, settings.overlays)
    for index, sample_id in enumerate(chosen, start=1):
        figures = scores.per_image[sample_id]
        shown = [f"{task.metrics[key].label} {figures[key]:.3f}" for key in task.ranked_by]
        picture = task.panel(predictor, samples[sample_id], settings, "   ".join([sample_id, *shown]))
        place = {1: "-best", len(chosen): "-worst"}.get(index, "-median" if index == (len(chosen) + 1) // 2 else "")
        write_png(folder / f"{name}-{index}{place}.png", picture)


def spread(scores: Scores, task: Task[Any, Any], count: int) -> list[str]:
    """Return ids of at most `count` images with all ranking metrics, evenly spaced over their ranking, best first."""
    first, sign = task.ranked_by[0], task.metrics[task.ranked_by[0]].sign
    figures = {name: own for name, own in scores.per_image.items() if all(key in own for key in task.ranked_by)}
    ranked = sorted(figures, key=lambda sample_id: (sign * figures[sample_id][first], sample_id))
    return evenly_spaced(ranked, count)
