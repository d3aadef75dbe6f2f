"""From the reports of all evaluations to one leaderboard on disk."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from limelight.config import Compare, Evaluate
from limelight.data.manifest import Sample, manifest_hash
from limelight.evaluation.confusion import WORD_METRICS
from limelight.evaluation.gallery import Tile, gallery, gallery_of_words
from limelight.evaluation.leaderboard import (
    Leaderboard,
    Report,
    Row,
    read_reports,
    row_of_maps,
    rows_of,
    with_speed_ups,
)
from limelight.evaluation.maps import evaluate_maps_folder, find_maps
from limelight.evaluation.page import Diagram, html, markdown
from limelight.evaluation.plots import Point, plot_scatter
from limelight.evaluation.rule import DIRECTIONS, WORDS_RULE, Champion, choose_champion
from limelight.evaluation.tables import LABELS
from limelight.foundation.files import write_json, write_text
from limelight.tasks import SALIENCY

Pictures = dict[str, list[Tile]]


def compare(
    reports: Path | str,
    names: Sequence[str],
    samples: Sequence[Sample],
    settings: Evaluate,
    rule: Compare,
    teachers: Mapping[str, str],
    reproduce: dict[str, str],
) -> tuple[Leaderboard, Pictures]:
    """Lay all evaluations side by side.

    Args:
        reports: folder of the evaluations.
        names: the artifacts to compare.
        samples: what they must have been made on.
        settings: `maps` names other methods' folders; `workers` score them.
        teachers: run -> teacher, of distilled runs.
        reproduce: 'command', 'profile', 'dirty'.

    Returns:
        The leaderboard, best row of each task first, and the pictures of the same images for everybody.

    Raises:
        UserError: nothing to compare, a folder of maps is incomplete, or nobody meets the rule.
    """
    found, left_out = read_reports(reports, names, manifest_hash(samples))
    named = [report for report in found if report.about["card"]["architecture"]["task"] == "open-vocabulary"]
    salient = [report for report in found if report not in named]
    rows = [row for report in salient for row in rows_of(report, teachers)]
    words = [row for report in named for row in rows_of(report, teachers)]
    for report in found:
        left_out |= {f"{report.about['artifact']} ({name})": why for name, why in report.about["left_out"].items()}
    for name, folder in settings.maps.items():
        rows.append(row_of_maps(name, evaluate_maps_folder(folder, samples, settings.workers)))
    board = Leaderboard(
        _best_first(with_speed_ups(rows), rule),
        choose_champion(rows, rule) if rows else None,
        sorted({dataset for row in rows for dataset in row.datasets}),
        sorted({f"{report.about['hardware']}, {report.about['threads']} threads" for report in found}),
        reproduce,
        manifest_hash(samples),
        left_out,
        _best_first(with_speed_ups(words), WORDS_RULE),
        choose_champion(words, WORDS_RULE, WORD_METRICS) if words else None,
    )
    pictures = _pictures(salient, settings.maps, samples)
    return board, pictures | gallery_of_words(named, {sample.sample_id: sample for sample in samples})


def write_leaderboard(board: Leaderboard, pictures: Pictures, folder: Path | str) -> None:
    """Write leaderboard.json, .md and .html, champion.json and, of each task, scatter.png and scatter_dark.png."""
    folder = Path(folder)
    diagrams = [_diagram(task, *contest, folder) for task, contest in board.contests.items()]
    write_json(folder / "champion.json", champion_record(board))
    write_json(folder / "leaderboard.json", board.to_json())
    write_text(folder / "leaderboard.md", markdown(board))
    write_text(folder / "leaderboard.html", html(board, pictures, diagrams))


def _diagram(task: str, rows: Sequence[Row], champion: Champion, folder: Path) -> Diagram:
    """Quality over speed, for a light and for a dark page: scatter.png; scatter_words.png of what finds words."""
    metric = champion.metric
    points = [
        Point(
            row.artifact.removesuffix("-deploy"),
            f"{row.runtime}, {row.form}",
            row.network_ms,
            row.mean[metric],
            row.parameters,
        )
        for row in rows
        if row.network_ms and metric in row.mean
    ]
    datasets = {dataset for row in rows for dataset in row.datasets}
    quality = f"{LABELS[metric]}, mean over {len(datasets)} datasets" if len(datasets) > 1 else LABELS[metric]
    name = "scatter" if task == SALIENCY else f"scatter_{task}"
    light, dark = folder / f"{name}.png", folder / f"{name}_dark.png"
    for path in (light, dark):
        plot_scatter(points, f"{quality} ({DIRECTIONS[metric]} is better)", path, dark=path == dark)
    return light, dark


def champion_record(board: Leaderboard) -> dict[str, object]:
    """champion.json: task -> the rule's choice, its weights' sha256 and the hash of the samples it was measured on."""
    return {task: _record(rows, best, board.manifest_sha256) for task, (rows, best) in board.contests.items()}


def _record(rows: Sequence[Row], best: Champion, manifest_sha256: str) -> dict[str, object]:
    row = next(row for row in rows if (row.artifact, row.runtime) == (best.artifact, best.runtime))
    return {**asdict(best), "weights_sha256": row.weights_sha256, "manifest_sha256": manifest_sha256}


def _best_first(rows: Sequence[Row], rule: Compare) -> list[Row]:
    """By a rule's metric, whether a row could be champion or not; rows without the figure come last."""
    sign = -1 if DIRECTIONS[rule.metric] == "higher" else 1

    def key(row: Row) -> tuple[float, str]:
        figures = row.mean if rule.dataset is None else row.datasets.get(rule.dataset, {})
        return sign * figures[rule.metric] if rule.metric in figures else float("inf"), row.name

    return sorted(rows, key=key)


def _pictures(reports: Sequence[Report], maps: Mapping[str, str], samples: Sequence[Sample]) -> Pictures:
    others = {}
    for method, folder in maps.items():
        pairs = [pair for group in find_maps(Path(folder), samples).values() for pair in group]
        others[method] = {sample.sample_id: path for sample, path in pairs}
    return gallery(reports, others, {sample.sample_id: sample for sample in samples})
