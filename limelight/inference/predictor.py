"""Pictures in, saliency out: the one way to use a set of weights.

The command line, the evaluation, the services and the benchmarks all go through `Predictor`.

Dimensions: B batch, H height, W width, 3 = R, G, B.
"""

import importlib.util
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from limelight.inference.preprocess import fit_size, to_inputs, to_saliency
from limelight.inference.runtimes import Runtime, export_path, open_runtime
from models.card import Card
from models.errors import UserError
from models.weights import read_card

Device = Literal["auto", "cpu", "cuda"]

_PREFERENCE = (("openvino-fp32", "openvino"), ("onnx-fp32", "onnxruntime"))
"""Runtimes in the order of their speed on a CPU, each with the package that it needs."""

_KINDS = {"rgbd": "depth", "rgbt": "thermal"}


@dataclass(frozen=True)
class Prediction:
    """What is salient in one picture."""

    saliency_HW: np.ndarray
    """float32 in [0, 1], at the picture's own size."""

    milliseconds: dict[str, float]
    """Of this picture: 'pre' (resize, normalise), 'net' (its share of its batch), 'post' (resize back)."""


def fastest_runtime(folder: Path | str, device: Device = "auto") -> str:
    """The quickest full-precision runtime that `folder` has an export for and this machine a package for."""
    # Asking PyTorch costs its import, seconds; where there is no driver there is nothing to ask.
    if device == "cuda" or (device == "auto" and shutil.which("nvidia-smi") and _cuda_available()):
        return "torch"
    for runtime, package in _PREFERENCE:
        if export_path(folder, runtime).is_file() and importlib.util.find_spec(package):
            return runtime
    return "torch"


class Predictor:
    """A set of weights, ready to use.

    Example:
        predictor = Predictor.load("artifacts/sdnet-deploy")
        saliency_HW = predictor.predict([read_image("photo.jpg")])[0].saliency_HW

        predictor = Predictor.load("artifacts/sdnet-rgbd")
        predictor.predict([read_image("photo.jpg")], [read_companion("depth.png")])
    """

    def __init__(
        self, runtime: Runtime, card: Card, size: tuple[int, int], description: str, number_format: str
    ) -> None:
        self.card = card
        self.size = size
        """(height, width) that pictures are stretched to, pixels."""
        self.description = description
        """One line: model, form, parameters, runtime, device, number format, weights."""
        self.number_format = number_format
        """What the runtime computes in: fp32, bf16 or int8."""
        self._runtime = runtime

    @classmethod
    def load(
        cls,
        source: Path | str,
        *,
        runtime: str = "torch",
        device: Device = "auto",
        threads: int | None = None,
        size: int | tuple[int, int] | None = None,
    ) -> "Predictor":
        """Open a weights folder.

        Args:
            source: a folder with `model.safetensors` and `card.json`, and `exports/` for runtimes other than torch.
            runtime: a name of `limelight.inference.runtimes`, or 'auto' for the fastest one present.
            device: 'auto' takes a GPU where the runtime can use one.
            threads: of the runtime on the CPU; None leaves the choice to it.
            size: feed the network pictures of this size (pixels, or height and width) instead of the card's.

        Raises:
            UserError: no such weights, runtime or export, or `device` is 'cuda' and cannot be had.
        """
        card = read_card(source)
        if card.text:
            raise UserError(f"{source} holds {card.model}, which finds what words name; open it with Segmenter.load")
        if runtime == "auto":
            runtime = fastest_runtime(source, device)
        device = _resolve(device, runtime)
        opened = open_runtime(Path(source), runtime, device=device, threads=threads)
        fed = card.input_size if size is None else fit_size(size, _divisor(card))
        engine, _, number_format = runtime.partition("-")
        number_format = number_format or "fp32"
        where = device if threads is None else f"{device} ({threads} threads)"
        description = (
            f"{card.model} ({card.form} form, {card.parameters:,} parameters), {engine} on {where}, {number_format}, "
            f"weights {card.sha256[:12]}"
        )
        return cls(opened, card, fed, description, number_format)

    def predict(
        self,
        images: Sequence[np.ndarray],
        companions: Sequence[np.ndarray | None] | None = None,
        prompts: Sequence[str] | None = None,
        *,
        modality: str | None = None,
        batch_size: int = 8,
    ) -> list[Prediction]:
        """Find what is salient in each picture.

        No result depends on the other pictures of its batch.

        Args:
            images: uint8 HxWx3 RGB, each of any size.
            companions: one depth or thermal picture per image, uint8, uint16 or float in [0, 1], HxW of any size with
                the image's proportions; None for an image that has none.
            prompts: texts; refused, since no network here takes them yet.
            modality: what the companions are, 'rgbd' (depth) or 'rgbt' (thermal), for a network that takes both.
            batch_size: pictures that the network sees at once.

        Returns:
            One prediction per picture, in order.

        Raises:
            UserError: an image is no uint8 HxWx3 array, a companion is of another kind, without a reading or no match
                for its image, or the network does not take what it is given or needs what it is not given.
        """
        if prompts is not None:
            raise UserError(f"{self.card.model} takes no prompts; leave them out or choose another model")
        companions = [None] * len(images) if companions is None else companions
        if len(companions) != len(images):
            raise UserError(f"{len(images)} images and {len(companions)} companions; give one, or None, for each image")
        modalities = [self.modality_for(given is not None, modality) for given in companions]
        results: list[Prediction] = []
        for start in range(0, len(images), batch_size):
            batch = slice(start, start + batch_size)
            results += self._predict_batch(images[batch], companions[batch], modalities[batch])
        return results

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

    def _predict_batch(
        self, images: Sequence[np.ndarray], companions: Sequence[np.ndarray | None], modalities: Sequence[str]
    ) -> list[Prediction]:
        started = time.perf_counter()
        inputs = to_inputs(images, companions, modalities, self.card, self.size)
        prepared = time.perf_counter()
        probability_B1HW = self._runtime(*inputs)
        finished = time.perf_counter()
        shared = {
            "pre": 1000 * (prepared - started) / len(images),
            "net": 1000 * (finished - prepared) / len(images),
        }
        results = []
        for image, probability_1HW in zip(images, probability_B1HW, strict=True):
            before = time.perf_counter()
            saliency_HW = to_saliency(probability_1HW[0], image.shape[:2])
            results.append(Prediction(saliency_HW, {**shared, "post": 1000 * (time.perf_counter() - before)}))
        return results


def _either(modalities: Sequence[str]) -> str:
    return " or ".join(f"{_KINDS[modality]} ({modality})" for modality in modalities)


def _cuda_available() -> bool:
    import torch

    return torch.cuda.is_available()


def _resolve(device: Device, runtime: str) -> str:
    """The device that 'auto' stands for; one asked for by name is left to the runtime to take or to refuse."""
    if device != "auto":
        return device
    return "cuda" if runtime.startswith("torch") and _cuda_available() else "cpu"


def _divisor(card: Card) -> int:
    from models.registry import create_model

    return create_model(card.model, **card.options).capabilities.input_divisor
