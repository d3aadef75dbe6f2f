"""Which runtime and device a request comes to."""

import importlib.util
import shutil
from pathlib import Path
from typing import Literal

from limelight.foundation.errors import UserError
from limelight.inference.runtimes import EXPORTED, RUNTIMES, export_path, open_runtime
from limelight.inference.runtimes.sizes import check_size
from limelight.inference.sampling import ONE_STEP, Sampling
from limelight.models.card import Card
from limelight.models.registry import entry
from limelight.models.weights import check_weights, read_card

Device = Literal["auto", "cpu", "cuda"]

_PREFERENCE = (("openvino-fp32", "openvino"), ("onnx-fp32", "onnxruntime"))
"""Runtimes in the order of their speed on a CPU, each with the package that it needs."""


def fastest_runtime(folder: Path | str, device: Device = "auto") -> str:
    """The quickest full-precision runtime that `folder` has an export for and this machine a package for."""
    # Asking PyTorch costs its import, seconds; where there is no driver there is nothing to ask.
    if device == "cuda" or (device == "auto" and shutil.which("nvidia-smi") and _cuda_available()):
        return "torch"
    for runtime, package in _PREFERENCE:
        if export_path(folder, runtime).is_file() and importlib.util.find_spec(package):
            return runtime
    return "torch"


def choose(
    source: Path | str, card: Card, runtime: str, device: Device, *, torch_alone: bool, half_precision: bool
) -> str:
    """The runtime that a request comes to.

    Args:
        torch_alone: something is asked for that no export can.

    Raises:
        UserError: an export for words, or one that has no half precision.
    """
    if runtime == "auto":
        runtime = "torch" if torch_alone else fastest_runtime(source, device)
    if card.text and runtime in EXPORTED:
        raise UserError(f"{card.model} finds what words name, which runtime {runtime!r} cannot; use runtime 'torch'")
    if half_precision and runtime in RUNTIMES:
        half = f"{runtime.partition('-')[0]}-bf16"
        if half not in RUNTIMES:
            raise UserError(
                f"runtime {runtime!r} has no half precision; use torch-bf16 or openvino-bf16, or leave it out"
            )
        return half
    return runtime


def check_usable(
    source: Path | str,
    runtime: str,
    threads: int | None = None,
    *,
    sampling: Sampling = ONE_STEP,
    half_precision: bool = False,
    vae: Path | None = None,
    processing_res: int | None = None,
) -> None:
    """Find out what `Predictor.load` would refuse, if possible without the time and memory that PyTorch takes.

    Args:
        source, runtime, threads, sampling, half_precision, vae, processing_res: as there.

    Raises:
        UserError: no weights folder or a damaged one, an unknown runtime, one whose export or package is missing, or
            something that the network or the runtime cannot do.
    """
    card = read_card(source)
    entry(card.model)
    asked = sampling.steps is not None or vae is not None
    sampling = sampling.for_weights(card)
    alone = card.text or sampling.steps is not None or vae is not None
    runtime = choose(source, card, runtime, "auto", torch_alone=alone, half_precision=half_precision)
    in_torch = runtime in RUNTIMES and runtime not in EXPORTED
    if in_torch and not importlib.util.find_spec("torch"):
        raise UserError(f"runtime {runtime!r} needs the package torch; install it with: pip install torch")
    if in_torch and not asked:
        check_weights(source, card)
        return
    opened = open_runtime(source, runtime, threads=threads, sampling=sampling, vae=vae)
    check_size(opened.takes, card.input_size if processing_res is None else None)


def _cuda_available() -> bool:
    import torch

    return torch.cuda.is_available()


def resolve(device: Device, runtime: str) -> str:
    """The device that 'auto' stands for; one asked for by name is left to the runtime to take or to refuse."""
    if device != "auto":
        return device
    return "cuda" if runtime.startswith("torch") and _cuda_available() else "cpu"
