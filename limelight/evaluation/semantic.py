"""The protocol for weights that find what words name: every class of a dataset is asked of every image.

The label of a pixel is the most probable class of the dataset's vocabulary, whether training named it or not, and
background below a threshold, where the dataset has a background. Confusions are counted at the images' own size over a
whole dataset; void pixels do not count.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from limelight.class_names import folded
from limelight.config import Evaluate
from limelight.data.classes import Vocabulary, vocabulary
from limelight.data.manifest import Sample
from limelight.data.samples import read_labels, resize_labels
from limelight.evaluation.averages import jackknife, over_datasets
from limelight.evaluation.class_curves import LEVELS, level_counts, mean_curves
from limelight.evaluation.confusion import (
    WORD_METRICS,
    Confusion,
    Counts,
    class_iou,
    confusion_matrix,
    counts_of,
    figures,
)
from limelight.evaluation.protocol import example_ids
from limelight.evaluation.speed import median_and_p90, peak_memory_mb
from limelight.foundation.errors import UserError
from limelight.imaging.images import read_image
from limelight.inference.predictor import OpenVocabularyPredictor, load
from limelight.inference.segment import Segmentation
from limelight.models.card import Card
from limelight.models.cost import count_macs
from limelight.models.weights import WEIGHTS, load_weights, read_card
from limelight.progress import track

RUNTIME = "torch"
"""The one runtime of these weights."""
Datasets = dict[str, list[Sample]]
Maps = dict[str, NDArray[np.int16] | None]
Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class WordScores:
    """What was counted on one dataset."""

    classes: Vocabulary
    trained: NDArray[np.bool_] | None
    """(C,) whether training named the class; None where nobody knows."""
    confusion: Confusion
    counts_N3C: Counts
    """Of each image that was scored."""
    levels_2K256: NDArray[np.int64]
    """See `limelight.evaluation.class_curves`."""
    per_image: dict[str, dict[str, float]]
    """Sample id -> mIoU over the classes that the image shows, and pixel_accuracy."""
    failures: dict[str, str] = field(default_factory=dict)
    """Sample id -> why it was not scored."""

    @cached_property
    def metrics(self) -> dict[str, float]:
        """See `limelight.evaluation.confusion.figures`; and '<metric>_se', their standard errors over the images."""
        estimate = partial(figures, trained=self.trained, background=self.classes.background)
        return estimate(counts_of(self.confusion)) | jackknife(self.counts_N3C, estimate)

    @property
    def curves(self) -> dict[str, NDArray[np.float64]]:
        """See `mean_curves`."""
        return mean_curves(self.levels_2K256)

    @property
    def iou(self) -> dict[str, float]:
        """By class that the truth shows or the network has found."""
        found = zip(self.classes.names, class_iou(self.confusion)[1:], strict=True)
        return {name: float(value) for name, value in found if not np.isnan(value)}


@dataclass(frozen=True)
class WordEvaluation:
    """All that was found out about one artifact."""

    artifact: str
    card: Card
    scores: dict[str, WordScores]
    """By dataset."""
    latency_ms: dict[str, float]
    """Of single images, all classes of the first dataset asked of each; see `measure_latency`."""
    prompts: int
    """So many classes that is."""
    macs: int
    """Of one image at the card's input size and those prompts."""
    macs_of_one: int
    """Of one image and one prompt."""
    size_bytes: int
    description: str
    peak_memory_mb: float
    examples: dict[str, NDArray[np.int16]] = field(default_factory=dict)
    """Sample id -> labels that were found."""

    @property
    def mean(self) -> dict[str, float]:
        """See `over_datasets`."""
        return over_datasets([scores.metrics for scores in self.scores.values()], WORD_METRICS)


def by_dataset(samples: Sequence[Sample]) -> Datasets:
    """The samples with label maps.

    Raises:
        UserError: there is none.
    """
    groups: Datasets = {}
    for sample in samples:
        if sample.labels == "classes":
            groups.setdefault(sample.dataset, []).append(sample)
    if not groups:
        raise UserError(
            f"none of {len(samples)} samples to evaluate on has a label map; name others in evaluate.splits"
        )
    return groups


def evaluate_words(
    folder: Path | str, samples: Sequence[Sample], settings: Evaluate, *, device: Device = "auto"
) -> WordEvaluation:
    """Score, time and measure weights that take words. An image that fails is left out and named.

    Raises:
        UserError: no such folder, weights that take no words, or no sample that can be scored.
    """
    folder = Path(folder)
    card = read_card(folder)
    datasets = by_dataset(samples)
    predictor = load(folder, device=device, threads=settings.threads)
    names = vocabulary(next(iter(datasets))).names
    latency = measure_latency(predictor, next(_readable(datasets)), names, settings.latency_runs)
    examples: Maps = dict.fromkeys(example_ids(datasets))
    scores = {name: score(predictor, group, settings, examples) for name, group in datasets.items()}
    network = load_weights(folder)[0]
    return WordEvaluation(
        folder.name,
        card,
        scores,
        latency,
        len(names),
        count_macs(network, *card.prepare.size, prompts=len(names)),
        count_macs(network, *card.prepare.size),
        (folder / WEIGHTS).stat().st_size,
        predictor.description,
        peak_memory_mb(),
        {name: labels for name, labels in examples.items() if labels is not None},
    )


def score(predictor: OpenVocabularyPredictor, samples: Sequence[Sample], settings: Evaluate, keep: Maps) -> WordScores:
    """Ask every class of a dataset of each of its images.

    Args:
        keep: labels of the ids in it are put into it.

    Raises:
        UserError: no image can be read.
    """
    classes = vocabulary(samples[0].dataset)
    size = len(classes.names)
    total, levels = np.zeros((size + 1, size + 1), np.int64), np.zeros((2, size, LEVELS), np.int64)
    counts, per_image, failures = [], {}, {}
    for sample in track(samples, len(samples), f"words on {samples[0].dataset}"):
        try:
            found, truth_HW = predicted_and_true(predictor, sample, settings.background)
        except UserError as error:
            failures[sample.sample_id] = str(error)
            continue
        matrix = confusion_matrix(found.labels_HW, truth_HW, size)
        total += matrix
        levels += level_counts(found.probability_Khw, resize_labels(truth_HW, found.probability_Khw.shape[1:]))
        counts.append(counts_of(matrix))
        own = figures(counts[-1], np.ones(size, bool), classes.background)
        per_image[sample.sample_id] = {name: own[name] for name in ("mIoU", "pixel_accuracy") if name in own}
        if sample.sample_id in keep:
            keep[sample.sample_id] = found.labels_HW
    if not per_image:
        raise UserError(f"no image of {samples[0].dataset} can be scored: {next(iter(failures.values()))}")
    known = set(map(folded, predictor.card.use.classes))  # none of weights that others have trained
    trained = np.array([folded(name) in known for name in classes.names]) if known else None
    return WordScores(classes, trained, total, np.stack(counts), levels, per_image, failures)


def predicted_and_true(
    predictor: OpenVocabularyPredictor, sample: Sample, background: float
) -> tuple[Segmentation, NDArray[np.int16]]:
    """What is found in one sample, and truth_HW at its image's size.

    Raises:
        UserError: a file is missing or damaged.
    """
    image_HW3 = read_image(sample.image)
    truth_HW = read_labels(sample, image_HW3.shape[:2])
    classes = vocabulary(sample.dataset)
    threshold = background if classes.background else 0.0
    (found,) = predictor.predict([image_HW3], classes.names, background=threshold)
    return found, truth_HW


def measure_latency(
    predictor: OpenVocabularyPredictor, image_HW3: NDArray[np.uint8], names: Sequence[str], runs: int
) -> dict[str, float]:
    """Time single pictures, as `limelight.evaluation.speed.measure_latency` does; words are encoded before."""
    return median_and_p90(lambda: predictor.predict([image_HW3], names)[0].milliseconds["net"], runs)


def _readable(datasets: Datasets) -> Iterator[NDArray[np.uint8]]:
    """Images of the samples, in order, as far as they can be read.

    Raises:
        UserError: none can.
    """
    for group in datasets.values():
        for sample in group:
            try:
                yield read_image(sample.image)
            except UserError as error:
                problem = error
    raise problem
