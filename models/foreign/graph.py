"""Surgery on ONNX graphs: another project's file with this project's input and output names."""

import math
from pathlib import Path
from typing import Any

from limelight.foundation.errors import UserError, reason_of

_MAX_BYTES = 2**31 - 1
"""Of a file without external data: protobuf's limit."""
_MIN_OPSET = 11
"""Clip takes its bounds as inputs from then on."""
_PREFIX = "source."


def standardise(source: Path, target: Path, *, input: str, output: str, rank: int, logits: bool) -> None:
    """Write a file that maps `image` (B, 3, H, W) to `probability` (B, 1, h, w) float32 in [0, 1], and nothing else.

    Args:
        input, output: the source's names.
        rank: dimensions of the source's output, 3 or 4; files need not say it.
        logits: the source's output comes before its sigmoid.

    Raises:
        UserError: the file's operators are of an older version than these changes need, or it cannot be changed.
    """
    import onnx

    try:
        model = _standardised(source, input, output, rank, logits=logits)
    except UserError:
        raise
    except Exception as error:  # onnx's, for what its tools do not know
        reason = reason_of(error)
        raise UserError(
            f"{source} cannot be exported: {reason}; use the weights themselves, with runtime 'torch'"
        ) from error
    onnx.save(model, target)


def _standardised(source: Path, input: str, output: str, rank: int, *, logits: bool) -> Any:
    import onnx
    from onnx import compose, helper, inliner

    model = onnx.load(source)
    if model.functions:  # of the file's own: converters do not know them, and a prefix would not reach into them
        model = inliner.inline_local_functions(model)
    model = compose.add_prefix(model, _PREFIX)  # names of its own cannot stand in the way
    version = max(each.version for each in model.opset_import if each.domain in ("", "ai.onnx"))
    if version < _MIN_OPSET:
        raise UserError(
            f"{source} is of opset {version}, exports need {_MIN_OPSET} or later; convert it (onnx.version_converter)"
        )
    graph, output = model.graph, _PREFIX + output
    (image,) = (each for each in graph.input if each.name == _PREFIX + input)
    graph.node.insert(0, helper.make_node("Identity", ["image"], [image.name]))
    image.name = "image"
    graph.node.extend(_single_channel(graph, output, rank, version))
    graph.node.append(helper.make_node("Cast", ["map"], ["float_map"], to=onnx.TensorProto.FLOAT))
    graph.node.append(_probability(graph, logits))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("probability", onnx.TensorProto.FLOAT, [None, 1, None, None]))
    return model


def _single_channel(graph: Any, output: str, rank: int, version: int) -> list[Any]:
    """Nodes that make `map` (B, 1, h, w) of an output (B, C, h, w), its first channel, or (B, h, w)."""
    from onnx import TensorProto, helper

    graph.initializer.append(helper.make_tensor("one", TensorProto.INT64, [1], [1]))
    if rank == 4:
        graph.initializer.append(helper.make_tensor("zero", TensorProto.INT64, [1], [0]))
        return [helper.make_node("Slice", [output, "zero", "one", "one"], ["map"])]
    if version < 13:  # axes became an input then
        return [helper.make_node("Unsqueeze", [output], ["map"], axes=[1])]
    return [helper.make_node("Unsqueeze", [output, "one"], ["map"])]


def _probability(graph: Any, logits: bool) -> Any:
    """The node that makes `probability` of `float_map`."""
    from onnx import TensorProto, helper

    if logits:
        return helper.make_node("Sigmoid", ["float_map"], ["probability"])
    for bound, value in (("low", 0.0), ("high", 1.0)):
        graph.initializer.append(helper.make_tensor(bound, TensorProto.FLOAT, [], [value]))
    return helper.make_node("Clip", ["float_map", "low", "high"], ["probability"])


def read_self_contained(path: Path) -> Any:
    """Read a file with the external data that it names, as one model.

    Raises:
        UserError: it is damaged, data files are missing, or it is larger than one file can be.
    """
    import onnx

    try:
        model = onnx.load(path)
    except Exception as error:  # protobuf's, onnx's and the file system's
        reason = reason_of(error)
        raise UserError(f"{path} cannot be read as ONNX: {reason}; get the file anew, with its data files") from error
    for tensor in model.graph.initializer:  # what was external lies in the file now
        tensor.ClearField("data_location")
        del tensor.external_data[:]
    if model.ByteSize() > _MAX_BYTES:
        raise UserError(f"{path} holds more than 2 GB, which one ONNX file cannot; use a smaller network")
    return model


def count_parameters(model: Any) -> int:
    """Numbers in the weights of a model, single ones (constants) left out."""
    return sum(math.prod(tensor.dims) for tensor in model.graph.initializer if len(tensor.dims) > 0)
