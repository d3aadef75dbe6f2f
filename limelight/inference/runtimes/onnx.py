"""ONNX Runtime on the CPU."""

from pathlib import Path

import numpy as np
import onnxruntime

from limelight.inference.preprocess import Inputs
from limelight.inference.runtimes.feeds import feeds
from limelight.inference.runtimes.sizes import check_size

_ERRORS_ONLY = 3


class OnnxRuntime:
    """Runs an exported .onnx file.

    Args:
        threads: of this session's operators; None = one per physical core.
    """

    def __init__(self, path: Path, *, threads: int | None = None) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _ERRORS_ONLY
        # Its threads would go on spinning for tens of milliseconds after a call, and take a core from what comes next.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        if threads:
            options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._shapes = {known.name: known.shape for known in self._session.get_inputs()}
        height, width = (side if isinstance(side, int) else None for side in self._shapes["image"][2:])
        self.takes = (height, width)

    def __call__(self, inputs: Inputs) -> np.ndarray:
        check_size(self.takes, inputs.image_B3HW.shape[2:])
        return self._session.run(["probability"], feeds(self._shapes, inputs))[0]
