"""OpenVINO on the CPU."""

import queue
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import openvino
from openvino import opset13 as opset
from openvino.passes import MakeStateful, Manager

from limelight.foundation.errors import UserError, reason_of
from limelight.imaging.feeds import Feeds, complete, single_rows
from limelight.inference.backends.backend import ExportedBackend, Maps, check_size
from limelight.inference.openvino_core import CORE
from limelight.inference.runtimes import NEXT
from limelight.models.inputs import BEGUN, Input, Size

T = TypeVar("T")
# OpenVINO's tables of NumPy types are made at their first use, which lets go of the interpreter's lock in between: two
# threads whose first use is the same wait for each other forever. Here imports have a lock of their own.
_ = openvino.Tensor(np.zeros(1, np.float32)).data
_CACHED_REQUESTS = 4
"""Number of compiled sizes kept; one suffices where pictures are stretched to a fixed size."""
_MOST_AT_ONCE = 4
"""Rows of a batch that are computed side by side."""
_LARGEST_AT_ONCE = 1 << 20
"""Pixels of such a row of three channels, of all its frames together: each row takes memory of its own."""
_LARGEST_PRODUCT = 512
"""Map side in pixels from which matrix products cost more than the resize that they replace."""


@dataclass
class _Stream:
    """An infer request of its own, which keeps what the next frame needs."""

    request: openvino.InferRequest
    frames: int = 0
    """Seen so far."""


class OpenVinoBackend(ExportedBackend):
    """Runs an exported .xml/.bin pair.

    The network is compiled for each height and width, so that OpenVINO can plan its memory for them, and not for each
    batch size. Images of a batch, or of callers at the same time, run side by side, each on its share of the threads:
    threads that share an image wait for each other, which takes a fifth of the processor time. An image alone has all
    threads.

    Args:
        inputs: what the network declares.
        precision: number format of floating-point operations; f32 where the CPU has no bf16 instructions.
        threads: None = one per physical core.
    """

    def __init__(
        self,
        path: Path,
        inputs: Sequence[Input],
        *,
        precision: Literal["f32", "bf16"] = "f32",
        threads: int | None = None,
    ) -> None:
        self._inputs = inputs
        self._model = CORE.read_model(path)
        free = self._model.input(inputs[0].name).get_partial_shape()
        height, width = (side.get_length() if side.is_static else None for side in list(free)[-2:])
        self.takes = (height, width)
        self._config: dict[str, object] = {
            "PERFORMANCE_HINT": "LATENCY",
            # Explicit, because the default is bf16 on CPUs with matrix units.
            "INFERENCE_PRECISION_HINT": precision,
            # With pinning, several processes on one machine would share the same cores.
            "ENABLE_CPU_PINNING": False,
        }
        if threads:
            self._config["INFERENCE_NUM_THREADS"] = threads
        self._requests: OrderedDict[tuple[int, ...], openvino.InferRequest] = OrderedDict()
        self._groups: OrderedDict[tuple[int, ...], _Group] = OrderedDict()
        self._making = threading.Lock()
        self._alone = threading.Lock()  # an infer request has buffers for one image only
        self._callers = _Count()

    @cached_property
    def _step(self) -> openvino.CompiledModel:
        """The exported step with its state kept inside, in the layout and number format that the CPU computes in."""
        model = CORE.read_model(self.step_path)
        _resize_by_products(model)
        names = {known.get_any_name() for known in model.inputs} - {"image", BEGUN}
        passes = Manager()
        passes.register_pass(MakeStateful({name: f"{NEXT}{name}" for name in names}))
        passes.run_passes(model)
        return CORE.compile_model(model, "CPU", self._config)

    def step_size(self, path: Path) -> Size:
        height, width = list(CORE.read_model(path).input("image").get_shape())[2:]
        return height, width

    def step(self, image_13HW: np.ndarray, state: Any) -> tuple[Maps, Any]:
        with self._alone:
            stream, frames = state or (_Stream(self._step.create_infer_request()), 0)
            if frames != stream.frames:
                raise ValueError("a stream's state is good for one call; go on from what its latest frame returned")
            # Given, since OpenVINO never stores a constant in a state.
            begun_1111 = np.full((1, 1, 1, 1), frames > 0, np.float32)
            given = {"image": np.ascontiguousarray(image_13HW), BEGUN: begun_1111}
            probability_11HW = stream.request.infer(given, share_inputs=True)["probability"]
            stream.frames += 1
            return Maps(probability_11HW), (stream, stream.frames)

    def run(self, feeds: Feeds, seeds: Sequence[int] | None = None) -> Maps:
        check_size(self.takes, feeds[self._inputs[0].name].shape[-2:])
        rows = list(single_rows(complete(self._inputs, feeds)))
        _, *sides = rows[0][self._inputs[0].name].shape
        with self._callers as callers:
            if (len(rows) > 1 or callers > 1) and np.prod(sides) <= 3 * _LARGEST_AT_ONCE:
                return Maps(np.concatenate(self._group(rows[0]).run(rows)))
            with self._alone:
                request = self._request(rows[0])
                return Maps(np.concatenate([request.infer(row)[0] for row in rows]))

    def _request(self, row: Feeds) -> openvino.InferRequest:
        """Return the infer request for a row of this size (of a clip also of so many frames), compiled on first use."""
        return self._kept(self._requests, row, lambda: self._compiled(row, self._config).create_infer_request())

    def _group(self, row: Feeds) -> "_Group":
        """Return the infer requests for rows of this size that are computed side by side, compiled on first use."""

        def make() -> _Group:
            side_by_side = {"PERFORMANCE_HINT": "THROUGHPUT", "PERFORMANCE_HINT_NUM_REQUESTS": _MOST_AT_ONCE}
            return _Group(self._compiled(row, self._config | side_by_side))

        return self._kept(self._groups, row, make)

    def _kept(self, kept: OrderedDict[tuple[int, ...], T], row: Feeds, make: Callable[[], T]) -> T:
        """Return what is kept for rows of this size, made on first use; the size that was not used longest goes."""
        size = row[self._inputs[0].name].shape[1:]
        with self._making:
            if size not in kept:
                kept[size] = make()
                if len(kept) > _CACHED_REQUESTS:
                    kept.popitem(last=False)
            kept.move_to_end(size)
            return kept[size]

    def _compiled(self, row: Feeds, config: Mapping[str, object]) -> openvino.CompiledModel:
        fixed = self._model.clone()
        try:
            fixed.reshape({name: list(array.shape) for name, array in row.items()})
        except RuntimeError as error:  # of an operator that does not suit the size
            height, width = row[self._inputs[0].name].shape[-2:]
            reason = reason_of(error)
            raise UserError(
                f"this export cannot compute pictures of {height}x{width}; give a size that is a multiple of its "
                f"stride: {reason}"
            ) from error
        _resize_by_products(fixed)
        return CORE.compile_model(fixed, "CPU", dict(config))


class _Group:
    """Infer requests of one compiled network that run at the same time, for the rows of any number of callers."""

    def __init__(self, compiled: openvino.CompiledModel) -> None:
        self._compiled = compiled
        self.count = min(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"), _MOST_AT_ONCE)
        self._free: queue.SimpleQueue[openvino.InferRequest] = queue.SimpleQueue()
        self._add(self.count)

    def _add(self, count: int) -> None:
        for _ in range(count):
            self._free.put(self._compiled.create_infer_request())

    def run(self, rows: Sequence[Feeds]) -> list[np.ndarray]:
        """Compute rows, as many at once as requests are free, and return their maps in order."""
        maps, busy, taken = list[np.ndarray](), deque[openvino.InferRequest](), 0
        try:
            for row in rows:
                try:
                    request = self._free.get_nowait()
                    taken += 1
                except queue.Empty:
                    # Whoever has requests that run waits for these: two that wait for each other's would wait forever.
                    if busy:
                        request = _ended(busy, maps)
                    else:
                        request = self._free.get()
                        taken += 1
                request.start_async(row)
                busy.append(request)
            while busy:
                self._free.put(_ended(busy, maps))
                taken -= 1
        finally:
            self._add(taken)  # after an error, in place of those that may still run
        return maps


def _ended(busy: deque[openvino.InferRequest], maps: list[np.ndarray]) -> openvino.InferRequest:
    """Wait for the request that began first, keep its map, and return it."""
    request = busy.popleft()
    request.wait()
    maps.append(request.get_output_tensor(0).data.copy())
    return request


class _Count:
    """A context manager that tells how many are within it, the one who asks included."""

    def __init__(self) -> None:
        self._lock, self._count = threading.Lock(), 0

    def __enter__(self) -> int:
        with self._lock:
            self._count += 1
            return self._count

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._count -= 1


def _resize_by_products(model: openvino.Model) -> None:
    """Replace the bilinear resizes of single-channel maps by two matrix products, equal up to rounding.

    OpenVINO runs such a resize on one thread, pixel by pixel: 1 ms of 25 for SDNet at 320 x 320.
    """
    for operation in model.get_ops():
        if operation.get_type_name() != "Interpolate":
            continue
        attributes = operation.get_attributes()
        source, enlarged = operation.input_value(0), operation.output(0)
        _, channels, *old = source.get_shape()
        bilinear = (attributes["mode"], attributes["coordinate_transformation_mode"]) == ("linear_onnx", "half_pixel")
        if not bilinear or channels != 1 or max(old) > _LARGEST_PRODUCT:
            continue
        height, width = (_bilinear(*sides) for sides in zip(old, enlarged.get_shape()[2:], strict=True))
        product = opset.matmul(opset.matmul(height, source, False, False), width, False, True)
        for target in enlarged.get_target_inputs():
            target.replace_source_output(product.output(0))


def _bilinear(old: int, new: int) -> np.ndarray:
    """(new, old) float32: weights of the `old` samples in each of the `new`, pixel centres aligned, edges repeated."""
    places = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    return np.maximum(1 - np.abs(places[:, None] - np.arange(old)), 0).astype(np.float32)
