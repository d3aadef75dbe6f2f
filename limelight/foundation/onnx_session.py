"""ONNX Runtime's sessions on the CPU."""

from pathlib import Path
from typing import Any

_FATAL = 4
"""Only what ends the process is printed: everything else is raised, and reported in one line."""


def cpu_session(path: Path, *, threads: int | None = None, optimise: bool = True) -> Any:
    """Open an ONNX file.

    Args:
        threads: of its operators; None = one per physical core.
        optimise: False opens faster, for what asks only for names and shapes.

    Raises:
        ModuleNotFoundError: the package onnxruntime is not installed.
        Exception: a class of onnxruntime's for each way in which a file can be damaged or too new.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = _FATAL
    options.intra_op_num_threads = threads or 0
    # By default its threads spin for tens of milliseconds after a call and take a core from the code that follows.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
