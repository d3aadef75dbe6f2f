"""Training form to inference form: every difference layer becomes one plain convolution, exactly.

K* = sum_i s_i g_i K(w_i) and b* = sum_i s_i (beta_i - mean_i g_i), with s the softmax of the mixing weights and g_i the
gain of branch i's batch norm (Su et al., TPAMI 2025, difference convolution reparameterization). A batch norm before
the layer is gain (x + c): the gain goes into the kernel, the constant c stays a layer of its own (see `PreBias`).
"""

import copy

import torch
from torch import Tensor, nn

from limelight.models.sdnet.blocks import DifferenceBlock
from limelight.models.sdnet.difference import DifferenceConv, frozen

_SMALLEST_GAIN = 1e-12
"""Stands for a gain of zero: the constant c then drowns the features, as it should, and nothing is divided by zero."""


@torch.no_grad()
def merged_state(network: nn.Module) -> dict[str, Tensor]:
    """The state dict, float32, of `network`'s merged form. `network` itself is left as it is."""
    source = copy.deepcopy(network).double()
    state = source.state_dict()
    for name, module in source.named_modules():
        if isinstance(module, DifferenceBlock) and isinstance(module.norm, nn.BatchNorm2d):
            _replace(state, f"{name}.norm", bias=_constant(module.norm)[:, None, None])
        if isinstance(module, DifferenceConv):
            kernel, bias = module.merged()
            _replace(state, name, weight=kernel, bias=bias)
    for name, module in source.named_modules():
        if isinstance(module, DifferenceBlock) and isinstance(module.norm, nn.BatchNorm2d):
            state[f"{name}.depthwise.weight"] *= _gain(module.norm)[:, None, None, None]
    return {key: value.float() for key, value in state.items()}


def _replace(state: dict[str, Tensor], name: str, **tensors: Tensor | None) -> None:
    for key in [key for key in state if key.startswith(f"{name}.")]:
        del state[key]
    state.update({f"{name}.{key}": value for key, value in tensors.items() if value is not None})


def _gain(norm: nn.BatchNorm2d) -> Tensor:
    gain = frozen(norm).gain
    return gain.where(gain.abs() > _SMALLEST_GAIN, torch.full_like(gain, _SMALLEST_GAIN))


def _constant(norm: nn.BatchNorm2d) -> Tensor:
    return norm.bias / _gain(norm) - frozen(norm).mean
