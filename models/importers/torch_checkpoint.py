"""PyTorch's .pth files, tensors only."""

import re
from pathlib import Path

import torch
from torch import Tensor

from limelight.foundation.errors import UserError

WRAPPERS = ("state_dict", "model_state_dict", "model")


def read_pth(path: Path | str) -> dict[str, Tensor]:
    """Read a .pth file's state dict; a wrapping dict and data-parallel training's 'module.' are taken off.

    Raises:
        UserError: no such file; damaged; or anything in it that `torch.load(weights_only=True)` would have to run.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; give the path of a .pth file") from error
    except Exception as error:  # torch raises a different class for each way in which a file can be damaged or hostile
        raise UserError(f"{path} is not a file of PyTorch weights: {_reason(error)}; download it again") from error
    for wrapper in WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
            break
    if not isinstance(content, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items()
    ):
        raise UserError(f"{path} holds no state dict (names to tensors); give the checkpoint's weights alone")
    return {key.removeprefix("module."): value for key, value in content.items()}


def _reason(error: Exception) -> str:
    """Keep only the cause of an error: torch's message goes on to advise loading the file unsafely."""
    match = re.search(r"GLOBAL (\S+)", str(error))
    if match:
        return f"it asks for {match[1]}, which a file of weights never needs"
    return "it is damaged or truncated"
