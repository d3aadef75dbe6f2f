"""Predictors: pictures in, results out, from any set of weights.

The command line, the evaluation, the services and the benchmarks all use `load`.

Dimensions: B batch, K classes, H height, W width, h and w of the network's input, 3 = R, G, B.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from limelight.class_names import checked_classes, in_template
from limelight.foundation.errors import UserError, raising_shortage
from limelight.imaging.feeds import Feeds, as_clip, check_picture, picture_feeds
from limelight.imaging.geometry import network_size, proportional_size, to_picture
from limelight.inference.backends import open_backend
from limelight.inference.backends.backend import MAX_BATCH_SIZE, Backend, Maps, check_size
from limelight.inference.plan import Plan, Request, plan
from limelight.inference.refinement import refine
from limelight.inference.segment import BACKGROUND, Segmentation, segmentation
from limelight.models.card import Card, Finish
from limelight.models.inputs import Size, clip_frames
from limelight.models.registry import entry
from limelight.models.shipped import weights_folder
from limelight.models.weights import check_weights, read_card

_KINDS = {"rgbd": "depth", "rgbt": "thermal"}
_SIZES_DIFFER = "the frames of a clip differ in size; bring them to one"
MAX_MAPS_PER_BATCH = 64
"""Upper limit of maps (pictures times classes) held between the network and the labels."""


@dataclass(frozen=True)
class Prediction:
    """The saliency result of one picture."""

    saliency_HW: np.ndarray
    """float32 in [0, 1], at the picture's own size."""
    milliseconds: dict[str, float]
    """Time for this picture: 'pre' (resize, normalise), 'net' (its share of its batch), 'post' (resize back)."""
    uncertainty_HW: np.ndarray | None = None
    """float32 in [0, 0.5]: how much the ensemble's members differ. None without an ensemble."""


@dataclass(frozen=True)
class EncodedFrame:
    """What windows share of a frame; see `SaliencyPredictor.encode_frame`."""

    features: Any
    """The backend's own."""
    size: Size
    """The frame's (height, width)."""
    input_size: Size
    milliseconds: dict[str, float]


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
        self.finish = self.card.finish if planned.calibrated else self.card.derived(temperature=1.0).finish
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
        if self.plan.high_resolution and any(each != "rgb" for each in modalities):
            raise UserError("high resolution is for pictures alone; leave the companions or the high resolution out")
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
        if self.plan.processing_res is not None:
            return proportional_size(picture, self.plan.processing_res, self.card.prepare)
        return network_size(picture, self.card.prepare)

    def _choose_batch_size(self, batch_size: int, size: Size, prompts: int, companion: bool) -> int:
        """Return how many pictures to run per batch."""
        option = "--size" if self.plan.processing_res is None else "--processing-res"
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
            before = time.perf_counter()
            if self.plan.high_resolution and not keep_size:
                map_Khw = refine(image_HW3, map_Khw[0], partial(self._tile, size=size), size)[None]
            uncertainty_Khw = None if maps.uncertainty_BKhw is None else maps.uncertainty_BKhw[index]
            result = finish(map_Khw, uncertainty_Khw, size if keep_size else image_HW3.shape[:2], dict(shared))
            result.milliseconds["post"] = 1000 * (time.perf_counter() - before)
            yield result

    def _tile(self, tile_hw3: np.ndarray, size: Size) -> np.ndarray:
        """The network's map_hw of a part of a picture."""
        feeds = picture_feeds([tile_hw3], [None], ["rgb"], self.card, size)
        with self._turn:
            return self._backend.run(feeds).probability_BKhw[0, 0]


def prediction(
    probability_1hw: np.ndarray,
    uncertainty_1hw: np.ndarray | None,
    size: Size,
    milliseconds: dict[str, float],
    *,
    finish: Finish,
) -> Prediction:
    """Turn a network's map into a result at (height, width)."""
    contrast = float(np.ptp(probability_1hw))
    if finish.full_contrast and uncertainty_1hw is not None and contrast:  # rescaled as the map is
        uncertainty_1hw = np.minimum(uncertainty_1hw / contrast, 0.5)
    uncertainty_HW = None if uncertainty_1hw is None else to_picture(uncertainty_1hw[0], size)
    return Prediction(to_picture(probability_1hw[0], size, finish), milliseconds, uncertainty_HW)


class SaliencyPredictor(Predictor[Prediction]):
    """Finds what is salient.

    Example:
        predictor = load("artifacts/sdnet-deploy")
        saliency_HW = predictor.predict([read_image("photo.jpg")])[0].saliency_HW

        predictor = load("artifacts/sdnet-rgbd")
        predictor.predict([read_image("photo.jpg")], [read_companion("depth.png", depth=True)])
    """

    def predict(
        self,
        images: Sequence[np.ndarray],
        companions: Sequence[np.ndarray | None] | None = None,
        *,
        modality: str | None = None,
        batch_size: int = 8,
        output_processing_res: bool = False,
    ) -> list[Prediction]:
        """Predict the saliency map of each picture. No result depends on the other pictures of its batch.

        Args:
            images: uint8 HxWx3 RGB, each of any size.
            companions: one depth or thermal picture per image, uint8, uint16 or float in [0, 1], HxW of any size with
                the image's proportions; None for an image that has none.
            modality: what the companions are, 'rgbd' (depth) or 'rgbt' (thermal), for a network that takes both.
            batch_size: most pictures per batch; 0 = as many as fit in free memory, up to
                `MAX_BATCH_SIZE`.
            output_processing_res: return results at the network's input size, not at the pictures' own.

        Returns:
            One prediction per picture, in order.

        Raises:
            UserError: an image is not a uint8 HxWx3 array, a companion is of another kind, has no reading or does not
                        match its image, or the network does not support an input or lacks a required one.
            Shortage: one picture does not fit in memory.
        """
        finish = partial(prediction, finish=self.finish)
        return self._predict(
            images,
            companions,
            modality,
            (),
            finish,
            batch_size=batch_size,
            output_processing_res=output_processing_res,
        )

    def predict_clip(self, frames: Sequence[np.ndarray], *, output_processing_res: bool = False) -> list[Prediction]:
        """Predict the saliency maps of a clip's frames, which a network of clips sees together; others one by one.

        Args:
            frames: uint8 HxWx3 RGB, of one size, in their order.
            output_processing_res: as in `predict`.

        Raises:
            UserError: a frame is not a uint8 HxWx3 array, or they differ in size.
        """
        if clip_frames(self.card.architecture.inputs) is None or len(frames) < 2:
            return self.predict(frames, output_processing_res=output_processing_res)
        if len({frame.shape for frame in frames}) > 1:
            raise UserError(_SIZES_DIFFER)
        check_picture(frames[0])
        size = self._size_of((frames[0].shape[0], frames[0].shape[1]))
        finish = partial(prediction, finish=self.finish)
        with raising_shortage():
            none, rgb = [None] * len(frames), ["rgb"] * len(frames)
            return list(self._predict_batch(frames, none, rgb, size, (), finish, output_processing_res, is_clip=True))

    @property
    def streams(self) -> bool:
        """Whether `predict_next` takes the frames of a clip one by one: causal networks in PyTorch do."""
        return self._backend.streams

    def predict_next(self, frame_HW3: np.ndarray, state: Any = None) -> tuple[Prediction, Any]:
        """Predict the next frame of a stream, only where `streams`.

        Args:
            frame_HW3: uint8 RGB, of the stream's size.
            state: what the call for the frame before returned, which it is good for once; None at the first.

        Raises:
            UserError: the frame is not a uint8 HxWx3 array.
        """
        image_13HW, size, _, milliseconds = self._prepared(frame_HW3)
        started = time.perf_counter()
        with self._turn:
            maps, after = self._backend.step(image_13HW, state)
        milliseconds["net"] = 1000 * (time.perf_counter() - started)
        return self._finished(maps, size, milliseconds), after

    @property
    def windows(self) -> bool:
        """Whether windows of frames that overlap can share work, by `encode_frame`: networks of clips in PyTorch do."""
        return self._backend.windows

    def encode_frame(self, frame_HW3: np.ndarray) -> EncodedFrame:
        """Compute what all windows that hold a frame share of it, only where `windows`.

        Raises:
            UserError: the frame is not a uint8 HxWx3 array.
        """
        image_13HW, size, input_size, milliseconds = self._prepared(frame_HW3)
        started = time.perf_counter()
        with self._turn:
            features = self._backend.encode(image_13HW)
        milliseconds["net"] = 1000 * (time.perf_counter() - started)
        return EncodedFrame(features, size, input_size, milliseconds)

    def decode_frame(self, window: Sequence[EncodedFrame], place: int) -> Prediction:
        """Predict one frame of a window: what `predict_clip` of its frames gives there.

        Args:
            place: of the frame, from 0.

        Raises:
            UserError: frames differ in size.
        """
        frame = window[place]
        if len({each.size for each in window}) > 1:
            raise UserError(_SIZES_DIFFER)
        started = time.perf_counter()
        with self._turn:
            maps = self._backend.decode([each.features for each in window], place, frame.input_size)
        net = frame.milliseconds["net"] + 1000 * (time.perf_counter() - started)
        return self._finished(maps, frame.size, frame.milliseconds | {"net": net})

    def _prepared(self, frame_HW3: np.ndarray) -> tuple[np.ndarray, Size, Size, dict[str, float]]:
        """A frame as the network's image_13HW, its own size and the image's, and the time that this took."""
        started = time.perf_counter()
        check_picture(frame_HW3)
        height, width, _ = frame_HW3.shape
        size = self._size_of((height, width))
        feeds = picture_feeds([frame_HW3], [None], ["rgb"], self.card, size)
        image_13HW = feeds[self.card.architecture.inputs[0].name][:, 0]
        return image_13HW, (height, width), size, {"pre": 1000 * (time.perf_counter() - started)}

    def _finished(self, maps: Maps, size: Size, milliseconds: dict[str, float]) -> Prediction:
        started = time.perf_counter()
        result = prediction(maps.probability_BKhw[0], None, size, milliseconds, finish=self.finish)
        result.milliseconds["post"] = 1000 * (time.perf_counter() - started)
        return result


class OpenVocabularyPredictor(Predictor[Segmentation]):
    """Segments the classes that text prompts name.

    Example:
        predictor = load("artifacts/words")
        result = predictor.predict([read_image("photo.jpg")], ["cat", "armchair"])[0]
        result.labels_HW, result.probability_HW("cat")
    """

    def predict(
        self,
        images: Sequence[np.ndarray],
        classes: Sequence[str],
        *,
        template: str | None = None,
        background: float = BACKGROUND,
        batch_size: int = 8,
        output_processing_res: bool = False,
    ) -> list[Segmentation]:
        """Segment the classes in each picture. No class's map depends on the other classes or pictures.

        Args:
            images, batch_size, output_processing_res: as in `SaliencyPredictor.predict`.
            classes: their names, in any language and number.
            template: see `prompts_for`.
            background: see `limelight.inference.segment.most_probable`.

        Returns:
            One segmentation per picture, in order.

        Raises:
            UserError: an image is not a uint8 HxWx3 array; see also `prompts_for`.
            Shortage: one picture does not fit in memory.
        """
        names = checked_classes(classes)
        prompts = self.prompts_for(names, template)
        finish = partial(segmentation, classes=names, background=background)
        return self._predict(
            images,
            None,
            None,
            prompts,
            finish,
            batch_size=batch_size,
            output_processing_res=output_processing_res,
        )

    def prompts_for(self, classes: Sequence[str], template: str | None = None) -> list[str]:
        """Build the network's prompts from class names, and check that the network accepts them.

        Args:
            classes: names of classes.
            template: with {} for the class name; '{}' for classes that are whole sentences; None = as in training.

        Raises:
            UserError: a class is empty, too long or given twice, or the template has no {}.
        """
        prompts = in_template(checked_classes(classes), self.card.use.template if template is None else template)
        with self._turn:
            self._backend.encode_prompts(prompts)
        return prompts


_PREDICTORS: dict[str, type[SaliencyPredictor] | type[OpenVocabularyPredictor]] = {
    "saliency": SaliencyPredictor,
    "open-vocabulary": OpenVocabularyPredictor,
}


def load(
    source: Path | str, request: Request | None = None, **options: Any
) -> SaliencyPredictor | OpenVocabularyPredictor:
    """Load a set of weights.

    Args:
        source: a folder with `model.safetensors` and `card.json`, and `exports/` for runtimes other than torch; or the
            name of weights that come with the package.
        request: how to run it; or `options`, fields of `Request`.

    Raises:
        UserError: no such weights, runtime or export, no GPU where one is requested, or the network or the runtime does
            not support the request.
    """
    folder = weights_folder(source)
    card = read_card(folder)
    planned = plan(folder, card, request or Request(**options))
    kind = predictor_class(card)
    backend = open_backend(planned)
    # Weights that keep proportions get pictures of varying sizes.
    check_size(backend.takes, planned.fixed)
    return kind(planned, backend)


def predictor_class(card: Card) -> type[SaliencyPredictor] | type[OpenVocabularyPredictor]:
    """Return the predictor class for the task of these weights.

    Raises:
        UserError: the weights are only a part of a network.
    """
    task = card.architecture.task
    if task not in _PREDICTORS:
        raise UserError(
            f"{card.architecture.model} is for {task}, not for predictions; choose weights for "
            f"{' or '.join(_PREDICTORS)}"
        )
    return _PREDICTORS[task]


def check(source: Path | str, request: Request) -> None:
    """Raise the errors that `load` would raise, where possible without the time and memory of loading PyTorch.

    Raises:
        UserError: as `load`.
    """
    folder = weights_folder(source)
    card = read_card(folder)
    planned = plan(folder, card, request)
    predictor_class(card)
    if not planned.runtime.installed:
        name = planned.runtime.name
        raise UserError(f"runtime {name!r} needs the package {planned.runtime.package}; install it with pip")
    if planned.runtime.exported or request.sampling.steps is not None or request.vae is not None:
        check_size(open_backend(planned).takes, planned.fixed)
    else:
        entry(card.architecture.model)
        check_weights(folder, card)


def _alternatives(modalities: Sequence[str]) -> str:
    return " or ".join(f"{_KINDS[modality]} ({modality})" for modality in modalities)
