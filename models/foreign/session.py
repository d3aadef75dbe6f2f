"""ONNX Runtime's sessions for files that someone else made."""

from pathlib import Path
from typing import Any

import numpy as np

from limelight.foundation.errors import UserError, reason_of
from limelight.foundation.onnx_session import cpu_session


def open_session(path: Path, threads: int | None = None) -> Any:
    """Open a file on the CPU.

    Args:
        threads: of its operators; None = one per physical core.

    Raises:
        UserError: ONNX Runtime is not installed, or cannot run the file; the message gives its reason.
    """
    try:
        import onnxruntime
    except ModuleNotFoundError:
        raise UserError("an ONNX file needs the package onnxruntime; run pip install 'limelight[export]'") from None
    if not path.is_file():
        raise UserError(f"{path} does not exist; give the path of an .onnx file")
    try:
        return cpu_session(path, threads=threads)
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
