"""Strict loading of tensors by name into modules."""

from collections.abc import Mapping

from torch import Tensor
from torch.nn import Module

from limelight.foundation.errors import UserError


def load_strict(model: Module, state: Mapping[str, Tensor], source: str, *, assign: bool = False) -> None:
    """Load tensors that must match the network's names and shapes one to one.

    Args:
        assign: the tensors become the network's parameters, rather than being copied into them.

    Raises:
        UserError: names missing, names left over, or shapes that differ; the first few of each are named.
    """
    own = model.state_dict()
    missing, surplus = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    reshaped = [
        f"{key} {tuple(state[key].shape)} instead of {tuple(own[key].shape)}"
        for key in sorted(own.keys() & state.keys())
        if own[key].shape != state[key].shape
    ]
    problems = [
        f"{len(keys)} {what}: {', '.join(keys[:3])}"
        for what, keys in (("missing", missing), ("not expected", surplus), ("of another shape", reshaped))
        if keys
    ]
    if problems:
        raise UserError(f"{source} does not fit {type(model).__name__}: {'; '.join(problems)}")
    if assign:
        state = {key: value.to(own[key].dtype) for key, value in state.items()}
    model.load_state_dict(state, assign=assign)
