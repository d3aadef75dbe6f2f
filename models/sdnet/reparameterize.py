"""Training form to inference form: every difference layer becomes one plain convolution, exactly.

K* = sum_i s_i g_i K(w_i) and b* = sum_i s_i (beta_i - mean_i g_i), with s the softmax of the mixing weights and g_i the
gain of branch i's batch norm (Su et al., TPAMI 2025, difference convolution reparameterization). A batch norm before
the layer is gain (x + c): the gain goes into the kernel, the constant c stays a layer of its own (see `PreBias`).
"""

import copy
from typing import Self

import torch
from torch import Tensor, nn

from limelight.models.base import Network
from limelight.models.difference.layer import DifferenceConv, frozen
from limelight.models.sdnet.blocks import DifferenceBlock

_SMALLEST_GAIN = 1e-12
"""Stands for a gain of zero: the constant c then drowns the features, as it should, and nothing is divided by zero."""


class MergingNetwork(Network):
    """A network whose option `merged` builds its inference form."""

    def merged_state(self) -> dict[str, Tensor]:
        """The merged form's state dict, float64, computed from a copy."""
        return merged_differences(copy.deepcopy(self).double())

    @torch.no_grad()
    def reparameterize(self) -> Self:
        """The merged form, computed in float64; a copy where this is merged already."""
        options = {**self.build_options, "merged": True}
        difference = options.pop("difference", None)
        merged = type(self)(**options)
        if difference:
            merged.add_differences({**difference, "merged": True})
        merged.load_state_dict(self.merged_state())
        return merged.eval()


def merged_differences(source: nn.Module) -> dict[str, Tensor]:
    """The state dict of `source`, in float64, with each difference layer, and the batch norm before it, merged."""
    state = source.state_dict()
    for name, module in source.named_modules():
        if isinstance(module, DifferenceBlock) and isinstance(module.norm, nn.BatchNorm2d):
            _replace(state, f"{name}.norm", bias=_constant(module.norm)[:, None, None])
        if isinstance(module, DifferenceConv):
            kernel, bias = module.merged()
            _replace(state, name, weight=module.plain(kernel), bias=bias)
    for name, module in source.named_modules():
        if isinstance(module, DifferenceBlock) and isinstance(module.norm, nn.BatchNorm2d):
            state[f"{name}.depthwise.weight"] *= _gain(module.norm)[:, None, None, None]
    return state


def _replace(state: dict[str, Tensor], name: str, **tensors: Tensor | None) -> None:
    for key in [key for key in state if key.startswith(f"{name}.")]:
        del state[key]
    state.update({f"{name}.{key}": value for key, value in tensors.items() if value is not None})


def _gain(norm: nn.BatchNorm2d) -> Tensor:
    gain = frozen(norm).gain
    return gain.where(gain.abs() > _SMALLEST_GAIN, torch.full_like(gain, _SMALLEST_GAIN))


def _constant(norm: nn.BatchNorm2d) -> Tensor:
    return norm.bias / _gain(norm) - frozen(norm).mean
