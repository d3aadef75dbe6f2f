"""What predictors of every task share: pictures in, results out, from any set of weights.

Dimensions: B batch, K classes, H height, W width, h and w of the network's input, 3 = R, G, B.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from threading import Lock
from typing import Generic, Protocol, TypeVar

import numpy as np

from limelight.foundation.errors import UserError, raising_shortage
from limelight.imaging.feeds import Feeds, as_clip, check_picture, largest_value, picture_feeds
from limelight.imaging.geometry import area, network_size, proportional_size
from limelight.imaging.guided import guided
from limelight.inference.backends.backend import MAX_BATCH_SIZE, Backend
from limelight.inference.plan import Plan
from limelight.inference.prediction import Prediction
from limelight.inference.refinement import refine
from limelight.inference.segment import Segmentation
from limelight.models.card import Card
from limelight.models.inputs import Size

_KINDS = {"rgbd": "depth", "rgbt": "thermal"}
MAX_MAPS_PER_BATCH = 64
"""Upper limit of maps (pictures times classes) held between the network and the labels."""


Result = TypeVar("Result", Prediction, Segmentation)
Result_co = TypeVar("Result_co", Prediction, Segmentation, covariant=True)


class Finisher(Protocol[Result_co]):
    """Turns a network's maps of one picture into a result at (height, width)."""

    def __call__(
        self,
        probability_Khw: np.ndarray,
        uncertainty_Khw: np.ndarray | None,
        size: Size,
        milliseconds: dict[str, float],
        /,
    ) -> Result_co: ...


class Predictor(Generic[Result]):
    """A loaded set of weights; see `load`."""

    def __init__(self, planned: Plan, backend: Backend) -> None:
        self.plan = planned
        self.card: Card = planned.card
        self.description = planned.description
        """One line: model, form, parameters, runtime, device, number format, sampling, weights."""
        self.finish = self.card.finish if planned.request.calibrated else self.card.derived(temperature=1.0).finish
        self._backend = backend
        self._modalities, self._companions = self.card.architecture.modalities, self.card.architecture.companions
        self._turn = nullcontext() if backend.concurrent else Lock()

    def modality_for(self, companion: bool, modality: str | None = None) -> str:
        """Return the modality of a picture, if the network supports it.

        Args:
            companion: whether the picture has one.
            modality: the companion's kind; None = the only kind that the network supports.

        Raises:
            UserError: the network needs a companion, supports none or not this kind, or the kind is ambiguous.
        """
        model, takes = self.card.architecture.model, self._companions
        if not companion:
            if "rgb" not in self._modalities:
                raise UserError(f"{model} needs a companion with every picture: {_alternatives(takes)}; give one")
            return "rgb"
        if not takes:
            raise UserError(f"{model} takes images alone; leave the companion out, or choose another model")
        if modality is None and len(takes) > 1:
            raise UserError(f"{model} takes several kinds of companions; say which this is: {_alternatives(takes)}")
        if modality is not None and modality not in takes:
            raise UserError(f"{model} takes {_alternatives(takes)} as companion, not {modality!r}; give one of these")
        return modality or takes[0]

    def _predict(
        self,
        images: Sequence[np.ndarray],
        companions: Sequence[np.ndarray | None] | None,
        modality: str | None,
        prompts: Sequence[str],
        finish: Finisher[Result],
        *,
        batch_size: int,
        output_processing_res: bool,
    ) -> list[Result]:
        """Return a result per picture, in order. None depends on the other pictures of its batch.

        Args, raises: see the subclasses.
        """
        if batch_size < 0:
            raise UserError(f"the batch size must be positive, or 0 to fit the memory; got {batch_size}")
        companions = [None] * len(images) if companions is None else companions
        if len(companions) != len(images):
            raise UserError(f"{len(images)} images and {len(companions)} companions; give one, or None, for each image")
        modalities = [self.modality_for(given is not None, modality) for given in companions]
        if self.plan.request.high_resolution and any(each != "rgb" for each in modalities):
            raise UserError("high resolution is for pictures alone; leave the companions or the high resolution out")
        self._check_kept_size(output_processing_res)
        results: dict[int, Result] = {}
        for size, alike in self._by_size(images).items():
            companion = any(modalities[index] != "rgb" for index in alike)
            with self._turn:
                step = self._choose_batch_size(batch_size, size, len(prompts), companion)
            for chunk in (alike[start : start + step] for start in range(0, len(alike), step)):
                with raising_shortage():
                    batch = self._predict_batch(
                        [images[index] for index in chunk],
                        [companions[index] for index in chunk],
                        [modalities[index] for index in chunk],
                        size,
                        prompts,
                        finish,
                        output_processing_res,
                    )
                    results |= zip(chunk, batch, strict=True)
        return [results[index] for index in range(len(images))]

    def _by_size(self, images: Sequence[np.ndarray]) -> dict[Size, list[int]]:
        """Group the images' indices by their network input size."""
        groups: dict[Size, list[int]] = {}
        for index, image_HW3 in enumerate(images):
            check_picture(image_HW3)
            height, width, _ = image_HW3.shape
            groups.setdefault(self._size_of((height, width)), []).append(index)
        return groups

    def _size_of(self, picture: Size) -> Size:
        """Return the network input size for a picture of this size."""
        if self.plan.fixed is not None:
            return self.plan.fixed
        if self.plan.request.processing_res is not None:
            return proportional_size(picture, self.plan.request.processing_res, self.card.prepare)
        return network_size(picture, self.card.prepare)

    def _choose_batch_size(self, batch_size: int, size: Size, prompts: int, companion: bool) -> int:
        """Return how many pictures to run per batch."""
        option = "--size" if self.plan.request.processing_res is None else "--processing-res"
        max_pictures = batch_size
        if prompts:
            max_pictures = min(batch_size or MAX_BATCH_SIZE, max(1, MAX_MAPS_PER_BATCH // prompts))
        return self._backend.choose_batch_size(max_pictures, size, prompts=prompts, companion=companion, option=option)

    def _predict_batch(
        self,
        images: Sequence[np.ndarray],
        companions: Sequence[np.ndarray | None],
        modalities: Sequence[str],
        size: Size,
        prompts: Sequence[str],
        finish: Finisher[Result],
        keep_size: bool,
        *,
        is_clip: bool = False,
    ) -> Iterator[Result]:
        started = time.perf_counter()
        feeds: Feeds = picture_feeds(images, companions, modalities, self.card, size)
        if is_clip:
            feeds = as_clip(self.card.architecture.inputs, feeds)
        prepared = time.perf_counter()
        sampling = self.plan.sampling
        with self._turn:
            begun = time.perf_counter()
            if prompts:
                feeds["prompt"] = self._backend.encode_prompts(prompts)
            maps = self._backend.run(feeds, sampling.seeds(images) if sampling.steps else None)
            finished = time.perf_counter()
        shared = {"pre": 1000 * (prepared - started) / len(images), "net": 1000 * (finished - begun) / len(images)}
        for index, (image_HW3, map_Khw) in enumerate(zip(images, maps.probability_BKhw, strict=True)):
            if not np.isfinite(map_Khw).all():
                raise UserError("the network computes numbers that are not finite; its weights are damaged")
            before = time.perf_counter()
            result_size = size if keep_size else image_HW3.shape[:2]
            map_Khw = self._refined(map_Khw, image_HW3, size, result_size)
            uncertainty_Khw = None if maps.uncertainty_BKhw is None else maps.uncertainty_BKhw[index]
            result = finish(map_Khw, uncertainty_Khw, result_size, dict(shared))
            result.milliseconds["post"] = 1000 * (time.perf_counter() - before)
            yield result

    def _check_kept_size(self, keep_size: bool) -> None:
        if keep_size and self.plan.request.high_resolution:
            raise UserError("high resolution is that of the picture, not the network's; leave one of the two out")

    def _refined(self, map_Khw: np.ndarray, image_HW3: np.ndarray, size: Size, result_size: Size) -> np.ndarray:
        """The map refined by tiles of `size`, the network's, and with borders at edges, where these are wished."""
        if self.plan.request.high_resolution:
            maximum = largest_value(image_HW3, size, self.card.prepare)
            map_Khw = refine(image_HW3, map_Khw[0], partial(self._tile, size=size, maximum=maximum), size)[None]
        if not self.finish.guided_radius:
            return map_Khw
        guide_HW3 = image_HW3 if image_HW3.shape[:2] == result_size else area(image_HW3, result_size)
        return np.stack([guided(map_hw, guide_HW3, self.finish.guided_radius) for map_hw in map_Khw])

    def _tile(self, tile_hw3: np.ndarray, size: Size, maximum: int) -> np.ndarray:
        """The network's map_hw of a part of a picture whose largest value is `maximum`."""
        feeds = picture_feeds([tile_hw3], [None], ["rgb"], self.card, size, maximum=maximum)
        with self._turn:
            return self._backend.run(feeds).probability_BKhw[0, 0]


def _alternatives(modalities: Sequence[str]) -> str:
    return " or ".join(f"{_KINDS[modality]} ({modality})" for modality in modalities)
