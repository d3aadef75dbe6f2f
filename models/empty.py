"""Building of networks without allocating parameters that loaded weights are about to replace."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

_LOCK = threading.RLock()


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
            yield
        finally:
            nn.Module.register_parameter = register  # type: ignore[method-assign]
