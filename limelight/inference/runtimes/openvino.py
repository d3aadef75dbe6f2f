"""OpenVINO on the CPU."""

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Literal

import numpy as np
import openvino
from openvino import opset13 as opset

from limelight.inference.preprocess import Inputs
from limelight.inference.runtimes.feeds import feeds
from limelight.inference.runtimes.sizes import check_size

_KEPT = 4
"""Compiled sizes kept; a network fed by `Predictor` sees one."""
_LARGEST_PRODUCT = 512
"""Sides of maps from which on matrix products cost more than the resize that they stand in for."""


class OpenVinoRuntime:
    """Runs an exported .xml/.bin pair.

    The network is compiled anew for each height and width, so that OpenVINO can plan its memory for them. Images of a
    batch run one after another, which is no slower on a CPU and needs no compilation per batch size.

    Args:
        precision: what floating-point operations are computed in. Where the CPU has no bf16 instructions, f32 is used.
        threads: None = one per physical core.
    """

    def __init__(self, path: Path, *, precision: Literal["f32", "bf16"] = "f32", threads: int | None = None) -> None:
        self._core = openvino.Core()
        self._model = self._core.read_model(path)
        free = self._model.input("image").get_partial_shape()
        height, width = (side.get_length() if side.is_static else None for side in list(free)[2:])
        self.takes = (height, width)
        self._names = [known.any_name for known in self._model.inputs]
        self._config: dict[str, object] = {
            "PERFORMANCE_HINT": "LATENCY",
            # Said outright, since the default is bf16 on CPUs that have matrix units.
            "INFERENCE_PRECISION_HINT": precision,
            # Several processes on one machine would otherwise be pinned to the same cores.
            "ENABLE_CPU_PINNING": False,
        }
        if threads:
            self._config["INFERENCE_NUM_THREADS"] = threads
        self._requests: OrderedDict[tuple[int, int], openvino.InferRequest] = OrderedDict()
        self._lock = threading.Lock()  # a request holds one image's buffers

    def __call__(self, inputs: Inputs) -> np.ndarray:
        image_B3HW = inputs.image_B3HW
        check_size(self.takes, image_B3HW.shape[2:])
        given = feeds(self._names, inputs)
        with self._lock:
            request = self._request(image_B3HW.shape[2:])
            return np.concatenate(
                [
                    request.infer({name: part[index : index + 1] for name, part in given.items()})[0]
                    for index in range(len(image_B3HW))
                ]
            )

    def _request(self, size: tuple[int, ...]) -> openvino.InferRequest:
        height, width = size
        if (height, width) not in self._requests:
            fixed = self._model.clone()
            shapes = {"image": [1, 3, height, width], "companion": [1, 1, height, width], "modality": [1]}
            fixed.reshape({name: shapes[name] for name in self._names})
            _resize_by_products(fixed)
            compiled = self._core.compile_model(fixed, "CPU", self._config)
            self._requests[height, width] = compiled.create_infer_request()
            if len(self._requests) > _KEPT:
                self._requests.popitem(last=False)
        self._requests.move_to_end((height, width))
        return self._requests[height, width]


def _resize_by_products(model: openvino.Model) -> None:
    """Turn the bilinear resizes of a single channel into two matrix products, equal up to rounding.

    OpenVINO runs such a resize pixel by pixel on one thread, which for SDNet at 320 x 320 is 1 ms of 25.
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
    """(new, old) float32: the weights of `old` samples in each of `new`, pixel centres aligned, edges repeated."""
    places = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    return np.maximum(1 - np.abs(places[:, None] - np.arange(old)), 0).astype(np.float32)
