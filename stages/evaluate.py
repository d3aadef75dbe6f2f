"""evaluate: figures per dataset and runtime, speed, size, curves and overlays of one artifact.

The metrics of saliency; of weights that take words, the IoU of the classes that the words name.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limelight.config import Params
from limelight.journal import noted_run
from limelight.stages.runner import stage_main

if TYPE_CHECKING:
    from limelight.data.manifest import Sample


def run(params: Params, name: str) -> None:
    """Evaluate artifacts/<name> on the splits in evaluate.splits -> reports/eval/<name>/."""
    from limelight.data.manifest import read_manifest
    from limelight.models.weights import read_card

    report = Path("reports/eval") / name
    with noted_run(params, "evaluate", name) as note:
        card = read_card(Path("artifacts") / name)
        samples = read_manifest(splits=params.active.evaluate.splits)
        figures = (words if card.architecture.task == "open-vocabulary" else saliency)(params, name, samples, report)
        note.set_tags({"weights.sha256": card.provenance.sha256})
        note.log_metrics(figures)
        note.log_artifact(report / "curves.png")
        note.log_artifact(report / "overlays")


def saliency(params: Params, name: str, samples: "Sequence[Sample]", report: Path) -> dict[str, Any]:
    """Write the report of weights that find what is salient, print its means and return its figures."""
    from limelight.evaluation.overlays import write_overlays
    from limelight.evaluation.protocol import REFERENCE, evaluate_artifact, open_predictor
    from limelight.evaluation.report import metrics_tree, write_report

    settings, artifact = params.active.evaluate, Path("artifacts") / name
    evaluation = evaluate_artifact(artifact, samples, settings, device=params.device)
    write_report(evaluation, samples, report, threads=settings.threads)
    scores, by_id = evaluation.runtimes[REFERENCE].scores, {sample.sample_id: sample for sample in samples}
    predictor = open_predictor(artifact, settings, params.device)
    _draw(report, scores, lambda *where: write_overlays(predictor, by_id, settings.overlays, *where))

    for runtime, result in evaluation.runtimes.items():
        print(f"{name} {runtime}: {_shown(result.mean)}, {result.latency_ms['network_median']:.1f} ms")
    for dataset, hidden in evaluation.without_companion.items():
        shown = scores[dataset].metrics
        both = [f"{metric} {shown[metric]:.4f} / {hidden.metrics[metric]:.4f}" for metric in ("iou", "wFm", "mae")]
        print(f"{name} on {dataset}, with companions / with them hidden: {', '.join(both)}")
    return metrics_tree(evaluation)


def words(params: Params, name: str, samples: "Sequence[Sample]", report: Path) -> dict[str, Any]:
    """As `saliency`, of weights that find what words name."""
    from limelight.evaluation.label_pictures import write_label_overlays
    from limelight.evaluation.protocol import open_predictor
    from limelight.evaluation.semantic import evaluate_words
    from limelight.evaluation.semantic_report import words_tree, write_words_report

    settings, artifact = params.active.evaluate, Path("artifacts") / name
    evaluation = evaluate_words(artifact, samples, settings, device=params.device)
    write_words_report(evaluation, samples, report, threads=settings.threads)
    by_id = {sample.sample_id: sample for sample in samples}
    predictor = open_predictor(artifact, settings, params.device)
    _draw(report, evaluation.scores, lambda *where: write_label_overlays(predictor, by_id, settings, *where))

    taken = f"{evaluation.latency_ms['network_median']:.1f} ms for {evaluation.prompts} words"
    print(f"{name}: {_shown(evaluation.mean)}, {taken}")
    return {key: value for key, value in words_tree(evaluation).items() if key != "iou"}


def _draw(report: Path, scores: Mapping[str, Any], draw: Callable[[Any, Path, str], None]) -> None:
    """report/overlays, whole or not at all: draw(scores, folder, dataset) of each dataset's scores."""
    from limelight.foundation.files import atomic_path

    with atomic_path(report / "overlays") as overlays:
        overlays.mkdir()
        for dataset, each in scores.items():
            draw(each, overlays, dataset)


def _shown(mean: dict[str, float]) -> str:
    from limelight.evaluation.averages import ERROR

    return ", ".join(f"{metric} {value:.4f}" for metric, value in mean.items() if not metric.endswith(ERROR))


if __name__ == "__main__":
    stage_main(run)
