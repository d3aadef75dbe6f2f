"""The parts of SDNet (Su et al., TPAMI 2025): difference block, context module, spatial gate."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limelight.models.difference.layer import DifferenceConv, footprint
from limelight.models.layers import zero_bias

NARROW, WIDE = ("cv", "cd", "ad"), ("cv", "cd", "ad", "rd")
"""Branches of a layer. Where a stage ends with a difference block, that is wide, and merges to a 5 x 5 kernel."""


def difference_conv(
    in_channels: int,
    out_channels: int,
    operators: Sequence[str],
    *,
    groups: int = 1,
    batch_norm: bool = False,
    merged: bool = False,
) -> nn.Module:
    """A difference layer in its training form, or the plain convolution that it merges to."""
    if not merged:
        return DifferenceConv(in_channels, out_channels, operators, groups=groups, batch_norm=batch_norm)
    size = footprint(operators)
    return nn.Conv2d(in_channels, out_channels, size, padding=size // 2, groups=groups, bias=batch_norm)


class PreBias(nn.Module):
    """Adds a constant to each channel: what remains of a batch norm that stood before a convolution.

    Its gain goes into the kernel. Its offset cannot, since the convolution pads with zeros after it: folded into a
    bias it would be right inside and wrong along the border. A buffer, like the statistics it comes from.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias: Tensor
        self.register_buffer("bias", torch.zeros(channels, 1, 1))

    def forward(self, features_BCHW: Tensor) -> Tensor:
        return features_BCHW + self.bias


class DifferenceBlock(nn.Module):
    """Residual block: [max-pool] -> [batch norm] -> depthwise difference layer -> ReLU -> 1 x 1, plus a shortcut.

    No activation follows the sum. With `down`, height and width are halved (rounded down) and the shortcut is a 1 x 1
    convolution of the pooled input.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        operators: Sequence[str],
        *,
        down: bool,
        batch_norm: bool,
        merged: bool,
    ) -> None:
        super().__init__()
        self.down = down
        self.norm: nn.Module = nn.Identity()
        if batch_norm:
            self.norm = PreBias(in_channels) if merged else nn.BatchNorm2d(in_channels)
        self.depthwise = difference_conv(
            in_channels, in_channels, operators, groups=in_channels, batch_norm=batch_norm, merged=merged
        )
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1)
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1) if down else nn.Identity()

    def forward(self, features_BCHW: Tensor) -> Tensor:
        if self.down:
            features_BCHW = F.max_pool2d(features_BCHW, 2)
        response = F.relu(self.depthwise(self.norm(features_BCHW)))
        return self.pointwise(response) + self.shortcut(features_BCHW)


class ContextModule(nn.Module):
    """ReLU, reduction to `width` channels, and a sum of parallel dilated 3 x 3 convolutions (rate 1: the identity)."""

    def __init__(self, in_channels: int, width: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(in_channels, width, 1)
        zero_bias(self.reduce)
        self.dilated = nn.ModuleList(
            nn.Identity() if rate == 1 else nn.Conv2d(width, width, 3, padding=rate, dilation=rate, bias=False)
            for rate in dilations
        )

    def forward(self, features_BCHW: Tensor) -> Tensor:
        reduced = self.reduce(F.relu(features_BCHW))
        return sum((branch(reduced) for branch in self.dilated[1:]), self.dilated[0](reduced))


class SpatialGate(nn.Module):
    """Multiplies the features, as they came, by one attention map in (0, 1) computed from their positive part."""

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = 4
        self.reduce = nn.Conv2d(width, hidden, 1)
        zero_bias(self.reduce)
        self.attend = nn.Conv2d(hidden, 1, 3, padding=1, bias=False)

    def forward(self, features_BCHW: Tensor) -> Tensor:
        return features_BCHW * self.attend(self.reduce(F.relu(features_BCHW))).sigmoid()
