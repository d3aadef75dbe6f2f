"""evaluate: figures per dataset and runtime, speed, size, curves and overlays of one artifact, by its task."""

from pathlib import Path
from typing import TYPE_CHECKING

from limelight.config import Params
from limelight.foundation.artifacts import ARTIFACTS
from limelight.stages.runner import stage_main
from limelight.tracking.journal import noted_run

if TYPE_CHECKING:
    from limelight.reporting.evaluate import Evaluation


def run(params: Params, name: str) -> None:
    """Evaluate artifacts/<name> on the splits in evaluate.splits -> reports/eval/<name>/."""
    from limelight.data.manifest import read_manifest
    from limelight.models.weights import read_card
    from limelight.reporting.evaluate import evaluate, open_predictor
    from limelight.reporting.overlays import write_overlays
    from limelight.reporting.report import metrics_tree, write_report

    artifact, report, settings = ARTIFACTS / name, Path("reports/eval") / name, params.active.evaluate
    with noted_run(params, "evaluate", name) as note:
        params.check_imported("evaluate", name, read_card(artifact).architecture.family)
        samples = read_manifest(splits=settings.splits)
        evaluation = evaluate(artifact, samples, settings, device=params.device)
        write_report(evaluation, samples, report, threads=settings.threads)
        predictor = open_predictor(artifact, settings, params.device)
        write_overlays(evaluation, predictor, samples, settings, report / "overlays")
        _print(evaluation)
        note.set_tags({"weights.sha256": evaluation.card.provenance.sha256})
        note.log_metrics(metrics_tree(evaluation))
        note.log_artifact(report / "curves.png")
        note.log_artifact(report / "overlays")


def _print(evaluation: "Evaluation") -> None:
    from limelight.evaluation.averages import ERROR

    for runtime, result in evaluation.runtimes.items():
        shown = [f"{metric} {value:.4f}" for metric, value in result.mean.items() if not metric.endswith(ERROR)]
        taken = f"{result.latency_ms['network_median']:.1f} ms for {result.timed}"
        print(f"{evaluation.artifact} {runtime}: {', '.join(shown)}, {taken}")
    for dataset, hidden in evaluation.without_companion.items():
        own = evaluation.scores[dataset].figures
        both = [f"{metric} {own[metric]:.4f} / {hidden.figures[metric]:.4f}" for metric in evaluation.task.ranked_by]
        print(f"{evaluation.artifact} on {dataset}, with companions / with them hidden: {', '.join(both)}")


if __name__ == "__main__":
    stage_main(run)
