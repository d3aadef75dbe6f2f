"""What a training leaves behind: a weights folder with its card, and a report."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from limelight.config import Run
from limelight.data.manifest import Sample, manifest_hash
from limelight.foundation.files import write_json
from limelight.models.card import Card, Normalisation
from limelight.models.registry import entry
from limelight.models.weights import save_weights
from limelight.training.history import HEADLINES, History
from limelight.training.learner import Learner
from limelight.training.report import draw_curves, draw_samples


def write_run(
    folder: Path,
    run: Run,
    learner: Learner,
    samples: Sequence[Sample],
    history: History,
    facts: dict[str, Any],
    *,
    init: Card | None,
    parts: Sequence[Card] = (),
) -> None:
    """Write weights, card and history.json.

    Args:
        samples: the training samples.
        facts: further fields of the card, see `Card.derived`.
        init: card of the weights that the training started from; its data and its licence are this network's too.
        parts: cards of the weights that parts of it started from; likewise.
    """
    trained_on = tuple(f"{split} ({rows} rows, manifest {digest[:12]})" for split, rows, digest in by_split(samples))
    if starts := [*([init] if init else ()), *parts]:
        before = dict.fromkeys(each for card in starts for each in card.provenance.trained_on)
        licences = [card.provenance.licence for card in starts] + ([] if init else [entry(run.model).licence])
        trained_on, facts = (*before, *trained_on), {**facts, "licence": "; ".join(dict.fromkeys(licences))}
    save_weights(
        folder,
        learner.network,
        name=run.model,
        input_size=(run.size.input, run.size.input),
        trained_on=trained_on,
        metrics=validation_figures(history),
        **learner.card_facts(samples, init),
        **facts,
    )
    history.write_json(folder / "history.json")


def write_report(
    folder: Path, run: Run, learner: Learner, shown: Sequence[Sample], history: History, normalisation: Normalisation
) -> None:
    """Write history.csv, metrics.json, curves.png and samples.png.

    Args:
        shown: samples whose first few are drawn.
        normalisation: the images'.
    """
    history.write_csv(folder / "history.csv")
    best = {f"best_{key}": value for key, value in (history.best or {}).items() if key in ("epoch", *HEADLINES)}
    write_json(folder / "metrics.json", {**history.last, **best})
    draw_curves(history, folder / "curves.png", folder.name)
    draw_samples(learner, shown, run.size.input, folder / "samples.png", normalisation)


def validation_figures(history: History) -> dict[str, float]:
    """Return the newest validation metrics."""
    return {key: value for key, value in history.last.items() if key.startswith("val_")}


def by_split(samples: Sequence[Sample]) -> list[tuple[str, int, str]]:
    """Group samples by split: ('<dataset>/<split>', rows, hash of these rows) for each."""

    def where(sample: Sample) -> str:
        return f"{sample.dataset}/{sample.split}"

    groups = [(split, list(group)) for split, group in groupby(sorted(samples, key=where), where)]
    return [(split, len(group), manifest_hash(group)) for split, group in groups]
