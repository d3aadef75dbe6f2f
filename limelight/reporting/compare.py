"""Combine the evaluation reports into one leaderboard on disk."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from limelight.config import Evaluate, Rule, TaskName
from limelight.data.manifest import Sample, manifest_hash
from limelight.evaluation.plots import Point, plot_scatter
from limelight.evaluation.scored import Method
from limelight.evaluation.tiles import Tile
from limelight.foundation.artifacts import run_name
from limelight.foundation.files import write_json, write_text
from limelight.reporting.leaderboard import Contest, Leaderboard
from limelight.reporting.page import Diagram, html, markdown
from limelight.reporting.results import chosen_metrics, results_csv, results_tex
from limelight.reporting.rows import Report, Row, read_reports, row_of_maps, rows_of, with_speed_ups
from limelight.reporting.rule import choose_champion, metric_of, value_of
from limelight.reporting.tables import comparable_means
from limelight.tasks import TASKS, get_task
from limelight.tasks.task import Task

Pictures = dict[str, list[Tile]]


def compare(
    reports: Path | str,
    names: Sequence[str],
    samples: Sequence[Sample],
    settings: Evaluate,
    rules: Mapping[TaskName, Rule],
    teachers: Mapping[str, str],
    reproduce: dict[str, str],
    *,
    trees: Mapping[str, str],
) -> tuple[Leaderboard, Pictures]:
    """Compare all evaluations, in one contest per task.

    Args:
        reports: folder of the evaluations.
        names: the artifacts to compare.
        samples: the samples that the reports must have been made on.
        settings: `maps` names other methods' folders; `workers` score them.
        rules: how champions are chosen; a task that is missing here uses its default rule.
        teachers: run -> teacher, of distilled runs.
        reproduce: 'command', 'profile', 'dirty'.
        trees: dataset -> hash of its whole folder, see `manifest_trees`.

    Returns:
        The leaderboard, best row of each task first, and pictures of the same images from every report.

    Raises:
        UserError: nothing to compare, a folder of maps is incomplete, an unknown metric, or no row satisfies a rule.
    """
    hashed = manifest_hash(samples)
    readings, left_out = read_reports(reports, names, hashed) if names or not settings.maps else ([], {})
    by_id = {sample.sample_id: sample for sample in samples}
    contests: dict[str, Contest] = {}
    pictures: Pictures = {}
    for name in TASKS:
        task = get_task(name)
        own, methods = [report for report in readings if report.task == name], task.other_methods(settings, samples)
        rows = [row for report in own for row in rows_of(report, teachers)]
        rows += [row_of_maps(title, method, task) for title, method in methods.items()]
        if rows:
            contests[name] = _contest(rows, rules.get(name, task.rule), task)
            pictures |= gallery(task, own, methods, by_id)
    for report in readings:
        left_out |= {
            f"{report.about['artifact']} ({name})": reason for name, reason in report.about["left_out"].items()
        }
    hardware = sorted({f"{report.about['hardware']}, {report.about['threads']} threads" for report in readings})
    return Leaderboard(contests, hardware, reproduce, hashed, _data_hash(samples, trees), left_out), pictures


def gallery(
    task: Task[Any, Any],
    reports: Sequence[Report],
    methods: Mapping[str, Method],
    samples: Mapping[str, Sample],
) -> Pictures:
    """Rows of tiles by sample id: the sample, its truth, one result per report and per other method.

    Args:
        samples: by id.
    """
    ids = dict.fromkeys(name for report in reports for name in report.about["examples"])
    pictures = {}
    for name in ids:
        results = {
            report.about["artifact"]: report.folder / report.about["examples"][name]
            for report in reports
            if name in report.about["examples"]
        }
        results |= {title: method.paths[name] for title, method in methods.items() if name in method.paths}
        pictures[name] = task.tiles(samples[name], results)
    return pictures


def write_leaderboard(board: Leaderboard, pictures: Pictures, folder: Path | str) -> None:
    """Write leaderboard.json, .md, .html, champion.json and, for each task, results-<task>.csv and .tex and
    scatter-<task>.png and -dark.png."""
    folder = Path(folder)
    diagrams = [_diagram(get_task(name), contest, folder) for name, contest in board.contests.items()]
    for name, contest in board.contests.items():
        write_text(folder / f"results-{name}.csv", results_csv(contest))
        write_text(folder / f"results-{name}.tex", results_tex(contest, get_task(name).metrics))
    write_json(folder / "champion.json", board.champions())
    write_json(folder / "leaderboard.json", board.to_json())
    write_text(folder / "leaderboard.md", markdown(board))
    write_text(folder / "leaderboard.html", html(board, pictures, diagrams))


def _data_hash(samples: Sequence[Sample], trees: Mapping[str, str]) -> str:
    """Hash the samples and their datasets' folders; the samples themselves have no hash of their masks."""
    used = {sample.dataset: trees.get(sample.dataset) for sample in samples}
    return hashlib.sha256(json.dumps([manifest_hash(samples), used], sort_keys=True).encode()).hexdigest()


def _contest(rows: Sequence[Row], rule: Rule, task: Task[Any, Any]) -> Contest:
    """Sort rows by the rule's metric, whether eligible as champion or not; rows without a value come last."""
    sign = metric_of(rule, task).sign

    known = sorted({dataset for row in rows for dataset in row.datasets})

    def key(row: Row) -> tuple[float, str]:
        value = value_of(row, rule, known)
        return float("inf") if value is None else sign * value, row.name

    ranked = sorted(with_speed_ups(rows), key=key)
    return Contest(ranked, choose_champion(rows, rule, task), chosen_metrics(rule, ranked, task))


def _diagram(task: Task[Any, Any], contest: Contest, folder: Path) -> Diagram:
    """Plot quality over speed, for a light and for a dark page."""
    key, means = contest.champion.metric, comparable_means(contest)
    points = [
        Point(
            run_name(row.artifact),
            f"{row.runtime}, {row.form}",
            row.network_ms,
            mean[key],
            row.parameters,
        )
        for row, mean in zip(contest.rows, means, strict=True)
        if row.network_ms and row.parameters is not None and key in mean
    ]
    metric, count = task.metrics[key], len(contest.datasets)
    quality = f"{metric.label}, mean over {count} datasets" if count > 1 else metric.label
    light, dark = folder / f"scatter-{task.name}.png", folder / f"scatter-{task.name}-dark.png"
    for path in (light, dark):
        plot_scatter(points, f"{quality} ({metric.better} is better)", path, dark=path == dark)
    return light, dark
