"""The leaderboard's tables, shared by Markdown and HTML."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import mul

from limelight.evaluation.averages import ERROR
from limelight.reporting.leaderboard import Contest, Leaderboard
from limelight.reporting.rows import Row
from limelight.reporting.rule import MEAN
from limelight.tasks import get_task
from limelight.tasks.task import Metric

ARROWS = {"higher": "↑", "lower": "↓"}


@dataclass(frozen=True)
class Cell:
    """A cell's text, its sort value, and whether it is the best or second best of its column."""

    text: str
    value: float | str | None = None
    best: bool = False
    second: bool = False


@dataclass(frozen=True)
class Table:
    """A title, column headings and rows of cells."""

    title: str
    header: list[str]
    rows: list[list[Cell]]


_FACTS: dict[str, tuple[Callable[[Row], str], Callable[[Row], float | str | None]]] = {
    "model": (lambda row: row.model, lambda row: row.model),
    "form": (lambda row: row.form or "–", lambda row: row.form),
    "teacher": (lambda row: row.teacher or "–", lambda row: row.teacher),
    "params (M)": (lambda row: _count(row.parameters, 1e6, 3), lambda row: row.parameters),
    "GMAC": (lambda row: _count(row.macs, 1e9, 3), lambda row: row.macs),
    "MB": (lambda row: _count(row.size_bytes, 1e6, 2), lambda row: row.size_bytes),
    "network ms": (lambda row: _count(row.network_ms, 1, 1), lambda row: row.network_ms),
    "end to end ms": (lambda row: _count(row.total_ms, 1, 1), lambda row: row.total_ms),
    "vs slowest": (lambda row: _times(row.faster_than_slowest), lambda row: row.faster_than_slowest),
    "vs training form": (lambda row: _times(row.faster_than_training_form), lambda row: row.faster_than_training_form),
}
"""Heading -> function from a row to the cell's text and sort value."""


def tables(board: Leaderboard) -> list[Table]:
    """Build each task's table of networks and speeds; then its metrics, as means over the datasets and per dataset."""
    made = []
    for name, contest in board.contests.items():
        task, datasets = get_task(name), contest.datasets
        metrics = measured(contest.rows, task.metrics)
        made.append(_networks(task.title, contest, metrics))
        if len(datasets) > 1:
            names = [row.name for row in contest.rows]
            means = dict(zip(names, comparable_means(contest), strict=True))
            made.append(_metrics("Mean over the datasets", means, metrics))
        made += [_metrics(dataset, _of_dataset(contest.rows, dataset), metrics) for dataset in datasets]
    return made


def comparable_means(contest: Contest) -> list[dict[str, float]]:
    """Return each row's means over the datasets; empty where it lacks one: means over fewer are not comparable."""
    return [row.mean if row.datasets.keys() == {*contest.datasets} else {} for row in contest.rows]


def measured(rows: Sequence[Row], metrics: Mapping[str, Metric]) -> dict[str, Metric]:
    """Return the metrics that some row has on some dataset."""
    known = {name for row in rows for figures in row.datasets.values() for name in figures}
    return {name: metric for name, metric in metrics.items() if name in known}


def _networks(title: str, contest: Contest, metrics: Mapping[str, Metric]) -> Table:
    """Build the table of networks and speeds, with the metrics that the champion was chosen by."""
    best = contest.champion
    of_dataset = [row.datasets.get(best.dataset, {}) for row in contest.rows]
    decisive = comparable_means(contest) if best.dataset == MEAN else of_dataset
    metric = {best.metric: metrics[best.metric]}
    table = Table(title, ["row", *_headings(metric), *_FACTS], [])
    for row, scores in zip(contest.rows, scored_cells(decisive, metric), strict=True):
        facts = [Cell(show(row), value(row)) for show, value in _FACTS.values()]
        table.rows.append([Cell(row.name, row.name), *scores, *facts])
    return table


def _of_dataset(rows: Sequence[Row], dataset: str) -> dict[str, dict[str, float]]:
    """Return each row's metrics, followed by those without companions."""
    figures = {}
    for row in rows:
        for suffix, datasets in (("", row.datasets), (", companion hidden", row.without_companion)):
            if dataset in datasets:
                figures[row.name + suffix] = datasets[dataset]
    return figures


def _metrics(title: str, figures: dict[str, dict[str, float]], metrics: Mapping[str, Metric]) -> Table:
    """Build the table of the metrics of each row."""
    scored = scored_cells(list(figures.values()), metrics)
    rows = [[Cell(name, name), *cells] for name, cells in zip(figures, scored, strict=True)]
    return Table(title, ["row", *_headings(metrics)], rows)


def _headings(metrics: Mapping[str, Metric]) -> list[str]:
    return [f"{metric.label} {ARROWS[metric.better]}" for metric in metrics.values()]


def scored_cells(figures: Sequence[Mapping[str, float]], metrics: Mapping[str, Metric]) -> list[list[Cell]]:
    """Build the rows of cells, marking each column's best and second best; equal at three decimals counts as a tie."""
    ranked = {}
    for name, metric in metrics.items():
        values = {round(row[name], 3) for row in figures if name in row}
        ranked[name] = sorted(values, key=partial(mul, metric.sign))
    return [[_score(row, name, ranked[name]) for name in metrics] for row in figures]


def _score(figures: Mapping[str, float], metric: str, ranked: Sequence[float]) -> Cell:
    value = figures.get(metric)
    if value is None:
        return Cell("–")
    error = f" ± {figures[metric + ERROR]:.3f}" if metric + ERROR in figures else ""
    place = ranked.index(round(value, 3))
    return Cell(f"{value:.3f}{error}", value, best=place == 0, second=place == 1)


def _times(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}×"


def _count(value: float | None, unit: float, digits: int) -> str:
    return "–" if value is None else f"{value / unit:.{digits}f}"
