"""timm, imported without PyTorch's compiler.

timm and torchvision import the compiler, two seconds of work, for functions that only compiled networks call. While
they are imported, these functions are ones that fetch the real ones when they are called, or change nothing.
"""

import importlib
import sys
from types import ModuleType
from typing import Any
from unittest.mock import patch

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
    with patch.dict(sys.modules), patch.object(torch.compiler, "disable", _undecorated):
        sys.modules |= stand_ins
        timm = importlib.import_module("timm")
        loaded = {name: module for name, module in sys.modules.items() if name not in stand_ins}
    sys.modules |= loaded
    vars(torch).pop("_dynamo", None)
    return timm


timm: Any = _import_timm()
