"""Inference backends: PyTorch, ONNX Runtime and OpenVINO behind one interface.

backend = open_backend(plan("artifacts/sdnet-deploy", card, Request("openvino-fp32", threads=2)))
maps = backend.run(feeds)  # see limelight.imaging.feeds.picture_feeds
"""

from typing import Literal

from limelight.foundation.errors import UserError, reason_of
from limelight.inference.backends.backend import Backend, ExportedBackend
from limelight.inference.backends.flipped import FlippedBackend
from limelight.inference.plan import Plan
from limelight.inference.runtimes import openvino_has_bf16


def open_backend(planned: Plan) -> Backend:
    """Load a weights folder into the engine that a plan selects.

    Raises:
        UserError: a file is missing or damaged, a package is missing, or the network cannot do what is requested.
    """
    backend = _open(planned)
    return FlippedBackend(backend, planned.card.architecture.inputs) if planned.request.flip else backend


def _open(planned: Plan) -> Backend:
    runtime, folder = planned.runtime, planned.folder
    if not runtime.exported:
        from limelight.inference.backends.pytorch import PyTorchBackend

        return PyTorchBackend(planned)
    path, inputs = runtime.file(folder), planned.card.architecture.inputs
    if not path.is_file():
        raise UserError(
            f"{path} does not exist, but runtime {runtime.name!r} needs it; make it with `limelight export` (in the "
            "pipeline: deploy.runtimes), or use runtime 'torch'"
        )
    backend: ExportedBackend
    try:
        if runtime.engine == "onnx":
            from limelight.inference.backends.onnx import OnnxBackend

            backend = OnnxBackend(path, inputs, threads=planned.request.threads)
            backend.open_step(runtime.step_file(folder), planned.fixed)
            return backend
        from limelight.inference.backends.openvino import OpenVinoBackend

        # bf16 in an 8-bit network applies to the operations that were not quantised.
        wanted = runtime.number_format != "fp32" and openvino_has_bf16()
        precision: Literal["f32", "bf16"] = "bf16" if wanted else "f32"
        backend = OpenVinoBackend(path, inputs, precision=precision, threads=planned.request.threads)
        backend.open_step(runtime.step_file(folder), planned.fixed)
        return backend
    except ModuleNotFoundError as error:
        raise UserError(
            f"runtime {runtime.name!r} needs the package {error.name}; install it with: pip install 'limelight[export]'"
        ) from error
    except UserError:
        raise
    except Exception as error:  # each engine raises its own types for a truncated file
        reason = reason_of(error)
        raise UserError(
            f"{path} cannot be loaded ({reason}); export the weights anew, or use runtime 'torch'"
        ) from error
