"""The protocol: every dataset of the chosen splits in every runtime that an artifact has, images always in one order.

Maps are quantised to 8 bits (value x 255, cut off) at the ground truth's size before they are scored, as in every
published evaluation; figures of float maps would differ in the fourth decimal.

A network is given each sample's depth or thermal picture if it takes that kind, and the image alone if not. One that
works with and without is also scored with the companions hidden, so that one can see what they are worth.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from limelight.config import Evaluate
from limelight.data.manifest import Sample
from limelight.evaluation.averages import over_datasets
from limelight.evaluation.metrics import METRICS, Pair, Scorer, Scores
from limelight.evaluation.speed import measure_latency, peak_memory_mb
from limelight.foundation.errors import UserError
from limelight.imaging.images import write_png
from limelight.inference.pictures import Picture, modality_of, read_picture, read_sample
from limelight.inference.predictor import SaliencyPredictor, load
from limelight.inference.runtimes import RUNTIMES, TORCH, runtimes_of
from limelight.models.card import Card
from limelight.models.cost import count_macs
from limelight.models.weights import load_weights, read_card
from limelight.progress import track

REFERENCE = TORCH.name
"""The runtime that every artifact has; curves, overlays and examples are its."""
EXAMPLES = 4
"""Images per dataset whose maps are kept for the side-by-side pictures; the same ones for every artifact."""

Datasets = dict[str, list[Sample]]
Maps = dict[str, NDArray[np.uint8] | None]
Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class RuntimeResult:
    """What one runtime of an artifact achieves."""

    scores: dict[str, Scores]
    """By dataset."""
    latency_ms: dict[str, float]
    size_bytes: int
    description: str

    @property
    def mean(self) -> dict[str, float]:
        """See `over_datasets`."""
        return over_datasets([scores.figures for scores in self.scores.values()], METRICS)


@dataclass(frozen=True)
class Evaluation:
    """All that was found out about one artifact."""

    artifact: str
    card: Card
    macs: int
    """Of one image at the card's input size."""
    runtimes: dict[str, RuntimeResult]
    examples: dict[str, NDArray[np.uint8]]
    """sample id -> map of the reference runtime."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Runtime -> why it was not evaluated."""
    without_companion: dict[str, Scores] = field(default_factory=dict)
    """By dataset that has companions: the reference runtime's scores on the images alone; empty for a network that
    takes no companions, or cannot do without."""
    peak_memory_mb: float = 0.0


def by_dataset(samples: Sequence[Sample], modalities: Sequence[str]) -> Datasets:
    """Group the samples that a network of these modalities can be scored on.

    Of a dataset that has samples of these modalities only those count; of others all that have a saliency mask, as
    images alone, or none where the network needs more than the image.

    Raises:
        UserError: none is left.
    """
    groups: Datasets = {}
    for sample in samples:
        if sample.labels == "mask":
            groups.setdefault(sample.dataset, []).append(sample)
    for dataset, group in groups.items():
        own = [sample for sample in group if sample.modality in modalities]
        groups[dataset] = own or (group if "rgb" in modalities else [])
    groups = {dataset: group for dataset, group in groups.items() if group}
    if not groups:
        raise UserError(
            f"none of {len(samples)} samples to evaluate on has a saliency mask and is {' or '.join(modalities)}; "
            "name other splits in evaluate.splits"
        )
    return groups


def example_ids(datasets: Datasets, count: int = EXAMPLES) -> list[str]:
    """`count` ids of each dataset, evenly spaced, so that every artifact's maps of the same images are kept."""
    chosen = []
    for group in datasets.values():
        places = np.linspace(0, len(group) - 1, min(count, len(group))).round().astype(int)
        chosen += [group[place].sample_id for place in places]
    return chosen


def evaluate_artifact(
    folder: Path | str,
    samples: Sequence[Sample],
    settings: Evaluate,
    *,
    device: Device = "auto",
    maps: Path | str = "work/maps",
) -> Evaluation:
    """Score, time and measure a weights folder in every runtime that it has.

    A runtime that cannot be opened here (its package is missing, say) is left out and named; so is an image that fails.

    Args:
        maps: where the maps go if `settings.save_maps`: <maps>/<artifact>/<runtime>/<sample id>.png.

    Raises:
        UserError: no such folder, no sample with a mask, or the reference runtime fails.
    """
    folder = Path(folder)
    card = read_card(folder)
    datasets = by_dataset(samples, card.architecture.modalities)
    examples: Maps = dict.fromkeys(example_ids(datasets))
    results: dict[str, RuntimeResult] = {}
    left_out: dict[str, str] = {}
    with Scorer(settings.workers) as scorer:
        work = _Work(folder, card, datasets, settings, scorer, Path(maps) if settings.save_maps else None)
        results[REFERENCE] = work.evaluate(REFERENCE, device, examples)
        hidden = work.without_companion(device)
        for runtime in [each.name for each in runtimes_of(folder)[1:]]:
            try:
                # An export runs on the CPU, whatever the device of the networks.
                results[runtime] = work.evaluate(runtime, "auto", {})
            except UserError as error:
                left_out[runtime] = str(error)
                print(f"{folder.name}: {runtime} is left out: {error}", file=sys.stderr)
    macs = count_macs(load_weights(folder)[0], *card.prepare.size)
    kept = {name: pixels for name, pixels in examples.items() if pixels is not None}
    return Evaluation(folder.name, card, macs, results, kept, left_out, hidden, peak_memory_mb())


@dataclass(frozen=True)
class _Work:
    """What the evaluations of one artifact's runtimes share."""

    folder: Path
    card: Card
    datasets: Datasets
    settings: Evaluate
    scorer: Scorer
    maps: Path | None

    def evaluate(self, runtime: str, device: Device, keep: Maps) -> RuntimeResult:
        predictor = open_predictor(self.folder, self.settings, device, runtime)
        # Timed before the scoring, which takes the cores for itself.
        latency = measure_latency(predictor, _first_picture(self.datasets, self.card), self.settings.latency_runs)
        store = self.maps / self.folder.name / runtime if self.maps else None
        scores = {}
        for dataset, group in self.datasets.items():
            shown = track(group, len(group), f"{self.folder.name} {runtime} on {dataset}")
            scores[dataset] = self.scorer.score(predicted(predictor, shown, self.settings.batch_size, keep, store))
        return RuntimeResult(scores, latency, RUNTIMES[runtime].size_bytes(self.folder), predictor.description)

    def without_companion(self, device: Device) -> dict[str, Scores]:
        """The reference runtime's scores on the images alone, of the datasets where it is given more."""
        takes = self.card.architecture
        if "rgb" not in takes.modalities or not takes.companions:
            return {}
        predictor = open_predictor(self.folder, self.settings, device)
        scores = {}
        for dataset, group in self.datasets.items():
            if any(modality_of(sample, self.card) != "rgb" for sample in group):
                shown = track(group, len(group), f"{self.folder.name} on {dataset}, companions hidden")
                pairs = predicted(predictor, shown, self.settings.batch_size, {}, hide_companions=True)
                scores[dataset] = self.scorer.score(pairs)
        return scores


def open_predictor(
    folder: Path | str, settings: Evaluate, device: Device = "auto", runtime: str = REFERENCE
) -> SaliencyPredictor:
    """A predictor as the figures are made with."""
    return load(folder, runtime=runtime, device=device, threads=settings.threads)


def predicted(
    predictor: SaliencyPredictor,
    samples: Iterable[Sample],
    batch_size: int,
    keep: Maps,
    store: Path | None = None,
    *,
    hide_companions: bool = False,
) -> Iterator[Pair]:
    """Predict lazily, in order, for `Scorer.score`.

    Args:
        keep: maps of the ids in it are put into it.
        store: every map is also written to <store>/<sample id>.png.
        hide_companions: give the network the images alone.
    """

    def seen_as(sample: Sample) -> str:
        return "rgb" if hide_companions else modality_of(sample, predictor.card)

    for modality, alike in groupby(samples, seen_as):
        while batch := list(islice(alike, batch_size)):
            yield from _predict_batch(predictor, batch, modality, keep, store)


def to_8bit(saliency_HW: NDArray[np.float32]) -> NDArray[np.uint8]:
    """[0, 1] to 0..255, cut off like the published tools do, not rounded."""
    return (saliency_HW * 255).astype(np.uint8)


def _predict_batch(
    predictor: SaliencyPredictor, batch: list[Sample], modality: str, keep: Maps, store: Path | None
) -> Iterator[Pair]:
    pictures: dict[str, Picture] = {}
    failures: dict[str, UserError] = {}
    for sample in batch:
        try:
            companion = None if modality == "rgb" else sample.companion
            pictures[sample.sample_id] = read_picture(sample.image, companion, modality)
        except UserError as error:
            failures[sample.sample_id] = error
    images = [picture.image_HW3 for picture in pictures.values()]
    companions = [picture.companion_HW for picture in pictures.values()]
    predictions = predictor.predict(images, companions, modality=modality, batch_size=len(batch))
    maps = dict(zip(pictures, (to_8bit(prediction.saliency_HW) for prediction in predictions), strict=True))
    for sample in batch:
        saliency = maps.get(sample.sample_id)
        if saliency is None:
            yield sample.sample_id, failures[sample.sample_id], sample.mask
            continue
        if sample.sample_id in keep:
            keep[sample.sample_id] = saliency
        if store is not None:
            write_png(store / f"{sample.sample_id}.png", saliency)
        yield sample.sample_id, saliency, sample.mask


def _first_picture(datasets: Datasets, card: Card) -> Picture:
    """The first picture that can be read, of those with a companion if there are any."""
    samples = [sample for group in datasets.values() for sample in group]
    for sample in sorted(samples, key=lambda sample: modality_of(sample, card) == "rgb"):
        try:
            return read_sample(sample, card)
        except UserError as error:
            problem = error
    raise problem
