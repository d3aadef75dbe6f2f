"""Export a network to the files that ONNX Runtime and OpenVINO run.

Every export maps the inputs that its network declares, under their names, to `probability` (B, 1, H, W) float32 in
[0, 1]: `image` (B, 3, H, W) float32, normalised; of a network which takes depth or thermal pictures also `companion`
(B, 1, H, W) float32 in [0, 1] and `modality` (B) int64, the index into `limelight.models.card.MODALITIES`, 0 where a
picture comes alone. Networks of clips take `clip` (B, T, 3, H, W), and give a map per frame. Batch, frames, height and
width are free; of networks with attention, the batch alone. The 8-bit ones are quantised after training, with value
ranges measured on real images.

Causal networks have a second file, `step`: it maps `image` (1, 3, H, W), the next frame of a stream, and its state by
names, to `probability` and to the state for the frame after it, whose names begin with `next_`. Its size is the card's;
a state of zeros begins a stream.
"""

import contextlib
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from limelight.deploy.tracing import OneOperatorResize, fast_tracing, translations
from limelight.foundation.errors import UserError
from limelight.foundation.files import atomic_path
from limelight.foundation.onnx_session import cpu_session
from limelight.imaging.feeds import Feeds, complete, single_rows
from limelight.inference.runtimes import EXPORTED, NEXT, RUNTIMES, STEP
from limelight.models.base import Network
from limelight.models.card import Card
from limelight.models.examples import example


@dataclass(frozen=True)
class ErrorWording:
    """Wording of error messages for the command that requests exports."""

    pictures: str
    """Where calibration images come from."""
    instead: str
    """Alternative to suggest for weights that have no export."""
    limit: str
    """Name of the limit on the merged form's difference."""


PIPELINE = ErrorWording("add images to deploy.split", "leave it out of `deploy`", "deploy.max_logit_difference")
COMMAND = ErrorWording(
    "give a folder of pictures (--pictures)", "use the weights themselves, with --runtime torch", "the limit"
)


def export(
    model: Network,
    card: Card,
    folder: Path | str,
    runtimes: Collection[str],
    calibration: Feeds,
    wording: ErrorWording = PIPELINE,
) -> None:
    """Write `folder`/exports/<runtime>/ for each runtime, each folder whole or not at all.

    'openvino-bf16' runs the file of 'openvino-fp32', which is then written too.

    Args:
        model: in evaluation mode; its `maps` are exported.
        runtimes: names of `limelight.inference.runtimes.EXPORTED`.
        calibration: real pictures, for the 8-bit exports; ignored otherwise.

    Raises:
        UserError: an unknown runtime, a package that is not installed, no calibration image for an 8-bit export,
            weights that take text prompts or are used in several steps, or another project's file that the runtime
            cannot be given.
    """
    unknown = [runtime for runtime in runtimes if runtime not in EXPORTED]
    if unknown:
        raise UserError(f"cannot export {', '.join(unknown)}; choose among: {', '.join(EXPORTED)}")
    if any(runtime.endswith("int8") for runtime in runtimes) and not calibration:
        raise UserError(f"an 8-bit export needs at least one calibration image, got none; {wording.pictures}")
    if not runtimes:
        return
    name, steps = card.architecture.model, card.use.denoise_steps
    if card.architecture.takes_prompts:
        raise UserError(f"{name} takes text prompts, which exports do not support; {wording.instead}")
    if steps:
        raise UserError(
            f"these weights of {name} denoise in {steps} steps, and an export computes a single one; "
            f"{wording.instead}, or train with objective 'supervised'"
        )
    targets = list(dict.fromkeys(RUNTIMES[runtime].file(folder) for runtime in runtimes))
    rows = [complete(card.architecture.inputs, row) for row in single_rows(calibration)]
    with tempfile.TemporaryDirectory() as scratch, _quiet():
        onnx_path, step_path = Path(scratch) / "model.onnx", Path(scratch) / f"{STEP}.onnx"
        try:
            _write_onnx(model, card, onnx_path)
            if model.capabilities.stream and _WITH_STEP & {target.parent.name for target in targets}:
                _write_step(model, card, step_path)
            for target in targets:
                with atomic_path(target.parent) as temporary:
                    temporary.mkdir()
                    _WRITERS[target.parent.name](onnx_path, temporary / target.name, rows)
                    _open(temporary / target.name)
                    if step_path.exists() and target.parent.name in _WITH_STEP:
                        step = f"{STEP}{target.suffix}"
                        _WRITERS[target.parent.name](step_path, temporary / step, rows)
        except ModuleNotFoundError as error:
            raise UserError(
                f"exporting needs the package {error.name}; install it with: pip install 'limelight[export]'"
            ) from error
        except UserError:
            raise
        except Exception as error:  # of each converter, for operators that it does not know
            if not model.capabilities.opaque:
                raise
            reason = " ".join(str(error).split())
            reason = reason if len(reason) <= 400 else f"{reason[:150]} ... {reason[-250:]}"  # what it is about is last
            raise UserError(f"{name} cannot be exported ({reason}); {wording.instead}") from error


class _Maps(nn.Module):
    """The exported module: a network's maps from its inputs by name."""

    def __init__(self, model: Network) -> None:
        super().__init__()
        self.model = model

    def forward(self, feeds: dict[str, Tensor]) -> Tensor:
        with OneOperatorResize():
            return self.model.maps(feeds)


def _write_onnx(model: Network, card: Card, path: Path) -> None:
    if model.capabilities.opaque:
        model.write_onnx(path)
        return
    # A batch of two, since the tracer treats a dimension of one as a constant.
    feeds = example(model, 2, card.prepare.size)
    shapes = {name: _free_dimensions(part, fixed=model.capabilities.fixed_export) for name, part in feeds.items()}
    _trace(
        _Maps(model),
        path,
        kwargs={"feeds": feeds},
        input_names=list(feeds),
        output_names=["probability"],
        dynamic_shapes={"feeds": shapes},
    )


class _Step(nn.Module):
    """The exported module: a stream's next map and state, from its frame and state by name."""

    def __init__(self, model: Network) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor, state: dict[str, Tensor]) -> tuple[Tensor, ...]:
        with OneOperatorResize():
            logits_B1HW, after = self.model.step(image, state)
        return logits_B1HW.float().sigmoid(), *(after[name] for name in state)


def _write_step(model: Network, card: Card, path: Path) -> None:
    size = card.prepare.size
    state = model.first_state(1, size)
    _trace(
        _Step(model),
        path,
        kwargs={"image": torch.zeros(1, 3, *size), "state": state},
        input_names=["image", *state],
        output_names=["probability", *(f"{NEXT}{name}" for name in state)],
    )


def _trace(module: nn.Module, path: Path, **options: Any) -> None:
    """Write a module's graph; `options` are those of `torch.onnx.export`."""
    with fast_tracing(module):
        program = torch.onnx.export(
            module.eval(), custom_translation_table=translations(), dynamo=True, verbose=False, **options
        )
        assert program is not None  # as always with `dynamo`
        program.save(path)


def _free_dimensions(part: Tensor, *, fixed: bool) -> dict[int, object]:
    """The dimensions of an input that an export leaves open: batch, frames of a clip, and unless `fixed` the sides."""
    frames = range(1, part.ndim - 3)
    sides = range(part.ndim - 2, part.ndim) if part.ndim > 3 and not fixed else ()
    return dict.fromkeys([0, *frames, *sides], torch.export.Dim.DYNAMIC)


def _open(path: Path) -> None:
    """Open a written file once: better that its export fails than its first use."""
    if path.suffix == ".xml":
        from limelight.inference.openvino_core import CORE

        CORE.read_model(path)
        return
    cpu_session(path)


def _copy_onnx(onnx_path: Path, target: Path, calibration: Sequence[Feeds]) -> None:
    shutil.copyfile(onnx_path, target)


def _quantise_onnx(onnx_path: Path, target: Path, calibration: Sequence[Feeds]) -> None:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # a package without types
        def __init__(self) -> None:
            self.given = iter(calibration)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.given, None)

    prepared = target.with_name("prepared.onnx")
    quant_pre_process(onnx_path, prepared, skip_symbolic_shape=True)
    quantize_static(
        prepared,
        target,
        Reader(),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["Conv"],
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
    )
    prepared.unlink()


def _write_openvino(onnx_path: Path, target: Path, calibration: Sequence[Feeds]) -> None:
    import openvino

    from limelight.inference.openvino_core import CORE

    model = CORE.read_model(onnx_path)
    openvino.save_model(model, target, compress_to_fp16=False)


def _quantise_openvino(onnx_path: Path, target: Path, calibration: Sequence[Feeds]) -> None:
    os.environ.setdefault("NNCF_CI", "1")  # disables its telemetry
    import nncf
    import openvino

    from limelight.inference.openvino_core import CORE

    nncf.set_log_level(logging.ERROR)
    model = CORE.read_model(onnx_path)
    # Depthwise convolutions run faster in bf16; rounding every sum and activation would cost accuracy and save no time.
    kept = {operation.get_type_name() for operation in model.get_ops()} - _QUANTISED
    quantised = nncf.quantize(
        model,
        nncf.Dataset(calibration),
        subset_size=len(calibration),
        ignored_scope=nncf.IgnoredScope(types=sorted(kept), validate=False),
    )
    openvino.save_model(quantised, target, compress_to_fp16=False)


_QUANTISED = {"Convolution", "MatMul", "Constant", "Parameter", "Result"}
"""OpenVINO's types of the operations computed in 8 bits, and of nodes that compute nothing."""

_WRITERS = {
    "onnx-fp32": _copy_onnx,
    "onnx-int8": _quantise_onnx,
    "openvino-fp32": _write_openvino,
    "openvino-int8": _quantise_openvino,
}
_WITH_STEP = {"onnx-fp32", "openvino-fp32"}
"""8-bit exports have none: their value ranges would have to be measured on states, not on pictures."""


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporters' progress bars and warnings about themselves; exceptions still pass."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    with (
        warnings.catch_warnings(),
        Path(os.devnull).open("w") as devnull,
        contextlib.redirect_stdout(devnull),
        contextlib.redirect_stderr(devnull),
    ):
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logging.disable(level)
