"""From the reports of all evaluations to one leaderboard on disk."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from limelight.config import Compare, Evaluate
from limelight.data.manifest import Sample, manifest_hash
from limelight.evaluation.champion import choose_champion
from limelight.evaluation.gallery import Tile, gallery
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
from limelight.evaluation.metrics import METRICS
from limelight.evaluation.page import html, markdown
from limelight.evaluation.plots import Point, plot_scatter
from limelight.evaluation.tables import LABELS, WORDS_METRIC
from models.files import write_json, write_text

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
        The leaderboard, best row first, and the pictures of the same images for everybody.

    Raises:
        UserError: nothing to compare, a folder of maps is incomplete, or nobody meets the rule.
    """
    found, left_out = read_reports(reports, names, manifest_hash(samples))
    named = [report for report in found if report.about["card"].get("text")]
    salient = [report for report in found if report not in named]
    rows = [row for report in salient for row in rows_of(report, teachers)]
    words = [row for report in named for row in rows_of(report, teachers)]
    for report in found:
        left_out |= {f"{report.about['artifact']} ({name})": why for name, why in report.about["left_out"].items()}
    for name, folder in settings.maps.items():
        rows.append(row_of_maps(name, evaluate_maps_folder(folder, samples, settings.workers)))
    champion = choose_champion(rows, rule)
    board = Leaderboard(
        _best_first(with_speed_ups(rows), rule),
        champion,
        sorted({dataset for row in rows for dataset in row.datasets}),
        sorted({f"{report.about['hardware']}, {report.about['threads']} threads" for report in found}),
        reproduce,
        manifest_hash(samples),
        left_out,
        sorted(with_speed_ups(words), key=lambda row: (-row.mean.get(WORDS_METRIC, 0), row.name)),
    )
    return board, _pictures(salient, settings.maps, samples)


def write_leaderboard(board: Leaderboard, pictures: Pictures, folder: Path | str) -> None:
    """Write leaderboard.json, .md and .html, champion.json, scatter.png and scatter_dark.png."""
    folder = Path(folder)
    metric = board.champion.metric
    points = [
        Point(
            row.artifact.removesuffix("-deploy"),
            f"{row.runtime}, {row.form}",
            row.network_ms,
            row.mean[metric],
            row.parameters,
        )
        for row in board.rows
        if row.network_ms and metric in row.mean
    ]
    quality = f"{LABELS[metric]}, mean over {len(board.datasets)} datasets" if board.datasets[1:] else LABELS[metric]
    scatter = {name: folder / f"{name}.png" for name in ("scatter", "scatter_dark")}
    for name, path in scatter.items():
        plot_scatter(points, f"{quality} ({METRICS[metric]} is better)", path, dark=name.endswith("dark"))
    write_json(folder / "champion.json", champion_record(board))
    write_json(folder / "leaderboard.json", board.to_json())
    write_text(folder / "leaderboard.md", markdown(board))
    write_text(folder / "leaderboard.html", html(board, pictures, scatter["scatter"], scatter["scatter_dark"]))


def champion_record(board: Leaderboard) -> dict[str, object]:
    """champion.json: the rule's choice, its weights' sha256 and the hash of the samples that it was measured on."""
    best = board.champion
    row = next(row for row in board.rows if (row.artifact, row.runtime) == (best.artifact, best.runtime))
    return {**asdict(best), "weights_sha256": row.weights_sha256, "manifest_sha256": board.manifest_sha256}


def _best_first(rows: Sequence[Row], rule: Compare) -> list[Row]:
    """By the rule's metric, whether a row could be champion or not; rows without the figure come last."""
    sign = -1 if METRICS[rule.metric] == "higher" else 1

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
