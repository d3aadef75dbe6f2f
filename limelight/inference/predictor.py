"""Pictures in, saliency out, or what words name: the one way to use a set of weights.

The command line, the evaluation, the services and the benchmarks all go through `Predictor`.

Dimensions: B batch, K classes, H height, W width, h and w of the network's input, 3 = R, G, B.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import numpy as np

from limelight.foundation.errors import UserError
from limelight.inference.choice import Device, choose, resolve
from limelight.inference.preprocess import (
    Inputs,
    check_picture,
    fit_inside,
    fit_size,
    to_inputs,
)
from limelight.inference.runtimes import Maps, Runtime, number_format, open_runtime
from limelight.inference.runtimes.sizes import check_size
from limelight.inference.saliency import Prediction, prediction
from limelight.inference.sampling import ONE_STEP, Sampling
from limelight.inference.segment import BACKGROUND, Segmentation, checked_classes, in_template, segmentation
from limelight.inference.shortage import told_in_a_line
from limelight.models.card import Card
from limelight.models.weights import read_card

Size = tuple[int, int]
"""(height, width), pixels."""

_KINDS = {"rgbd": "depth", "rgbt": "thermal"}
MOST_AT_ONCE = 16
MAPS_AT_ONCE = 64
"""Maps that are kept between the network and the labels: pictures times classes."""


Finish = Callable[..., Prediction | Segmentation]
"""(probability_Khw, uncertainty_Khw or None, size, milliseconds) of one picture -> the result at this size."""
Batch = tuple[list[np.ndarray], list[np.ndarray | None], list[str]]
"""Images, companions, modalities."""


class Words(NamedTuple):
    """What is asked of a network of prompts."""

    classes: tuple[str, ...]
    texts: list[str]
    """The same in the template: what the network is told."""


class Predictor:
    """A set of weights, ready to use.

    Example:
        predictor = Predictor.load("artifacts/sdnet-deploy")
        saliency_HW = predictor.predict([read_image("photo.jpg")])[0].saliency_HW

        predictor = Predictor.load("artifacts/sdnet-rgbd")
        predictor.predict([read_image("photo.jpg")], [read_companion("depth.png", depth=True)])

        predictor = Predictor.load("artifacts/words")
        found = predictor.predict([read_image("photo.jpg")], prompts=["cat", "armchair"])[0]
        found.labels_HW, found.probability_HW("cat")
    """

    def __init__(
        self,
        runtime: Runtime,
        card: Card,
        size: Size,
        *,
        engine: str,
        where: str,
        sampling: Sampling,
        processing_res: int | None,
        vae: Path | None,
    ) -> None:
        self.card = card
        self.size = size
        """(height, width) that pictures are stretched to, pixels; not where `processing_res` is given."""
        self.processing_res = processing_res
        self.sampling = sampling
        self.vae = vae
        self.number_format = number_format(engine)
        """What the runtime computes in: fp32, bf16 or int8."""
        engine, _, asked = engine.partition("-")
        lacking = f" for want of {asked}" if asked not in ("", self.number_format) else ""
        self.description = (
            f"{card.model} ({card.form} form, {card.parameters:,} parameters), {engine} on {where}, "
            f"{self.number_format}{lacking}, {sampling.note}{sampling.note and ', '}"
            f"{f'autoencoder {vae}, ' if vae else ''}weights {card.sha256[:12]}"
        )
        """One line: model, form, parameters, runtime, device, number format, sampling, weights."""
        self._runtime = runtime
        self._torch = engine == "torch"
        # Memory is told with the network itself, and threads of PyTorch are the process's: one thread at a time.
        self._turn = Lock() if self._torch else nullcontext()

    @classmethod
    def load(
        cls,
        source: Path | str,
        *,
        runtime: str = "torch",
        device: Device = "auto",
        threads: int | None = None,
        size: int | Size | None = None,
        processing_res: int | None = None,
        sampling: Sampling = ONE_STEP,
        half_precision: bool = False,
        vae: Path | None = None,
    ) -> "Predictor":
        """Open a weights folder.

        Args:
            source: a folder with `model.safetensors` and `card.json`, and `exports/` for runtimes other than torch.
            runtime: a name of `limelight.inference.runtimes`, or 'auto' for the fastest one present.
            device: 'auto' takes a GPU where the runtime can use one.
            threads: of the runtime on the CPU; None leaves the choice to it.
            size: stretch pictures to this size (pixels, or height and width) instead of the card's.
            processing_res: keep their proportions instead, with this many pixels on the longer side; 0 = each
                picture's own size. Networks were trained on stretched squares.
            sampling: how a network that samples is to do so; without steps, as it was trained (`card.denoise_steps`).
            half_precision: compute in bf16.
            vae: a folder with an autoencoder as diffusers writes it, to use in place of the network's own: TAESD
                decodes Stable Diffusion's latents 18 times cheaper.

        Raises:
            UserError: no such weights, runtime or export, `device` is 'cuda' and cannot be had, both `size` and
                `processing_res`, or something that the network or the runtime cannot do.
        """
        if size is not None and processing_res is not None:
            raise UserError("a size is stretched to, a processing resolution keeps proportions; give one of them")
        if processing_res is not None and processing_res < 0:
            raise UserError(
                f"the processing resolution is 0, for each picture's own, or positive; got {processing_res}"
            )
        card = read_card(source)
        sampling = sampling.for_weights(card)
        runtime = choose(
            source,
            card,
            runtime,
            device,
            torch_alone=card.text or sampling.steps is not None or vae is not None,
            half_precision=half_precision,
        )
        device = resolve(device, runtime)
        fed = fit_size(card.input_size if size is None else size, card.input_divisor, card.least_input)
        opened = open_runtime(Path(source), runtime, device=device, threads=threads, sampling=sampling, vae=vae)
        check_size(opened.takes, fed if processing_res is None else None)
        where = device if threads is None else f"{device} ({threads} threads)"
        told = {"sampling": sampling, "processing_res": processing_res, "vae": vae}
        return cls(opened, card, fed, engine=runtime, where=where, **told)

    def predict(
        self,
        images: Sequence[np.ndarray],
        companions: Sequence[np.ndarray | None] | None = None,
        prompts: Sequence[str] | None = None,
        *,
        modality: str | None = None,
        template: str | None = None,
        background: float = BACKGROUND,
        batch_size: int = 8,
        output_processing_res: bool = False,
    ) -> list[Prediction] | list[Segmentation]:
        """Find in each picture what is salient, or what words name.

        No result depends on the other pictures of its batch, nor a class's map on the other classes.

        Args:
            images: uint8 HxWx3 RGB, each of any size.
            companions: one depth or thermal picture per image, uint8, uint16 or float in [0, 1], HxW of any size with
                the image's proportions; None for an image that has none.
            prompts: names of classes, in any language and number, for a network that finds what words name.
            modality: what the companions are, 'rgbd' (depth) or 'rgbt' (thermal), for a network that takes both.
            template, background: see `words_for` and `limelight.inference.segment.most_probable`.
            batch_size: pictures that the network sees at once, at most; 0 = as many as free memory holds, up to
                `MOST_AT_ONCE`.
            output_processing_res: results at the size that the network sees, not at the pictures' own.

        Returns:
            One prediction per picture, in order; segmentations where there are prompts.

        Raises:
            UserError: an image is no uint8 HxWx3 array, a companion is of another kind, without a reading or no match
                for its image, or the network does not take what it is given or needs what it is not given.
            Shortage: there is too little memory for one picture.
        """
        if batch_size < 0:
            raise UserError(f"the batch size is 0, for what memory holds, or positive; got {batch_size}")
        words = self.words_for(prompts, template)
        if words is None:
            finish: Finish = partial(prediction, as_published=self.card.as_published)
        else:
            finish = partial(segmentation, classes=words.classes, background=background)
        companions = [None] * len(images) if companions is None else companions
        if len(companions) != len(images):
            raise UserError(f"{len(images)} images and {len(companions)} companions; give one, or None, for each image")
        modalities = [self.modality_for(given is not None, modality) for given in companions]
        results: dict[int, Prediction | Segmentation] = {}
        for size, alike in self._by_size(images).items():
            companion = any(modalities[index] != "rgb" for index in alike)
            with self._turn:
                step = self._at_once(batch_size, size, len(words.classes) if words else 0, companion)
            for chunk in (alike[start : start + step] for start in range(0, len(alike), step)):
                batch = tuple([parts[index] for index in chunk] for parts in (images, companions, modalities))
                with self._turn, told_in_a_line():
                    found = list(self._predict_batch(batch, size, words and words.texts, finish, output_processing_res))
                results |= zip(chunk, found, strict=True)
        return [results[index] for index in range(len(images))]

    def words_for(self, prompts: Sequence[str] | None, template: str | None = None) -> Words | None:
        """What the network is told, if it takes words; None for one that takes none.

        Args:
            prompts: names of classes.
            template: with {} for a class's name; '{}' for prompts that are whole sentences; None = as it was trained.

        Raises:
            UserError: words for a network that takes none, or none for one that needs them; one is empty, too long or
                given twice; or the template has no {}.
        """
        if not self.card.text:
            if prompts is not None or template is not None:
                raise UserError(f"{self.card.model} takes no words; leave the classes out, or choose another model")
            return None
        if prompts is None:
            raise UserError(f"{self.card.model} finds what words name; name classes (--classes)")
        classes = checked_classes(prompts)
        words = Words(classes, in_template(classes, self.card.prompt if template is None else template))
        self._runtime.check_texts(words.texts)
        return words

    def modality_for(self, companion: bool, modality: str | None = None) -> str:
        """What a picture comes as, if the network takes it so.

        Args:
            companion: whether it has one.
            modality: what its companion is; None = the one kind that the network takes.

        Raises:
            UserError: the network needs a companion, takes none or none of this kind, or takes several kinds.
        """
        model, takes = self.card.model, self.card.companions
        if not companion:
            if "rgb" not in self.card.modalities:
                raise UserError(f"{model} needs a companion with every picture: {_either(takes)}; give one")
            return "rgb"
        if not takes:
            raise UserError(f"{model} takes images alone; leave the companion out, or choose another model")
        if modality is None and len(takes) > 1:
            raise UserError(f"{model} takes several kinds of companions; say which this is: {_either(takes)}")
        if modality is not None and modality not in takes:
            raise UserError(f"{model} takes {_either(takes)} as companion, not {modality!r}; give one of these")
        return modality or takes[0]

    def _by_size(self, images: Sequence[np.ndarray]) -> dict[Size, list[int]]:
        """The images' indices, by the size that they are fed at."""
        groups: dict[Size, list[int]] = {}
        for index, image_HW3 in enumerate(images):
            check_picture(image_HW3)
            size = self.size
            if self.processing_res is not None:
                divisor, least = self.card.input_divisor, self.card.least_input
                size = fit_inside(image_HW3.shape[:2], self.processing_res, divisor, least)
            groups.setdefault(size, []).append(index)
        return groups

    def _at_once(self, batch_size: int, size: Size, prompts: int, companion: bool) -> int:
        """Pictures that the network is to see at once."""
        step = batch_size or MOST_AT_ONCE
        if prompts:
            step = min(step, max(1, MAPS_AT_ONCE // prompts))
        if self.card.options.get("legacy"):
            step = 1  # its batch norms would mix the pictures of a batch
        # Diffusion networks are the ones that a picture may be too large for; the others are told of at no cost.
        if self._torch and (batch_size == 0 or self._runtime.network.capabilities.sampling):
            from limelight.inference.budget import Beside, pictures_at_once

            option = "--size" if self.processing_res is None else "--processing-res"
            step = pictures_at_once(self._runtime, size, Beside(prompts, companion), step, option)
        return step

    def _predict_batch(
        self, batch: Batch, size: Size, texts: Sequence[str] | None, finish: Finish, keep_size: bool
    ) -> Iterator[Prediction | Segmentation]:
        started = time.perf_counter()
        inputs = to_inputs(*batch, self.card, size)
        prepared = time.perf_counter()
        images = batch[0]
        maps = self._maps(images, inputs, texts)
        finished = time.perf_counter()
        shared = {"pre": 1000 * (prepared - started) / len(images), "net": 1000 * (finished - prepared) / len(images)}
        for image_HW3, map_Khw, doubt_Khw in zip(images, *maps.each(), strict=True):
            before = time.perf_counter()
            found = finish(map_Khw, doubt_Khw, size if keep_size else image_HW3.shape[:2], dict(shared))
            found.milliseconds["post"] = 1000 * (time.perf_counter() - before)
            yield found

    def _maps(self, images: Sequence[np.ndarray], inputs: Inputs, texts: Sequence[str] | None) -> Maps:
        if not self._torch:
            return Maps(self._runtime(inputs))
        return self._runtime.draw(inputs, texts, self.sampling.seeds(images) if self.sampling.steps else None)


def _either(modalities: Sequence[str]) -> str:
    return " or ".join(f"{_KINDS[modality]} ({modality})" for modality in modalities)
