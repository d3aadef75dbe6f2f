"""Scoring of saliency: maps quantised to 8 bits at the ground truth's size, each compared with its mask.

Value x 255 is truncated, as in every published evaluation; metrics of float maps would differ in the fourth decimal.

A network gets each sample's depth or thermal picture if it supports that kind, else the image alone. A network of clips
gets the frames of a clip as many at a time as it was trained on, each once.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from limelight.config import Evaluate
from limelight.data.manifest import Sample
from limelight.evaluation.clips import Found, score_with_clips
from limelight.evaluation.map_pictures import panel
from limelight.evaluation.metrics import SaliencyScores, Scorer
from limelight.evaluation.sample_pictures import modality_of, read_sample
from limelight.evaluation.scored import Datasets, Examples
from limelight.evaluation.tiles import Tile, tile
from limelight.evaluation.worker import read_map, read_truth, score_one
from limelight.foundation.errors import UserError
from limelight.imaging.encoding import write_png
from limelight.imaging.images import Picture, read_grey, read_image, read_picture
from limelight.inference.saliency import SaliencyPredictor
from limelight.models.inputs import clip_frames


def by_dataset(samples: Sequence[Sample], modalities: Sequence[str]) -> Datasets:
    """Group by dataset the samples that a network with these modalities can be scored on.

    If a dataset has samples of these modalities, only those count; else all samples with a saliency mask, as images
    alone, or none where the network requires a companion.

    Raises:
        UserError: no sample is left.
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


class SaliencyScoring:
    """Scores saliency predictors with one set of worker processes. A context manager."""

    def __init__(self, settings: Evaluate) -> None:
        self._scorer = Scorer(settings.workers, settings.measures)
        self._batch_size = settings.batch_size

    def __enter__(self) -> Self:
        self._scorer.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._scorer.__exit__(*error)

    def score(
        self,
        predictor: SaliencyPredictor,
        dataset: str,
        samples: Iterable[Sample],
        keep: Examples,
        *,
        store: Path | None = None,
        companions: bool = True,
    ) -> SaliencyScores:
        """Score as `limelight.tasks.task.Scoring.score`."""
        predictions = predicted(predictor, samples, self._batch_size, keep, store, companions=companions)
        return score_with_clips(self._scorer, predictions)


def predicted(
    predictor: SaliencyPredictor,
    samples: Iterable[Sample],
    batch_size: int,
    keep: Examples,
    store: Path | None = None,
    *,
    companions: bool = True,
) -> Iterator[Found]:
    """Predict lazily, in order; for the arguments see `limelight.tasks.task.Scoring.score`."""

    frames = clip_frames(predictor.card.architecture.inputs)

    def seen_as(sample: Sample) -> tuple[str, str, str | None]:
        modality = modality_of(sample, predictor.card) if companions else "rgb"
        return modality, sample.split, sample.clip if frames else None  # a clip's name is unique within its split

    for (modality, _, clip), alike in groupby(samples, seen_as):
        while batch := list(islice(alike, frames if frames and clip else batch_size)):
            yield from _predict_batch(predictor, batch, modality, keep, store, is_clip=clip is not None)


def timed_prediction(predictor: SaliencyPredictor, datasets: Datasets) -> Callable[[], float]:
    """Prepare a prediction of the first readable picture, one with a companion if there are any.

    Returns:
        A call that predicts once and returns the milliseconds of the network alone.

    Raises:
        UserError: no picture can be read.
    """
    photo, companion_HW, modality = _first_picture(datasets, predictor)
    image_HW3 = photo.image_HW3

    def predict() -> float:
        (prediction,) = predictor.predict([image_HW3], [companion_HW], modality=modality)
        return prediction.milliseconds["net"]

    return predict


def panel_of(predictor: SaliencyPredictor, sample: Sample, note: str) -> NDArray[np.uint8]:
    """Draw a sample's picture, map and overlay; see `limelight.evaluation.map_pictures.panel`."""
    photo, companion_HW, modality = read_sample(sample, predictor.card)
    image_HW3 = photo.image_HW3
    (prediction,) = predictor.predict([image_HW3], [companion_HW], modality=modality)
    return panel(image_HW3, to_8bit(prediction.saliency_HW), read_truth(_mask(sample)), note)


def tiles_of(sample: Sample, results: Mapping[str, Path]) -> list[Tile]:
    """Draw the picture, its companion if any, the mask, and each result's map with its error, by title."""
    truth = read_truth(_mask(sample))
    tiles = [tile("picture", "", read_image(sample.image)), tile("mask", "", truth)]
    if sample.companion:
        tiles.insert(1, tile("companion", sample.modality, read_grey(sample.companion)))
    for title, path in results.items():
        scores = score_one(path, truth).scores
        tiles.append(tile(title, f"MAE {scores.mae:.3f}" if scores else "", read_map(path)))
    return tiles


def to_8bit(saliency_HW: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Convert [0, 1] to 0..255, truncated as by the published tools, not rounded."""
    return (saliency_HW * 255).astype(np.uint8)


def _predict_batch(
    predictor: SaliencyPredictor,
    batch: list[Sample],
    modality: str,
    keep: Examples,
    store: Path | None,
    *,
    is_clip: bool = False,
) -> Iterator[Found]:
    pictures: dict[str, Picture] = {}
    failures: dict[str, UserError] = {}
    for sample in batch:
        try:
            companion = None if modality == "rgb" else sample.companion
            pictures[sample.sample_id] = read_picture(sample.image, companion, modality)
        except UserError as error:
            failures[sample.sample_id] = error
    images = [picture.photo.image_HW3 for picture in pictures.values()]
    companions = [picture.companion_HW for picture in pictures.values()]
    if is_clip:
        predictions = predictor.predict_clip(images)
    else:
        predictions = predictor.predict(images, companions, modality=modality, batch_size=len(batch))
    maps = dict(zip(pictures, (to_8bit(prediction.saliency_HW) for prediction in predictions), strict=True))
    for sample in batch:
        saliency = maps.get(sample.sample_id)
        if saliency is None:
            yield sample, failures[sample.sample_id]
            continue
        if sample.sample_id in keep:
            keep[sample.sample_id] = saliency
        if store is not None:
            write_png(store / f"{sample.sample_id}.png", saliency)
        yield sample, saliency


def _first_picture(datasets: Datasets, predictor: SaliencyPredictor) -> Picture:
    samples = [sample for group in datasets.values() for sample in group]
    problem = UserError("there is no picture to time; name other splits in evaluate.splits")
    for sample in sorted(samples, key=lambda sample: modality_of(sample, predictor.card) == "rgb"):
        try:
            return read_sample(sample, predictor.card)
        except UserError as error:
            problem = error
    raise problem


def _mask(sample: Sample) -> str:
    assert sample.mask is not None, "see by_dataset"
    return sample.mask
