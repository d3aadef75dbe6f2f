"""Evaluation of an artifact: every dataset of the chosen splits in every available runtime, in a fixed sample order.

The weights' task defines what is scored and how. A network that works both with and without depth or thermal pictures
is also scored without them, to show their benefit.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import limelight.models
from limelight.config import Evaluate
from limelight.data.manifest import Sample
from limelight.evaluation.averages import over_datasets
from limelight.evaluation.scored import Datasets, Examples, Scores
from limelight.foundation.errors import UserError
from limelight.foundation.evenly import evenly_spaced
from limelight.foundation.files import sha256_folder
from limelight.foundation.progress import track
from limelight.inference.loading import load
from limelight.inference.plan import Device
from limelight.inference.predictor import Predictor
from limelight.inference.runtimes import RUNTIMES, TORCH, runtimes_of
from limelight.models.card import Card
from limelight.models.identity import folder_sha256
from limelight.models.registry import entry
from limelight.models.weights import load_weights, read_card
from limelight.reporting.speed import median_and_p90, peak_memory_mb
from limelight.tasks import task_of
from limelight.tasks.task import Scoring, Task

REFERENCE = TORCH.name
"""The runtime that every artifact has; curves, overlays and examples come from it."""
EXAMPLES = 4
"""Samples per dataset whose results are kept for the side-by-side pictures; the same ones for every artifact."""


@dataclass(frozen=True)
class RuntimeResult:
    """Results of one runtime of an artifact."""

    scores: Mapping[str, Scores]
    """By dataset."""
    mean: dict[str, float]
    """See `over_datasets`."""
    latency_ms: dict[str, float]
    """See `median_and_p90`."""
    timed: str
    """What one latency covers, such as 'a picture'."""
    size_bytes: int
    description: str


@dataclass(frozen=True)
class Evaluation:
    """All results of one artifact."""

    artifact: str
    task: Task[Any, Any]
    card: Card
    code_sha256: str
    """Hash of the code of the network's family."""
    folder_sha256: str
    """Hash of the weights folder, exports included; see `limelight.models.identity`."""
    cost: dict[str, int]
    """See `Task.cost`."""
    runtimes: dict[str, RuntimeResult]
    examples: Examples
    """Sample id -> result of the reference runtime."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Runtime -> why it was not evaluated."""
    without_companion: Mapping[str, Scores] = field(default_factory=dict)
    """Scores of the reference runtime on the images alone, for datasets with companions; empty for a network that does
    not support companions or requires them."""
    peak_memory_mb: float = 0.0

    @property
    def scores(self) -> Mapping[str, Scores]:
        """Scores of the reference runtime, by dataset."""
        return self.runtimes[REFERENCE].scores


def evaluate(
    folder: Path | str,
    samples: Sequence[Sample],
    settings: Evaluate,
    *,
    device: Device = "auto",
    maps: Path | str = "work/maps",
) -> Evaluation:
    """Score, time and measure a weights folder in every runtime that it has.

    A runtime that cannot be opened here (its package is missing, say) is skipped and reported; so is a failing sample.

    Args:
        maps: where results go if `settings.save_maps`: <maps>/<artifact>/<runtime>/<sample id>.png.

    Raises:
        UserError: no such folder, weights without a task, no sample to score, or the reference runtime fails.
    """
    folder = Path(folder)
    card = read_card(folder)
    task = task_of(card)
    datasets = task.datasets(samples, card)
    examples: Examples = dict.fromkeys(example_ids(datasets))
    left_out: dict[str, str] = {}
    with task.scoring(settings) as scoring:
        work = _Work(folder, task, datasets, settings, scoring, Path(maps) if settings.save_maps else None)
        reference = open_predictor(folder, settings, device)
        runtimes = {REFERENCE: work.evaluate(REFERENCE, reference, examples)}
        hidden = work.without_companion(reference)
        for runtime in [each.name for each in runtimes_of(folder)[1:]]:
            try:
                # Exports run on the CPU, whatever device is set for the networks.
                runtimes[runtime] = work.evaluate(runtime, open_predictor(folder, settings, "auto", runtime), {})
            except UserError as error:
                left_out[runtime] = str(error)
                print(f"{folder.name}: {runtime} is left out: {error}", file=sys.stderr)
    return Evaluation(
        folder.name,
        task,
        card,
        code_sha256(card),
        folder_sha256(folder),
        task.cost(load_weights(folder)[0], card, datasets),
        runtimes,
        {name: pixels for name, pixels in examples.items() if pixels is not None},
        left_out,
        hidden,
        peak_memory_mb(),
    )


def open_predictor(
    folder: Path | str, settings: Evaluate, device: Device = "auto", runtime: str = REFERENCE
) -> Predictor[Any]:
    """Load a predictor with the evaluation's settings."""
    return load(folder, runtime=runtime, device=device, threads=settings.threads)


def example_ids(datasets: Datasets, count: int = EXAMPLES) -> list[str]:
    """`count` ids of each dataset, evenly spaced, so that every artifact's results for the same samples are kept."""
    return [sample.sample_id for group in datasets.values() for sample in evenly_spaced(group, count)]


def code_sha256(card: Card) -> str:
    """One hash over names and contents of the Python files of the network's family, models/<family>."""
    folder = Path(limelight.models.__path__[0]) / entry(card.architecture.model).family
    return sha256_folder(folder, "*.py")


@dataclass(frozen=True)
class _Work:
    """State shared by the evaluations of one artifact's runtimes."""

    folder: Path
    task: Task[Any, Any]
    datasets: Datasets
    settings: Evaluate
    scoring: Scoring[Any, Any]
    maps: Path | None

    def evaluate(self, runtime: str, predictor: Predictor[Any], keep: Examples) -> RuntimeResult:
        # Timed before scoring, which occupies all cores.
        timed = self.task.timed(predictor, self.datasets)
        latency = median_and_p90(timed.predict, self.settings.latency_runs)
        store = self.maps / self.folder.name / runtime if self.maps else None
        scores = {}
        for dataset, group in self.datasets.items():
            shown = track(group, len(group), f"{self.folder.name} {runtime} on {dataset}")
            scores[dataset] = self.scoring.score(predictor, dataset, shown, keep, store=store)
        mean = over_datasets([dataset_scores.figures for dataset_scores in scores.values()], self.task.metrics)
        size = RUNTIMES[runtime].size_bytes(self.folder)
        return RuntimeResult(scores, mean, latency, timed.of, size, predictor.description)

    def without_companion(self, predictor: Predictor[Any]) -> dict[str, Scores]:
        """Score the predictor on the images alone, for the datasets where it uses companions."""
        takes = predictor.card.architecture
        if "rgb" not in takes.modalities or not takes.companions:
            return {}
        scores = {}
        for dataset, group in self.datasets.items():
            if any(sample.companion and sample.modality in takes.companions for sample in group):
                shown = track(group, len(group), f"{self.folder.name} on {dataset}, companions hidden")
                scores[dataset] = self.scoring.score(predictor, dataset, shown, {}, companions=False)
        return scores
