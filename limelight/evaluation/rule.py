"""Which row wins: the best by one metric that keeps within the limits, and the fastest among equals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from limelight.config import Compare
from limelight.evaluation.confusion import WORD_METRICS
from limelight.evaluation.metrics import METRICS
from limelight.foundation.errors import UserError

if TYPE_CHECKING:
    from limelight.evaluation.leaderboard import Row

TIE = 5e-4
"""Rows closer than this are equal: the field quotes three decimals, and a merged form or an export differs from its own
training form by rounding, which must not make the slow form champion."""
MEAN = "mean"
DIRECTIONS = METRICS | WORD_METRICS
"""Of every metric, saliency's and words', which way is better."""
WORDS_RULE = Compare(metric="mIoU")
"""How the champion is chosen among those that find what words name."""


@dataclass(frozen=True)
class Champion:
    """The rule's choice; champion.json holds these fields of each task's."""

    artifact: str
    runtime: str
    metric: str
    dataset: str
    """A dataset's name, or 'mean' over all of them."""
    value: float
    reason: str
    runner_up: dict[str, str | float] | None
    """artifact, runtime, value of the next; None if there is no other candidate."""


def choose_champion(rows: Sequence["Row"], rule: Compare, metrics: Mapping[str, str] = METRICS) -> Champion:
    """Apply a rule such as `compare` of params.yaml.

    Candidates are the rows with weights, evaluated on every dataset that the rule looks at, within max_parameters and
    max_latency_ms (median end to end, batch 1). The best by the metric wins; of rows within 0.0005 of it the one with
    the lowest latency, then the fewest parameters, then the first by name.

    Raises:
        UserError: an unknown metric or dataset, no candidate, or none within the limits; then the nearest is named.
    """
    if rule.metric not in metrics:
        raise UserError(f"compare.metric is {rule.metric!r}; choose one of {', '.join(metrics)}")
    known = sorted({dataset for row in rows for dataset in row.datasets})
    if rule.dataset is not None and rule.dataset not in known:
        raise UserError(
            f"compare.dataset {rule.dataset!r} was not evaluated on; choose one of {', '.join(known)} or null"
        )
    candidates = [row for row in rows if row.parameters is not None and _value(row, rule, known) is not None]
    if not candidates:
        where = rule.dataset or "all datasets"
        raise UserError(f"no evaluated artifact has {rule.metric} on {where}; evaluate one, or change compare.dataset")
    within = [row for row in candidates if _excess(row, rule) <= 1]
    if not within:
        raise UserError(_nobody(candidates, rule))
    return _crown(within, rule, known, left=len(candidates) - len(within))


def _crown(within: list["Row"], rule: Compare, known: list[str], left: int) -> Champion:
    sign = -1 if DIRECTIONS[rule.metric] == "higher" else 1

    def value(row: "Row") -> float:
        return _value(row, rule, known)

    ranked = sorted(within, key=lambda row: (sign * value(row), *_cost(row)))
    equals = sorted((row for row in ranked if abs(value(row) - value(ranked[0])) <= TIE), key=_cost)
    winner, *others = equals + [row for row in ranked if row not in equals]
    return Champion(
        winner.artifact,
        winner.runtime,
        rule.metric,
        rule.dataset or MEAN,
        value(winner),
        _reason(winner, len(equals), len(within), left, rule),
        {"artifact": others[0].artifact, "runtime": others[0].runtime, "value": value(others[0])} if others else None,
    )


def _value(row: "Row", rule: Compare, datasets: list[str]) -> float | None:
    """The row's figure under the rule; None where it lacks a dataset that the rule looks at."""
    if rule.dataset is not None:
        return row.datasets.get(rule.dataset, {}).get(rule.metric)
    return row.mean.get(rule.metric) if row.datasets.keys() == set(datasets) else None


def _cost(row: "Row") -> tuple[float, int, str, str]:
    return row.total_ms, row.parameters, row.artifact, row.runtime


def _excess(row: "Row", rule: Compare) -> float:
    """The largest of the row's quotients of figure and limit: above 1, it breaks a limit."""
    limits = ((row.parameters, rule.max_parameters), (row.total_ms, rule.max_latency_ms))
    return max((figure / limit for figure, limit in limits if limit is not None), default=0.0)


def _limits(rule: Compare) -> str:
    limits = []
    if rule.max_parameters is not None:
        limits.append(f"{rule.max_parameters:,} parameters")
    if rule.max_latency_ms is not None:
        limits.append(f"{rule.max_latency_ms:g} ms end to end")
    return " and ".join(limits)


def _reason(winner: "Row", equals: int, within: int, left: int, rule: Compare) -> str:
    direction = "highest" if DIRECTIONS[rule.metric] == "higher" else "lowest"
    where = f"on {rule.dataset}" if rule.dataset else "as mean of the datasets"
    text = f"{direction} {rule.metric} {where}, among {within} of {within + left} rows with weights"
    if limits := _limits(rule):
        text += f" that keep within {limits}"
    if equals > 1:
        text += f"; the fastest ({winner.total_ms:.1f} ms end to end) of {equals} that lie within {TIE} of the best"
    return text


def _nobody(candidates: list["Row"], rule: Compare) -> str:
    nearest = min(candidates, key=lambda row: (_excess(row, rule), *_cost(row)))
    return (
        f"none of {len(candidates)} rows keeps within {_limits(rule)} (compare in params.yaml); the nearest is "
        f"{nearest.name} with {nearest.parameters:,} parameters and {nearest.total_ms:.1f} ms; "
        "raise a limit or evaluate a smaller network"
    )
