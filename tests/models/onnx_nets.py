"""Small ONNX files like those that rembg's users have, and rembg's way of using them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

Dimensions = Sequence[int | str | None]


def conv(name: str, given: str, made: str, channels: tuple[int, int], seed: int) -> tuple[Any, Any]:
    """A 3x3 convolution with random weights."""
    weight = np.random.default_rng(seed).normal(0, 0.5, (channels[1], channels[0], 3, 3)).astype(np.float32)
    node = helper.make_node("Conv", [given, name], [made], kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    return node, numpy_helper.from_array(weight, name)


def net(
    path: Path,
    *,
    side: Dimensions = (64, 64),
    logits: bool = False,
    outputs: Sequence[tuple[str, Dimensions]] = (("d0", (1, 1, 64, 64)), ("d1", (1, 1, 64, 64))),
    inputs: Sequence[tuple[str, Dimensions]] | None = None,
    opset: int = 17,
) -> Path:
    """A network like those that rembg's users have: side outputs, of which the first is the map."""
    path.parent.mkdir(parents=True, exist_ok=True)
    first, first_weight = conv("w1", "image.1", "hidden", (3, 4), 0)
    second, second_weight = conv("w2", "positive", "raw", (4, 1), 1)
    nodes = [first, helper.make_node("Relu", ["hidden"], ["positive"]), second]
    nodes += [helper.make_node("Identity" if logits else "Sigmoid", ["raw"], [outputs[0][0]])]
    nodes += [helper.make_node("Neg", ["raw"], [name]) for name, _ in outputs[1:]]
    graph = helper.make_graph(
        nodes,
        "net",
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in inputs or [("image.1", (1, 3, *side))]
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs],
        [first_weight, second_weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.save(model, path)
    return path


def as_rembg_does(path: Path, picture: Image.Image, mean: Any, std: Any, *, sigmoid: bool) -> np.ndarray:
    """rembg 2.0.86's map of a picture, written down from its sessions/base.py and dis_general_use.py."""
    small = np.array(picture.convert("RGB").resize((64, 64), Image.Resampling.LANCZOS))
    scaled = small / max(np.max(small), 1e-6)
    fed = ((scaled - mean) / std).transpose(2, 0, 1)[None].astype(np.float32)
    result = onnxruntime.InferenceSession(path).run(None, {"image.1": fed})[0][:, 0]
    prediction = 1 / (1 + np.exp(-result)) if sigmoid else result
    stretched = np.squeeze((prediction - prediction.min()) / (prediction.max() - prediction.min()))
    mask = Image.fromarray((stretched * 255).astype("uint8"), mode="L")
    return np.array(mask.resize(picture.size, Image.Resampling.LANCZOS))
