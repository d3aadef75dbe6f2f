"""Resolve a request against a set of weights before loading: runtime, device, number format, size and sampling.

The command line, the service's start-up and the predictors all use this plan.
"""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from limelight.foundation.errors import UserError
from limelight.foundation.onnx_session import cpu_session
from limelight.imaging.geometry import fixed_size
from limelight.inference.runtimes import RUNTIMES, TORCH, Runtime, parse
from limelight.inference.sampling import ONE_STEP, Sampling
from limelight.models.card import POLICIES, Card, Policy
from limelight.models.inputs import Size
from limelight.models.registry import entry

Device = Literal["auto", "cpu", "cuda"]

_PREFERENCE = ("openvino-fp32", "onnx-fp32")
"""CPU runtimes, fastest first."""
_MOST_PIXELS = 1 << 27
"""Of a side: numbers far beyond it are none to OpenCV. What fits into memory is less, and said when it does not."""


@dataclass(frozen=True)
class Request:
    """Options for using a set of weights.

    Raises:
        UserError: options contradict each other, or a value is invalid.
    """

    runtime: str = "torch"
    """A name from `limelight.inference.runtimes.RUNTIMES`, or 'auto' for the fastest one available."""
    device: Device = "auto"
    """'auto' selects a GPU if the runtime can use one."""
    threads: int | None = None
    """CPU threads of the runtime; None = the runtime's default."""
    size: int | Size | None = None
    """Stretch pictures to this size (pixels, or height and width) instead of the size in the weights' card."""
    processing_res: int | None = None
    """Keep proportions instead, with this many pixels on the longer side; 0 = each picture's own size."""
    policy: Policy | None = None
    """How pictures get the network's size, instead of the way on the card; `size` is then that size."""
    sampling: Sampling = ONE_STEP
    """Settings of a network that samples; without steps, those it was trained for."""
    half_precision: bool = False
    """Compute in bf16."""
    high_resolution: bool = False
    """Refine each picture's map by tiles, up to the picture's own resolution; see `limelight.inference.refinement`."""
    calibrated: bool = False
    """Divide the maps' logits by the temperature on the weights' card: probabilities that are as often right as they
    say. Without it maps are surer, nearer to 0 and 1 (and to the masks: a lower MAE)."""
    guided: int | None = None
    """Radius of the guided filter, which brings the maps' borders to the pictures' edges (`limelight.imaging.guided`):
    pixels of the network's map, 0 = no filter, None = as the weights' card says."""
    flip: bool = False
    """Average each map with that of the mirror image, for twice the time: objects are found better, edges too."""
    vae: Path | None = None
    """Folder of an autoencoder in diffusers' format, replacing the network's own: TAESD decodes Stable Diffusion's
    latents 18 times cheaper."""

    def __post_init__(self) -> None:
        if self.device not in ("auto", "cpu", "cuda"):
            raise UserError(f"unknown device {self.device!r}; choose auto, cpu or cuda")
        if self.threads is not None and self.threads < 1:
            raise UserError(
                f"threads must be at least 1, got {self.threads}; leave it out for the runtime's own choice"
            )
        if self.policy is not None and self.policy not in POLICIES:
            raise UserError(f"unknown policy {self.policy!r}; choose one of: {', '.join(POLICIES)}")
        if self.size is not None and self.policy == "native":
            raise UserError("pictures of their native size have no other size; leave the size or the policy out")
        if self.processing_res is not None and (self.size is not None or self.policy is not None):
            raise UserError(
                "a processing resolution sets size and proportions by itself; leave the size and the policy out"
            )
        if self.high_resolution and (self.processing_res is not None or self.policy not in (None, "stretch")):
            raise UserError("high resolution is reached by tiles of one size; leave the other sizes out")
        sides = self.size if isinstance(self.size, tuple) else (self.size,)
        if any(side is not None and side > _MOST_PIXELS for side in (*sides, self.processing_res)):
            raise UserError(f"no network sees pictures of more than {_MOST_PIXELS} pixels a side; give a smaller size")
        if self.processing_res is not None and self.processing_res < 0:
            raise UserError(
                f"the processing resolution must be positive, or 0 for each picture's own; got {self.processing_res}"
            )

    @property
    def needs_pytorch(self) -> bool:
        """Whether it asks for what no export does, so that the runtime a champion won with may not suit."""
        return self.device == "cuda" or self.sampling.steps is not None or self.vae is not None


@dataclass(frozen=True)
class Plan:
    """A request resolved against one set of weights."""

    request: Request
    folder: Path
    card: Card
    """With the requested size and policy."""
    runtime: Runtime
    device: Literal["cpu", "cuda"]
    fixed: Size | None
    """Size that every picture is stretched to; None where each picture keeps its proportions."""
    sampling: Sampling
    """As requested, completed by what the weights were trained for."""

    @property
    def name(self) -> str:
        """The folder's, less the sha256 that an export's place in the cache adds; if nothing is left, the network's."""
        own = re.sub(r"-?\b[0-9a-f]{12}(-.*)?$", "", self.folder.resolve().name)
        return own or self.card.architecture.model

    @property
    def description(self) -> str:
        """One line: name, model, form, parameters, runtime, device, number format, sampling, weights."""
        architecture, request = self.card.architecture, self.request
        own_engine = entry(architecture.model).engine
        engine = self.runtime.engine if self.runtime.exported else own_engine
        form = f"{architecture.form} form, " if own_engine == "torch" else ""
        computed_in, requested_format = self.runtime.computed_in(), self.runtime.number_format
        threads = f" ({request.threads} threads)" if request.threads else ""
        return ", ".join(
            filter(
                None,
                (
                    f"{f'{self.name}: ' if self.name != architecture.model else ''}{architecture.model} "
                    f"({form}{architecture.parameters:,} parameters)",
                    f"{engine} on {self.device if engine == 'torch' else 'cpu'}{threads}",
                    computed_in
                    if computed_in == requested_format
                    else f"{computed_in} ({requested_format} unavailable)",
                    self.sampling.note,
                    f"autoencoder {request.vae}" if request.vae else "",
                    "refined by tiles" if request.high_resolution else "",
                    "borders at edges" if self.card.finish.guided_radius else "",
                    "calibrated" if request.calibrated else "",
                    "with mirror images" if request.flip else "",
                    f"weights {self.card.provenance.sha256[:12]}",
                ),
            )
        )


def plan(folder: Path | str, card: Card, request: Request) -> Plan:
    """Decide runtime, device, number format, size and sampling.

    Raises:
        UserError: the network or the runtime does not support the request; the message says why and what is supported.
    """
    sampling = request.sampling.for_weights(card)
    if request.high_resolution and (card.architecture.takes_prompts or sampling.steps is not None):
        what = "takes text prompts" if card.architecture.takes_prompts else "samples in several steps"
        raise UserError(f"{card.architecture.model} {what}, which high resolution does not support; leave it out")
    if request.calibrated and card.finish.temperature == 1:
        raise UserError("these weights are not calibrated (deploy.calibrate in params.yaml); leave calibrated out")
    if request.guided and card.architecture.task != "saliency":
        raise UserError(
            f"the guided filter is for saliency, which {card.architecture.model} does not find; leave it out"
        )
    exported_size = card.prepare.size
    card = _sized(card, request)
    if request.guided is not None:
        card = card.derived(guided_radius=request.guided)
    stretched = card.prepare.policy == "stretch" and request.processing_res is None
    fixed = fixed_size(card.prepare.size, card.prepare) if stretched else None
    image = card.architecture.inputs[0].name
    # Exports are made for the card's own size, which need not be read from their files then.
    serves = _any if fixed == exported_size else partial(_takes, folder, image, fixed)
    runtime = _runtime(folder, card, request, sampling, serves)
    device = _device(request.device, runtime)
    return Plan(request, Path(folder), card, runtime, device, fixed, sampling)


def _sized(card: Card, request: Request) -> Card:
    """The card with the requested size and policy. A size alone, and high resolution, stretch."""
    stretches = request.size is not None or request.high_resolution
    policy = request.policy or ("stretch" if stretches else card.prepare.policy)
    size = card.prepare.size if request.size is None else fixed_size(request.size, card.prepare)
    return card.derived(policy=policy, size=size)


def _any(runtime: Runtime) -> bool:
    return True


def _runtime(
    folder: Path | str, card: Card, request: Request, sampling: Sampling, serves: Callable[[Runtime], bool]
) -> Runtime:
    """Select the runtime; raises a UserError where the requested one does not support the rest of the request."""
    reasons = {
        "takes text prompts": card.architecture.takes_prompts,
        "should sample in several steps": sampling.steps is not None,
        "should use another autoencoder": request.vae is not None,
    }
    reason = next((reason for reason, is_true in reasons.items() if is_true), None)
    if request.runtime == "auto":
        runtime = TORCH if reason else fastest_runtime(folder, request.device, serves)
    else:
        runtime = parse(request.runtime)
    if runtime.exported and reason:
        raise UserError(
            f"{card.architecture.model} {reason}, which exports do not support; use runtime 'torch', "
            f"not {runtime.name!r}"
        )
    if runtime.exported and request.device == "cuda":
        raise UserError(f"runtime {runtime.name!r} runs on the CPU alone, got device 'cuda'; use runtime 'torch' there")
    return runtime.in_half_precision() if request.half_precision else runtime


def fastest_runtime(folder: Path | str, device: Device = "auto", serves: Callable[[Runtime], bool] = _any) -> Runtime:
    """Return the fastest full-precision runtime that `folder` has an export for and whose package is installed.

    Args:
        serves: whether a runtime's export takes pictures of the wanted size.
    """
    # Asking PyTorch costs its import (seconds), so look for a driver first.
    if device == "cuda" or (device == "auto" and shutil.which("nvidia-smi") and _cuda_available()):
        return TORCH
    present = (RUNTIMES[name] for name in _PREFERENCE)
    usable = (runtime for runtime in present if runtime.file(folder).is_file() and runtime.installed)
    return next((runtime for runtime in usable if serves(runtime)), TORCH)


def _takes(folder: Path | str, image: str, size: Size | None, runtime: Runtime) -> bool:
    """Whether an export's input `image` takes pictures of this size; None = of any size."""
    try:
        sides = _sides(runtime, runtime.file(folder), image)
    except Exception:  # of a damaged file, by engine: left for whoever opens it in earnest to report
        return True
    return all(side in (None, wanted) for side, wanted in zip(sides, size or (0, 0), strict=True))


def _sides(runtime: Runtime, path: Path, image: str) -> tuple[int | None, ...]:
    """Height and width of an export's input; None = any."""
    if runtime.engine == "openvino":
        from limelight.inference.openvino_core import CORE

        shape = CORE.read_model(path).input(image).get_partial_shape()
        return tuple(side.get_length() if side.is_static else None for side in list(shape)[-2:])
    inputs = cpu_session(path, optimise=False).get_inputs()
    (shape,) = (known.shape[-2:] for known in inputs if known.name == image)
    return tuple(side if isinstance(side, int) else None for side in shape)


def _device(requested: Device, runtime: Runtime) -> Literal["cpu", "cuda"]:
    """Resolve 'auto'. A device requested by name is left for the runtime to accept or reject."""
    if requested != "auto":
        return requested
    return "cuda" if not runtime.exported and _cuda_available() else "cpu"


def _cuda_available() -> bool:
    import torch

    return torch.cuda.is_available()
