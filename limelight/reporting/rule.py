"""Choose the champion: the best row by one metric within the limits, and the fastest among ties."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from limelight.config import Rule
from limelight.foundation.errors import UserError
from limelight.reporting.rows import Row
from limelight.tasks.task import Metric, Task

TIE = 5e-4
"""Rows closer than this are ties: the field quotes three decimals, and a merged form or an export differs from its own
training form by rounding, which must not make the slow form champion."""
MEAN = "mean"


@dataclass(frozen=True)
class Champion:
    """The champion of a task; champion.json holds these fields for each task."""

    artifact: str
    runtime: str
    metric: str
    dataset: str
    """A dataset's name, or 'mean' over all of them."""
    value: float
    reason: str
    runner_up: dict[str, str | float] | None
    """artifact, runtime, value of the next; None if there is no other candidate."""


def choose_champion(rows: Sequence[Row], rule: Rule, task: Task[Any, Any]) -> Champion:
    """Choose the champion by a rule such as `compare` in params.yaml holds for a task.

    Candidates are the rows with weights, evaluated on every dataset that the rule looks at, within max_parameters and
    max_latency_ms (median end to end, batch 1). The best by the metric wins; of rows within 0.0005 of it the one with
    the lowest latency, then the fewest parameters, then the first by name.

    Raises:
        UserError: an unknown metric or dataset, no candidate, or none within the limits; then the closest is named.
    """
    metric = metric_of(rule, task)
    known = sorted({dataset for row in rows for dataset in row.datasets})
    if rule.dataset is not None and rule.dataset not in known:
        raise UserError(
            f"compare.{task.name}.dataset {rule.dataset!r} was not evaluated on; choose one of {', '.join(known)} or "
            "null"
        )
    values = {row.name: value_of(row, rule, known) for row in rows if row.parameters is not None}
    candidates = [row for row in rows if values.get(row.name) is not None]
    if not candidates:
        where = rule.dataset or "all datasets"
        raise UserError(
            f"no evaluated artifact has {rule.metric} on {where}; evaluate one, or change compare.{task.name}.dataset"
        )
    within = [row for row in candidates if excess(row, rule) <= 1]
    if not within:
        raise UserError(_nothing_within_limits(candidates, rule))
    figures = {row.name: value for row in within if (value := values[row.name]) is not None}
    return _choose_best(within, figures, rule, metric, left=len(candidates) - len(within))


def metric_of(rule: Rule, task: Task[Any, Any]) -> Metric:
    """Return the task's metric that a rule names.

    Raises:
        UserError: the task has none of that name.
    """
    if rule.metric not in task.metrics:
        raise UserError(f"compare.{task.name}.metric is {rule.metric!r}; choose one of {', '.join(task.metrics)}")
    return task.metrics[rule.metric]


def _choose_best(within: list[Row], figures: dict[str, float], rule: Rule, metric: Metric, left: int) -> Champion:
    ranked = sorted(within, key=lambda row: (metric.sign * figures[row.name], *_cost(row)))
    best = figures[ranked[0].name]
    equals = sorted((row for row in ranked if abs(figures[row.name] - best) <= TIE), key=_cost)
    winner, *others = equals + [row for row in ranked if row not in equals]
    second = others[0] if others else None
    return Champion(
        winner.artifact,
        winner.runtime,
        rule.metric,
        rule.dataset or MEAN,
        figures[winner.name],
        _reason(winner, len(equals), len(within), left, rule, metric),
        {"artifact": second.artifact, "runtime": second.runtime, "value": figures[second.name]} if second else None,
    )


def value_of(row: Row, rule: Rule, datasets: list[str]) -> float | None:
    """Return the row's value under the rule; None where it lacks a dataset that the rule uses.

    Args:
        datasets: all that any row was evaluated on.
    """
    if rule.dataset is not None:
        return row.datasets.get(rule.dataset, {}).get(rule.metric)
    return row.mean.get(rule.metric) if row.datasets.keys() == set(datasets) else None


def _cost(row: Row) -> tuple[float, int, str, str]:
    """Return the sort key of ties: latency and parameters, then the name; for rows with weights."""
    return row.total_ms or 0.0, row.parameters or 0, row.artifact, row.runtime


def excess(row: Row, rule: Rule) -> float:
    """Return the row's largest ratio of value to limit; above 1, it breaks a limit."""
    limits = ((row.parameters, rule.max_parameters), (row.total_ms, rule.max_latency_ms))
    return max(((figure or 0) / limit for figure, limit in limits if limit is not None), default=0.0)


def _limits(rule: Rule) -> str:
    limits = []
    if rule.max_parameters is not None:
        limits.append(f"{rule.max_parameters:,} parameters")
    if rule.max_latency_ms is not None:
        limits.append(f"{rule.max_latency_ms:g} ms end to end")
    return " and ".join(limits)


def _reason(winner: Row, equals: int, within: int, left: int, rule: Rule, metric: Metric) -> str:
    direction = "highest" if metric.better == "higher" else "lowest"
    where = f"on {rule.dataset}" if rule.dataset else "as mean of the datasets"
    text = f"{direction} {rule.metric} {where}, among {within} of {within + left} rows with weights"
    if limits := _limits(rule):
        text += f" that keep within {limits}"
    if equals > 1:
        text += f"; the fastest ({winner.total_ms:.1f} ms end to end) of {equals} that lie within {TIE} of the best"
    return text


def _nothing_within_limits(candidates: list[Row], rule: Rule) -> str:
    nearest = min(candidates, key=lambda row: (excess(row, rule), *_cost(row)))
    return (
        f"none of {len(candidates)} rows keeps within {_limits(rule)} (compare in params.yaml); the nearest is "
        f"{nearest.name} with {nearest.parameters:,} parameters and {nearest.total_ms:.1f} ms; "
        "raise a limit or evaluate a smaller network"
    )
