"""Scoring of open-vocabulary segmentation: every image is segmented into all classes of its dataset.

A pixel's label is the most probable class of the dataset's vocabulary, in training or not; below a threshold it is
background, if the dataset has one. Confusions are counted at the images' own size over a whole dataset; void pixels
are ignored.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from limelight.data.classes import Vocabulary, read_label_map, vocabulary
from limelight.data.manifest import Sample
from limelight.data.samples import read_labels
from limelight.evaluation.averages import jackknife
from limelight.evaluation.class_curves import level_counts, mean_curves
from limelight.evaluation.confusion import Confusion, Counts, class_iou, confusion_matrix, counts_of, figures
from limelight.evaluation.label_pictures import panel
from limelight.evaluation.levels import LEVELS
from limelight.evaluation.plots import plot_confusion
from limelight.evaluation.scored import Datasets, Examples
from limelight.evaluation.tiles import Tile, tile
from limelight.foundation.csv_text import to_csv
from limelight.foundation.errors import UserError
from limelight.imaging.encoding import write_png
from limelight.imaging.geometry import nearest
from limelight.imaging.images import read_image
from limelight.inference.open_vocabulary import OpenVocabularyPredictor
from limelight.inference.segment import Segmentation
from limelight.media.labels import tinted
from limelight.models.class_names import folded


@dataclass(frozen=True)
class ClassScores:
    """Counts and metrics of one dataset."""

    classes: Vocabulary
    trained: NDArray[np.bool_] | None
    """(C,) whether training named the class; None where unknown."""
    confusion: Confusion
    counts_N3C: Counts
    """Counts of each scored image."""
    levels_2K256: NDArray[np.int64]
    """See `limelight.evaluation.class_curves`."""
    per_image: dict[str, dict[str, float]]
    """Sample id -> mIoU over the classes in the image, and pixel_accuracy."""
    failures: dict[str, str] = field(default_factory=dict)
    """Sample id -> why it was not scored."""

    @cached_property
    def figures(self) -> dict[str, float]:
        """Metrics of `limelight.evaluation.confusion.figures`, and their standard errors over images, '<metric>_se'."""
        estimate = partial(figures, trained=self.trained, background=self.classes.background)
        return estimate(counts_of(self.confusion)) | jackknife(self.counts_N3C, estimate)

    @property
    def curves(self) -> dict[str, NDArray[np.float64]]:
        """Mean curves over the classes; see `mean_curves`."""
        return mean_curves(self.levels_2K256)

    @property
    def counts(self) -> dict[str, int]:
        """Numbers of images: 'scored' and 'failed'."""
        return {"scored": len(self.per_image), "failed": len(self.failures)}

    @property
    def iou(self) -> dict[str, float]:
        """IoU of each class that is in the truth or was predicted."""
        named_ious = zip(self.classes.names, class_iou(self.confusion)[1:], strict=True)
        return {name: float(value) for name, value in named_ious if not np.isnan(value)}

    @property
    def unseen(self) -> list[str]:
        """The classes that training did not name; empty where unknown."""
        if self.trained is None:
            return []
        return [name for name, trained in zip(self.classes.names, self.trained, strict=True) if not trained]


def by_dataset(samples: Sequence[Sample]) -> Datasets:
    """Group the samples with label maps by dataset.

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


@dataclass(frozen=True)
class ClassScoring:
    """Scores predictors by segmenting each image into all classes of its dataset."""

    background: float
    """For datasets with a background; see `limelight.inference.segment.most_probable`."""

    def score(
        self,
        predictor: OpenVocabularyPredictor,
        dataset: str,
        samples: Iterable[Sample],
        keep: Examples,
        *,
        store: Path | None = None,
        companions: bool = True,
    ) -> ClassScores:
        """Score as `limelight.tasks.task.Scoring.score`; results are 16-bit labels."""
        classes = vocabulary(dataset)
        size = len(classes.names)
        total, levels = np.zeros((size + 1, size + 1), np.int64), np.zeros((2, size, LEVELS), np.int64)
        counts: list[Counts] = []
        per_image: dict[str, dict[str, float]] = {}
        failures: dict[str, str] = {}
        for sample in samples:
            try:
                prediction, truth_HW = predicted_and_true(predictor, sample, self.background)
            except UserError as error:
                failures[sample.sample_id] = str(error)
                continue
            matrix = confusion_matrix(prediction.labels_HW, truth_HW, size)
            total += matrix
            levels += level_counts(prediction.probability_Khw, nearest(truth_HW, prediction.probability_Khw.shape[1:]))
            counts.append(counts_of(matrix))
            own = figures(counts[-1], np.ones(size, bool), classes.background)
            per_image[sample.sample_id] = {name: own[name] for name in ("mIoU", "pixel_accuracy") if name in own}
            if sample.sample_id in keep:
                keep[sample.sample_id] = prediction.labels_HW.astype(np.uint16)
            if store is not None:
                write_png(store / f"{sample.sample_id}.png", prediction.labels_HW.astype(np.uint16))
        if not per_image:
            raise UserError(f"no image of {dataset} can be scored: {next(iter(failures.values()), 'there is none')}")
        known = set(map(folded, predictor.card.use.classes))  # empty for weights trained elsewhere
        trained = np.array([folded(name) in known for name in classes.names]) if known else None
        return ClassScores(classes, trained, total, np.stack(counts), levels, per_image, failures)


def predicted_and_true(
    predictor: OpenVocabularyPredictor, sample: Sample, background: float
) -> tuple[Segmentation, NDArray[np.int16]]:
    """Segment one sample; return the result, and truth_HW at its image's size.

    Raises:
        UserError: a file is missing or damaged.
    """
    image_HW3 = read_image(sample.image)
    truth_HW = read_labels(sample, image_HW3.shape[:2])
    classes = vocabulary(sample.dataset)
    threshold = background if classes.background else 0.0
    (prediction,) = predictor.predict([image_HW3], classes.names, background=threshold)
    return prediction, truth_HW


def classes_timed(datasets: Datasets) -> Sequence[str]:
    """Return all classes of the first dataset."""
    return vocabulary(next(iter(datasets))).names


def timed_prediction(
    predictor: OpenVocabularyPredictor, datasets: Datasets, names: Sequence[str]
) -> Callable[[], float]:
    """Prepare a prediction of the first readable image; prompts are encoded beforehand.

    Returns:
        A call that predicts once and returns the milliseconds of the network alone.

    Raises:
        UserError: no image can be read.
    """
    image_HW3 = _first_image(datasets)
    return lambda: predictor.predict([image_HW3], names)[0].milliseconds["net"]


def panel_of(predictor: OpenVocabularyPredictor, sample: Sample, background: float, note: str) -> NDArray[np.uint8]:
    """Draw a sample's picture, truth and prediction; see `limelight.evaluation.label_pictures.panel`."""
    prediction, truth_HW = predicted_and_true(predictor, sample, background)
    return panel(read_image(sample.image), truth_HW, prediction.labels_HW, vocabulary(sample.dataset).names, note)


def tiles_of(sample: Sample, results: Mapping[str, Path]) -> list[Tile]:
    """Draw the picture, its true classes in their colours, and those of each result, by title."""
    image_HW3 = read_image(sample.image)
    truth_HW = read_labels(sample, image_HW3.shape[:2])
    return [
        tile("picture", "", image_HW3),
        tile("classes", ", ".join(sample.classes), tinted(image_HW3, truth_HW)),
        *(tile(title, "", tinted(image_HW3, read_label_map(path))) for title, path in results.items()),
    ]


def per_class_csv(datasets: Mapping[str, ClassScores]) -> str:
    """Format a row per class of each dataset: dataset, class, trained, pixels, iou, accuracy."""
    rows: list[Sequence[object]] = []
    for dataset, scores in datasets.items():
        pixels, correct = scores.confusion.sum(1), scores.confusion.diagonal()
        for label, name in enumerate(scores.classes.names, start=1):
            iou = class_iou(scores.confusion)[label]
            accuracy = f"{correct[label] / pixels[label]:.6f}" if pixels[label] else ""
            shown = "" if np.isnan(iou) else f"{iou:.6f}"
            trained = "" if scores.trained is None else int(scores.trained[label - 1])
            rows.append([dataset, name, trained, pixels[label], shown, accuracy])
    return to_csv(["dataset", "class", "trained", "pixels", "iou", "accuracy"], rows)


def draw_confusion(scores: ClassScores, folder: Path, dataset: str) -> None:
    """Write <dataset>-confusion.png."""
    background = scores.classes.background
    names = [*(["background"] if background else []), *scores.classes.names]
    shown = scores.confusion[1 - background :, 1 - background :]
    plot_confusion(shown, names, dataset, folder / f"{dataset}-confusion.png")


def _first_image(datasets: Datasets) -> NDArray[np.uint8]:
    problem = UserError("there is no image to time; name other splits in evaluate.splits")
    for group in datasets.values():
        for sample in group:
            try:
                return read_image(sample.image)
            except UserError as error:
                problem = error
    raise problem
