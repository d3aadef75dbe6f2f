"""timm, imported without PyTorch's compiler.

timm and torchvision import the compiler, two seconds of work, for functions that only compiled networks call. While
they are imported, these functions are ones that fetch the real ones when they are called, or change nothing.
"""

import importlib
import sys
from types import ModuleType
from typing import Any

import torch

_COMPILER = "torch._dynamo"


def _is_compile_supported(*args: Any) -> bool:
    """What torchvision's RoIAlign asks."""
    return bool(importlib.import_module(f"{_COMPILER}.utils").is_compile_supported(*args))


def _undecorated(function: Any = None, *args: Any, **options: Any) -> Any:
    """`torch.compiler.disable`, for functions that nobody compiles."""
    return function if function is not None else lambda decorated: decorated


def _import_timm() -> ModuleType:
    if _COMPILER in sys.modules or "timm" in sys.modules:
        return importlib.import_module("timm")
    package, utils = ModuleType(_COMPILER), ModuleType(f"{_COMPILER}.utils")
    package.__path__ = []
    utils.is_compile_supported = _is_compile_supported  # type: ignore[attr-defined]
    stand_ins = {package.__name__: package, utils.__name__: utils}
    disable, torch.compiler.disable = torch.compiler.disable, _undecorated  # type: ignore[assignment]
    sys.modules |= stand_ins
    try:
        return importlib.import_module("timm")
    finally:
        torch.compiler.disable = disable
        for name in stand_ins:
            sys.modules.pop(name, None)
        vars(torch).pop("_dynamo", None)


timm: Any = _import_timm()
