"""What makes tracing a network for its export faster; the exported graph stays the same."""

import contextlib
import gc
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


@torch.library.custom_op("limelight::resize_bilinear", mutates_args=())
def _resize_bilinear(input: Tensor, size: Sequence[int], align_corners: bool) -> Tensor:
    return F.interpolate(input, size, mode="bilinear", align_corners=align_corners)


@_resize_bilinear.register_fake
def _(input: Tensor, size: Sequence[int], align_corners: bool) -> Tensor:
    return input.new_empty((*input.shape[:2], *size))


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """What the operator of this file becomes in ONNX, as PyTorch's own does: a `custom_translation_table`."""
    from onnxscript.function_libs.torch_lib.ops.nn import aten_upsample_bilinear2d

    return {torch.ops.limelight.resize_bilinear.default: aten_upsample_bilinear2d}


class OneOperatorResize(TorchFunctionMode):
    """Within the block, `interpolate` to a size, bilinear, is one operator with a rule for its shape.

    PyTorch finds the shape of its own operator from the formula, some thirty operations on free dimensions, each of the
    times that it goes through the graph: a fifth of the time of tracing SDNet, more of networks that resize more.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.interpolate:
            given = _INTERPOLATE.bind(*args, **kwargs).arguments
            size, plain = given.get("size"), not given.get("antialias")
            if given.get("mode") == "bilinear" and isinstance(size, tuple | list) and plain:
                return _resize_bilinear(given["input"], list(size), bool(given.get("align_corners")))
        return func(*args, **kwargs)


_INTERPOLATE = inspect.signature(F.interpolate)


@contextlib.contextmanager
def fast_tracing(model: nn.Module) -> Iterator[None]:
    """Within the block, a network is traced without what only takes time."""
    with _uncollected(), _out_of_place(model):
        yield


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Within the block, leave cyclic garbage: tracing makes millions of objects, and to find that they are in use takes
    the collector a fifth of the time and more."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextlib.contextmanager
def _out_of_place(model: nn.Module) -> Iterator[None]:
    """Within the block, activations write new tensors: one in place is traced as its formula, many operations on free
    dimensions, which takes up to half the time of an export, only to be made one operation again."""
    in_place = [module for module in model.modules() if getattr(module, "inplace", False)]
    for module in in_place:
        setattr(module, "inplace", False)  # noqa: B010 - which mypy takes for a tensor
    try:
        yield
    finally:
        for module in in_place:
            setattr(module, "inplace", True)  # noqa: B010
