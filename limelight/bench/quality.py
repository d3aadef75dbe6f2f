"""How good the compared models are, for the plot: from their cards, or from reports of the pipeline."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from limelight.bench.models import Model
from limelight.foundation.artifacts import merged_name
from limelight.foundation.errors import UserError
from limelight.foundation.files import read_json
from limelight.inference.runtimes import TORCH
from limelight.reporting.rows import METRICS_FILE
from limelight.tasks import TASKS, get_task

DEFAULT = "mae"


@dataclass(frozen=True)
class Quality:
    """Figures of one metric."""

    metric: str
    """What it is, for the plot's axis."""
    figures: dict[str, dict[str, float]]
    """Model -> runtime -> figure; '' stands for runtimes without one of their own."""
    missing: list[str]
    """Models that have none."""

    @property
    def less_is_better(self) -> bool:
        tasks = (get_task(name).metrics for name in TASKS)
        lower = [name for metrics in tasks for name, metric in metrics.items() if metric.better == "lower"]
        return self.metric.endswith(tuple(lower))  # on cards, with the split's name before it

    def of(self, model: str, runtime: str) -> float | None:
        figures = self.figures.get(model, {})
        return figures.get(runtime, figures.get(""))


def find_quality(models: Sequence[Model], reports: Path | None, metric: str | None) -> Quality:
    """Read the figures of a metric.

    Args:
        reports: the folder of the evaluation's reports, a folder per artifact; None = the cards' figures count.
        metric: its name in reports [mae], or on cards [the one that most of them have, MAE before others].

    Raises:
        UserError: no model has one.
    """
    quality = _from_cards(models, metric) if reports is None else _from_reports(models, reports, metric or DEFAULT)
    if not quality.figures:
        where = "on its card" if reports is None else f"in {reports}"
        raise UserError(
            f"there is nothing to plot: no model has {quality.metric or 'a figure'} {where}; evaluate them and give "
            "--reports, or leave --plot out"
        )
    return quality


def _from_cards(models: Sequence[Model], metric: str | None) -> Quality:
    cards = {model.name: model.card.provenance.metrics for model in models}
    held = Counter(name for figures in cards.values() for name in figures)
    if metric is not None and metric not in held and held:
        raise UserError(f"no card has the figure {metric!r}; they have: {', '.join(sorted(held))}")
    chosen = metric or max(sorted(held, reverse=True), key=lambda name: (held[name], _rank(name)), default="")
    figures = {name: {"": known[chosen]} for name, known in cards.items() if chosen in known}
    return Quality(chosen, figures, [name for name in cards if name not in figures])


def _rank(name: str) -> tuple[bool, bool]:
    """MAE before others, and a test set's figure before that of the validation during training."""
    return name.lower().endswith(DEFAULT), not name.startswith("val_")


def _from_reports(models: Sequence[Model], reports: Path, metric: str) -> Quality:
    if not reports.is_dir():
        raise UserError(f"{reports} does not exist; give the folder of evaluation reports, such as reports/eval")
    figures, known = {}, set[str]()
    for model in models:
        # The rows are of the inference form, whose report has its exports too.
        places = [reports / merged_name(model.name) / METRICS_FILE, reports / model.name / METRICS_FILE]
        if place := next((place for place in places if place.is_file()), None):
            mean = read_json(place)["mean"]
            known |= {name for each in mean.values() for name in each}
            own = {runtime: each[metric] for runtime, each in mean.items() if metric in each}
            if own:
                figures[model.name] = {"": own.get(TORCH.name, next(iter(own.values()))), **own}
    if known and metric not in known:
        raise UserError(f"no report has the figure {metric!r}; they have: {', '.join(sorted(known))}")
    return Quality(metric, figures, [model.name for model in models if model.name not in figures])
