"""ONNX Runtime's sessions for files that someone else made."""

from pathlib import Path
from typing import Any

import numpy as np

from limelight.foundation.errors import UserError, reason_of

_FATAL = 4
"""Only what ends the process is printed: everything else is raised, and reported in one line."""


def open_session(path: Path, threads: int = 0) -> Any:
    """Open a file on the CPU.

    Args:
        threads: 0 = one per core.

    Raises:
        UserError: ONNX Runtime is not installed, or cannot run the file; the message gives its reason.
    """
    try:
        import onnxruntime
    except ModuleNotFoundError:
        raise UserError("an ONNX file needs the package onnxruntime; run pip install 'limelight[export]'") from None
    if not path.is_file():
        raise UserError(f"{path} does not exist; give the path of an .onnx file")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _FATAL
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.force_spinning_stop", "1")  # else its threads keep the cores busy
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # a class for each way in which a file can be damaged or too new
        reason = reason_of(error)
        raise UserError(
            f"ONNX Runtime {onnxruntime.__version__} cannot open {path}: {reason}; get the file anew, with the data "
            "files beside it, or install a newer onnxruntime"
        ) from error


def compute(session: Any, output: str, given: dict[str, np.ndarray], what: Path) -> np.ndarray:
    """Compute an output from the inputs by name, of which one is (1, 3, H, W).

    Args:
        what: for the message.

    Raises:
        UserError: an operator fails: the size does not suit it, or memory runs out.
    """
    try:
        (result,) = session.run([output], given)
    except Exception as error:  # a class of onnxruntime's for each kind
        height, width = next(iter(given.values())).shape[-2:]
        reason = reason_of(error)
        raise UserError(
            f"{what} cannot compute pictures of {height}x{width}; give a size that is a multiple of its stride "
            f"(--size): {reason}"
        ) from error
    return np.asarray(result)
