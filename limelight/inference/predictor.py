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

from limelight.inference.preprocess import fit_size, to_input, to_saliency
from limelight.inference.runtimes import Runtime, export_path, open_runtime
from models.card import Card
from models.errors import UserError
from models.weights import read_card

Device = Literal["auto", "cpu", "cuda"]

_PREFERENCE = (("openvino-fp32", "openvino"), ("onnx-fp32", "onnxruntime"))
"""Runtimes in the order of their speed on a CPU, each with the package that it needs."""


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
        companions: Sequence[np.ndarray] | None = None,
        prompts: Sequence[str] | None = None,
        *,
        batch_size: int = 8,
    ) -> list[Prediction]:
        """Find what is salient in each picture.

        No result depends on the other pictures of its batch.

        Args:
            images: uint8 HxWx3 RGB, each of any size.
            companions: depth or thermal pictures; refused, since no network here takes them yet.
            prompts: texts; refused likewise.
            batch_size: pictures that the network sees at once.

        Returns:
            One prediction per picture, in order.

        Raises:
            UserError: an image is no uint8 HxWx3 array, or the model does not take companions or prompts.
        """
        if companions is not None or prompts is not None:
            raise UserError(
                f"{self.card.model} is a {self.card.modality} model and takes neither companions nor prompts; "
                "leave them out or choose another model"
            )
        results: list[Prediction] = []
        for start in range(0, len(images), batch_size):
            results += self._predict_batch(images[start : start + batch_size])
        return results

    def _predict_batch(self, images: Sequence[np.ndarray]) -> list[Prediction]:
        started = time.perf_counter()
        image_B3HW = to_input(images, self.card, self.size)
        prepared = time.perf_counter()
        probability_B1HW = self._runtime(image_B3HW)
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
