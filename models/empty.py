"""Building of networks without allocating parameters that loaded weights are about to replace."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_LOCK = threading.RLock()
_DRAWS = {Tensor.normal_, Tensor.uniform_, nn.init.normal_, nn.init.uniform_, nn.init.kaiming_uniform_}
"""What weights are drawn with, as far as it can be intercepted."""


class _NothingDrawn(TorchFunctionMode):
    """Within the block, this thread draws nothing into tensors without memory: PyTorch would import its compiler."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        if func in _DRAWS and (tensor := args[0] if args else given["tensor"]).is_meta:
            return tensor
        return func(*args, **given)


@contextmanager
def empty_parameters() -> Iterator[None]:
    """Within the block, parameters of the modules that this thread makes are on the meta device; buffers are real.

    Building under `torch.device("meta")` would lose the buffers that no state dict holds. accelerate's
    `init_empty_weights` empties what other threads make meanwhile too, and serving needs no accelerate.
    """
    owner = threading.get_ident()
    with _LOCK:
        register = nn.Module.register_parameter

        def register_empty(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
            if parameter is not None and threading.get_ident() == owner:
                parameter = nn.Parameter(parameter.detach().to("meta"), requires_grad=parameter.requires_grad)
            register(module, name, parameter)

        nn.Module.register_parameter = register_empty  # type: ignore[assignment,method-assign]
        try:
            with _NothingDrawn():
                yield
        finally:
            nn.Module.register_parameter = register  # type: ignore[method-assign]
