"""What a network can run on: PyTorch, ONNX Runtime, OpenVINO, behind one call.

    runtime = open_runtime("artifacts/sdnet-deploy", "openvino-fp32", threads=2)
    probability_B1HW = runtime(inputs)  # see limelight.inference.preprocess.to_inputs

Every runtime takes images of any batch, height and width that the network takes; an export of a network with window
attention takes one height and width.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from limelight.foundation.errors import UserError
from limelight.inference.preprocess import Inputs
from limelight.inference.runtimes.sizes import Sides
from limelight.inference.sampling import ONE_STEP, Sampling

RUNTIMES = ("torch", "torch-bf16", "onnx-fp32", "onnx-int8", "openvino-fp32", "openvino-bf16", "openvino-int8")
EXPORTED = RUNTIMES[2:]
"""Those that run a file of `<folder>/exports/`; the others run `model.safetensors`."""

_SHARED = {"openvino-bf16": "openvino-fp32"}
"""Runtimes without an export of their own: OpenVINO rounds to bf16 while it compiles the fp32 one."""


class Maps(NamedTuple):
    """Of a batch; K prompts, or one map where there are none."""

    probability_BKhw: np.ndarray
    """float32 in [0, 1]."""
    uncertainty_BKhw: np.ndarray | None = None
    """float32 in [0, 0.5], of an ensemble; see `limelight.models.diffusion.ensemble`."""

    def each(self) -> tuple[Sequence[np.ndarray], Sequence[np.ndarray | None]]:
        """The same, with a None for each picture where there is no uncertainty."""
        missing = [None] * len(self.probability_BKhw)
        return self.probability_BKhw, missing if self.uncertainty_BKhw is None else self.uncertainty_BKhw


class Runtime(Protocol):
    """A network ready to run."""

    takes: Sides
    """Height and width that it was made for; None where it takes any."""

    def __call__(self, inputs: Inputs) -> np.ndarray:
        """Run a batch. A network of images alone does not look at companions.

        Returns:
            probability_B1HW float32 in [0, 1].
        """
        ...


def export_path(folder: Path | str, runtime: str) -> Path:
    """The file that an exported runtime reads; an OpenVINO .xml has its .bin beside it."""
    name = "model.onnx" if runtime.startswith("onnx") else "model.xml"
    return Path(folder) / "exports" / _SHARED.get(runtime, runtime) / name


def number_format(runtime: str) -> str:
    """What a runtime computes in on this machine: fp32, bf16 or int8. OpenVINO does without bf16 where the CPU must."""
    if runtime == "openvino-bf16":
        import openvino

        return "bf16" if "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "fp32"
    return runtime.partition("-")[2] or "fp32"


def open_runtime(
    folder: Path | str,
    runtime: str,
    *,
    device: str = "cpu",
    threads: int | None = None,
    sampling: Sampling = ONE_STEP,
    vae: Path | None = None,
) -> Runtime:
    """Load a weights folder into a runtime.

    Args:
        folder: a weights folder; exported runtimes need its `exports/`.
        runtime: a name of `RUNTIMES`.
        device: 'cpu', or 'cuda' where the runtime is PyTorch.
        threads: how many CPU threads the runtime uses; None leaves the choice to it.
        sampling: how PyTorch is to draw from noise; an export is the single step.
        vae: an autoencoder's folder, for PyTorch to use in place of the network's own.

    Raises:
        UserError: an unknown runtime, a missing folder, export or package, a damaged export, or a device or a sampling
            that the runtime cannot use.
    """
    if runtime not in RUNTIMES:
        raise UserError(f"unknown runtime {runtime!r}; choose one of: {', '.join(RUNTIMES)}")
    if threads is not None and threads < 1:
        raise UserError(f"threads must be at least 1, got {threads}; leave it out for the runtime's own choice")
    if runtime not in EXPORTED:
        from limelight.inference.runtimes.pytorch import PyTorchRuntime

        bf16 = runtime == "torch-bf16"
        return PyTorchRuntime(folder, bf16=bf16, device=device, threads=threads, sampling=sampling, vae=vae)
    if vae is not None:
        raise UserError(f"runtime {runtime!r} holds the network's own autoencoder; use runtime 'torch' for another")
    if sampling.steps is not None:
        raise UserError(f"runtime {runtime!r} holds the network's single step; use runtime 'torch' for denoising steps")
    if device != "cpu":
        raise UserError(f"runtime {runtime!r} runs on the CPU alone, got device {device!r}; use runtime 'torch' there")
    path = export_path(folder, runtime)
    if not path.is_file():
        raise UserError(
            f"{path} does not exist, which runtime {runtime!r} needs; make it with `limelight export` (the pipeline: "
            "deploy.runtimes), or use runtime 'torch'"
        )
    try:
        if runtime.startswith("onnx"):
            from limelight.inference.runtimes.onnx import OnnxRuntime

            return OnnxRuntime(path, threads=threads)
        from limelight.inference.runtimes.openvino import OpenVinoRuntime

        # In an 8-bit network bf16 is what the operations that were not quantised run in.
        return OpenVinoRuntime(path, precision="f32" if runtime == "openvino-fp32" else "bf16", threads=threads)
    except ModuleNotFoundError as error:
        raise UserError(
            f"runtime {runtime!r} needs the package {error.name}; install it with: pip install 'limelight[export]'"
        ) from error
    except UserError:
        raise
    except Exception as error:  # each engine has kinds of its own for a file that is cut short
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{path} cannot be loaded ({reason}); export the weights anew, or use runtime 'torch'"
        ) from error
