"""evaluate: figures per dataset and runtime, speed, size, curves and overlays of one artifact.

The metrics of saliency; of weights that take words, the IoU of the classes that the words name.
"""

from pathlib import Path

from limelight.config import Params
from limelight.journal import Note, noted_run
from stages.runner import stage_main


def run(params: Params, name: str) -> None:
    """Evaluate artifacts/<name> on the splits in evaluate.splits -> reports/eval/<name>/."""
    from models.weights import read_card

    with noted_run(params, "evaluate", name) as note:
        (words if read_card(Path("artifacts") / name).text else evaluate)(params, name, note)


def evaluate(params: Params, name: str, note: Note) -> None:
    """As `run`, of weights that find what is salient; notes the figures and pictures."""
    from limelight.data.manifest import read_manifest
    from limelight.evaluation.overlays import write_overlays
    from limelight.evaluation.protocol import REFERENCE, evaluate_artifact, open_predictor
    from limelight.evaluation.report import metrics_tree, write_report
    from models.files import atomic_path

    settings = params.active.evaluate
    artifact, report = Path("artifacts") / name, Path("reports/eval") / name
    samples = read_manifest(splits=settings.splits)
    evaluation = evaluate_artifact(artifact, samples, settings, device=params.device)
    write_report(evaluation, samples, report, threads=settings.threads)

    predictor = open_predictor(artifact, settings, params.device)
    by_id = {sample.sample_id: sample for sample in samples}
    with atomic_path(report / "overlays") as overlays:
        overlays.mkdir()
        for dataset, scores in evaluation.runtimes[REFERENCE].scores.items():
            write_overlays(predictor, by_id, scores, settings.overlays, overlays, dataset)

    note.set_tags({"weights.sha256": evaluation.card.sha256})
    note.log_metrics(metrics_tree(evaluation))
    note.log_artifact(report / "curves.png")
    note.log_artifact(report / "overlays")
    for runtime, result in evaluation.runtimes.items():
        figures = _shown(result.mean)
        print(f"{name} {runtime}: {figures}, {result.latency_ms['network_median']:.1f} ms")
    for dataset, hidden in evaluation.without_companion.items():
        shown = evaluation.runtimes[REFERENCE].scores[dataset].metrics
        both = [f"{metric} {shown[metric]:.4f} / {hidden.metrics[metric]:.4f}" for metric in ("iou", "wFm", "mae")]
        print(f"{name} on {dataset}, with companions / with them hidden: {', '.join(both)}")


def words(params: Params, name: str, note: Note) -> None:
    """As `run`, of weights that find what words name; notes the figures and pictures."""
    from limelight.data.manifest import read_manifest
    from limelight.evaluation.label_pictures import write_label_overlays
    from limelight.evaluation.semantic import evaluate_words
    from limelight.evaluation.semantic_report import words_tree, write_words_report
    from limelight.inference.predictor import Predictor
    from models.files import atomic_path

    settings = params.active.evaluate
    artifact, report = Path("artifacts") / name, Path("reports/eval") / name
    samples = read_manifest(splits=settings.splits)
    evaluation = evaluate_words(artifact, samples, settings, device=params.device)
    write_words_report(evaluation, samples, report, threads=settings.threads)

    predictor = Predictor.load(artifact, device=params.device, threads=settings.threads)
    by_id = {sample.sample_id: sample for sample in samples}
    with atomic_path(report / "overlays") as overlays:
        overlays.mkdir()
        for dataset, scores in evaluation.scores.items():
            write_label_overlays(predictor, by_id, scores, settings, overlays, dataset)

    note.set_tags({"weights.sha256": evaluation.card.sha256})
    note.log_metrics({key: value for key, value in words_tree(evaluation).items() if key != "iou"})
    note.log_artifact(report / "curves.png")
    note.log_artifact(report / "overlays")
    taken = f"{evaluation.latency_ms['network_median']:.1f} ms for {evaluation.prompts} words"
    print(f"{name}: {_shown(evaluation.mean)}, {taken}")


def _shown(mean: dict[str, float]) -> str:
    from limelight.evaluation.averages import ERROR

    return ", ".join(f"{metric} {value:.4f}" for metric, value in mean.items() if not metric.endswith(ERROR))


if __name__ == "__main__":
    stage_main(run)
