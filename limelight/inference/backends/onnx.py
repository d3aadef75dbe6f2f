"""ONNX Runtime on the CPU."""

import threading
from collections.abc import Sequence
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from limelight.foundation.errors import UserError, reason_of
from limelight.foundation.onnx_session import cpu_session
from limelight.imaging.feeds import Feeds, complete, single_rows
from limelight.inference.backends.backend import ExportedBackend, Maps, check_size
from limelight.inference.runtimes import NEXT
from limelight.models.inputs import Input, Size


class OnnxBackend(ExportedBackend):
    """Runs an exported .onnx file.

    Args:
        inputs: the inputs that the network declares.
        threads: threads of the operators; None = one per physical core.
    """

    def __init__(self, path: Path, inputs: Sequence[Input], *, threads: int | None = None) -> None:
        self._inputs = inputs
        self._threads = threads
        self._session = cpu_session(path, threads=threads)
        shapes = {known.name: known.shape for known in self._session.get_inputs()}
        batch, *_, height, width = (side if isinstance(side, int) else None for side in shapes[inputs[0].name])
        self.takes = (height, width)
        self._single_rows = batch == 1  # of another project's file
        self._turn = threading.Lock()  # of batches: those of several callers at once would take as much memory each

    @cached_property
    def _step(self) -> Any:
        return cpu_session(self.step_path, threads=self._threads)

    def step_size(self, path: Path) -> Size:
        self.step_path = path
        height, width = self._step.get_inputs()[0].shape[2:]
        return height, width

    def step(self, image_13HW: np.ndarray, state: Any) -> tuple[Maps, Any]:
        if state is None:
            state = {known.name: np.zeros(known.shape, np.float32) for known in self._step.get_inputs()[1:]}
        given = {"image": np.ascontiguousarray(image_13HW), **state}
        probability_11HW, *after = self._step.run(["probability", *(f"{NEXT}{name}" for name in state)], given)
        return Maps(probability_11HW), dict(zip(state, after, strict=True))

    def run(self, feeds: Feeds, seeds: Sequence[int] | None = None) -> Maps:
        check_size(self.takes, feeds[self._inputs[0].name].shape[-2:])
        given = complete(self._inputs, feeds)
        rows = single_rows(given) if self._single_rows else [given]
        with self._turn if len(given[self._inputs[0].name]) > 1 else nullcontext():
            return Maps(np.concatenate([self._computed(row) for row in rows]))

    def _computed(self, row: Feeds) -> np.ndarray:
        """The maps of one call of the session; raises a UserError where an operator does not suit the size."""
        try:
            (probability_B1hw,) = self._session.run(["probability"], row)
        except Exception as error:  # a class of onnxruntime's for each kind
            height, width = row[self._inputs[0].name].shape[-2:]
            reason = reason_of(error)
            raise UserError(
                f"this export cannot compute pictures of {height}x{width}; give a size that is a multiple of its "
                f"stride: {reason}"
            ) from error
        return np.asarray(probability_B1hw)
