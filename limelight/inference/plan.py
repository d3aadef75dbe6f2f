"""What a request comes to with a set of weights: decided once, before anything is loaded, for whoever asks.

The command line, the service's start and the predictors all go by this plan.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from limelight.foundation.errors import UserError
from limelight.imaging.geometry import fixed_size
from limelight.inference.runtimes import RUNTIMES, TORCH, Runtime, parse
from limelight.inference.sampling import ONE_STEP, Sampling
from limelight.models.card import Card
from limelight.models.inputs import Size

Device = Literal["auto", "cpu", "cuda"]

_PREFERENCE = ("openvino-fp32", "onnx-fp32")
"""Runtimes in the order of their speed on a CPU."""


@dataclass(frozen=True)
class Request:
    """How weights are asked to be used.

    Raises:
        UserError: values that contradict one another, or none that can be had.
    """

    runtime: str = "torch"
    """A name of `limelight.inference.runtimes.RUNTIMES`, or 'auto' for the fastest one present."""
    device: Device = "auto"
    """'auto' takes a GPU where the runtime can use one."""
    threads: int | None = None
    """Of the runtime on the CPU; None leaves the choice to it."""
    size: int | Size | None = None
    """Stretch pictures to this size (pixels, or height and width) instead of the weights' own."""
    processing_res: int | None = None
    """Keep their proportions instead, with this many pixels on the longer side; 0 = each picture's own size."""
    sampling: Sampling = ONE_STEP
    """How a network that samples is to do so; without steps, as it was trained."""
    half_precision: bool = False
    """Compute in bf16."""
    vae: Path | None = None
    """A folder with an autoencoder as diffusers writes it, in place of the network's own: TAESD decodes Stable
    Diffusion's latents 18 times cheaper."""

    def __post_init__(self) -> None:
        if self.device not in ("auto", "cpu", "cuda"):
            raise UserError(f"unknown device {self.device!r}; choose auto, cpu or cuda")
        if self.threads is not None and self.threads < 1:
            raise UserError(
                f"threads must be at least 1, got {self.threads}; leave it out for the runtime's own choice"
            )
        if self.size is not None and self.processing_res is not None:
            raise UserError("a size is stretched to, a processing resolution keeps proportions; give one of them")
        if self.processing_res is not None and self.processing_res < 0:
            raise UserError(
                f"the processing resolution is 0, for each picture's own, or positive; got {self.processing_res}"
            )


@dataclass(frozen=True)
class Plan:
    """One request with one set of weights."""

    folder: Path
    card: Card
    runtime: Runtime
    device: Literal["cpu", "cuda"]
    threads: int | None
    fixed: Size | None
    """What every picture is stretched to; None where each picture's own proportions decide."""
    processing_res: int | None
    sampling: Sampling
    vae: Path | None

    @property
    def description(self) -> str:
        """One line: model, form, parameters, runtime, device, number format, sampling, weights."""
        architecture, found = self.card.architecture, self.runtime.computed_in()
        asked = self.runtime.number_format
        return ", ".join(
            filter(
                None,
                (
                    f"{architecture.model} ({architecture.form} form, {architecture.parameters:,} parameters)",
                    f"{self.runtime.engine} on {self.device}{f' ({self.threads} threads)' if self.threads else ''}",
                    found if found == asked else f"{found} ({asked} unavailable)",
                    self.sampling.note,
                    f"autoencoder {self.vae}" if self.vae else "",
                    f"weights {self.card.provenance.sha256[:12]}",
                ),
            )
        )


def plan(folder: Path | str, card: Card, request: Request) -> Plan:
    """Decide runtime, device, number format, size and sampling.

    Raises:
        UserError: the network or the runtime cannot do what is asked for; says why and what can.
    """
    sampling = request.sampling.for_weights(card)
    runtime = _runtime(folder, card, request, sampling)
    device = _device(request.device, runtime)
    by_policy = request.size is None and card.prepare.policy != "stretch"
    fixed = None
    if request.processing_res is None and not by_policy:
        fixed = fixed_size(card.prepare.size if request.size is None else request.size, card.prepare)
    return Plan(
        Path(folder), card, runtime, device, request.threads, fixed, request.processing_res, sampling, request.vae
    )


def _runtime(folder: Path | str, card: Card, request: Request, sampling: Sampling) -> Runtime:
    """Raises a UserError where the runtime that is asked for cannot do the rest."""
    prompts = any(each.source == "prompt" for each in card.architecture.inputs)
    reasons = {
        "takes text prompts": prompts,
        "is to sample in several steps": sampling.steps is not None,
        "is to use another autoencoder": request.vae is not None,
    }
    reason = next((reason for reason, holds in reasons.items() if holds), None)
    if request.runtime == "auto":
        runtime = TORCH if reason else fastest_runtime(folder, request.device)
    else:
        runtime = parse(request.runtime)
    if runtime.exported and reason:
        raise UserError(
            f"{card.architecture.model} {reason}, which exports cannot; use runtime 'torch', not {runtime.name!r}"
        )
    if runtime.exported and request.device == "cuda":
        raise UserError(f"runtime {runtime.name!r} runs on the CPU alone, got device 'cuda'; use runtime 'torch' there")
    return runtime.in_half_precision() if request.half_precision else runtime


def fastest_runtime(folder: Path | str, device: Device = "auto") -> Runtime:
    """The quickest full-precision runtime that `folder` has an export for and this machine a package for."""
    # Asking PyTorch costs its import, seconds; where there is no driver there is nothing to ask.
    if device == "cuda" or (device == "auto" and shutil.which("nvidia-smi") and _cuda_available()):
        return TORCH
    present = (RUNTIMES[name] for name in _PREFERENCE)
    return next((runtime for runtime in present if runtime.file(folder).is_file() and runtime.installed), TORCH)


def _device(asked: Device, runtime: Runtime) -> Literal["cpu", "cuda"]:
    """What 'auto' stands for. One asked for by name is left to the runtime to take or to refuse."""
    if asked != "auto":
        return asked
    return "cuda" if not runtime.exported and _cuda_available() else "cpu"


def _cuda_available() -> bool:
    import torch

    return torch.cuda.is_available()
