"""MobileNetV3-large at half width, the backbone of the 0.8 M parameter SCFNet.

timm has no network of this shape: here the first block expands too, the squeeze is a plain quarter of the block's
width, and the gate has slope 1/5. All three are needed to run the published weights.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from limelight.models.layers import zero_bias


class Block(NamedTuple):
    """One row of Table 1 of Howard et al., 'Searching for MobileNetV3' (ICCV 2019), at width 0.5."""

    hidden: int
    channels: int
    kernel: int
    stride: int
    squeeze: bool
    activation: type[nn.Module]


STEM_CHANNELS = 8
BLOCKS = (
    Block(8, 8, 3, 1, False, nn.ReLU),
    Block(32, 16, 3, 2, False, nn.ReLU),
    Block(40, 16, 3, 1, False, nn.ReLU),
    Block(40, 24, 5, 2, True, nn.ReLU),
    Block(64, 24, 5, 1, True, nn.ReLU),
    Block(64, 24, 5, 1, True, nn.ReLU),
    Block(120, 40, 3, 2, False, nn.Hardswish),
    Block(104, 40, 3, 1, False, nn.Hardswish),
    Block(96, 40, 3, 1, False, nn.Hardswish),
    Block(96, 40, 3, 1, False, nn.Hardswish),
    Block(240, 56, 3, 1, True, nn.Hardswish),
    Block(336, 56, 3, 1, True, nn.Hardswish),
    Block(336, 80, 5, 2, True, nn.Hardswish),
    Block(480, 80, 5, 1, True, nn.Hardswish),
    Block(480, 80, 5, 1, True, nn.Hardswish),
)
TAPS = (2, 5, 11, 14)
"""The last block at 1/4, 1/8, 1/16 and 1/32."""


class ConvNorm(nn.Module):
    """Bias-free 'same' convolution, batch norm, activation."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, activation: type[nn.Module], stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        self.act = activation()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return self.act(self.bn(self.conv(x_BCHW)))


class SqueezeExcite(nn.Module):
    """Channel gate from the mean over the image."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, channels // 4, 1)
        self.expand = nn.Conv2d(channels // 4, channels, 1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        gate_BC11 = self.expand(torch.relu(self.reduce(x_BCHW.mean((2, 3), keepdim=True))))
        # Not torch's hardsigmoid, whose slope is 1/6.
        return x_BCHW * (0.2 * gate_BC11 + 0.5).clamp(0, 1)


class InvertedResidual(nn.Module):
    """Expand 1x1, depthwise kxk, squeeze-excite, project 1x1; residual where the shape stays."""

    def __init__(self, inputs: int, block: Block) -> None:
        super().__init__()
        hidden = block.hidden
        self.expand = ConvNorm(inputs, hidden, 1, block.activation)
        self.depthwise = ConvNorm(hidden, hidden, block.kernel, block.activation, block.stride, groups=hidden)
        self.se = SqueezeExcite(hidden) if block.squeeze else nn.Identity()
        self.project = ConvNorm(hidden, block.channels, 1, nn.Identity)
        self.residual = block.stride == 1 and inputs == block.channels

    def forward(self, x_BCHW: Tensor) -> Tensor:
        y_BCHW = self.project(self.se(self.depthwise(self.expand(x_BCHW))))
        return x_BCHW + y_BCHW if self.residual else y_BCHW


def initialise(network: nn.Module) -> None:
    """Draw a MobileNetV3's first weights, as torchvision does."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out")
            zero_bias(module)


class MobileNetV3LargeHalf(nn.Module):
    """image_BCHW -> [x_B16hw at 1/4, x_B24hw at 1/8, x_B56hw at 1/16, x_B80hw at 1/32], sizes rounded up."""

    channels = tuple(BLOCKS[tap].channels for tap in TAPS)
    origin = None
    divisor = 1

    def __init__(self, in_channels: int = 3) -> None:
        super().__init__()
        self.stem = ConvNorm(in_channels, STEM_CHANNELS, 3, nn.Hardswish, stride=2)
        inputs = (STEM_CHANNELS, *(block.channels for block in BLOCKS))
        self.blocks = nn.ModuleList(map(InvertedResidual, inputs, BLOCKS))
        initialise(self)

    def forward(self, image_BCHW: Tensor) -> list[Tensor]:
        x_BCHW = self.stem(image_BCHW)
        taps = []
        for index, block in enumerate(self.blocks):
            x_BCHW = block(x_BCHW)
            if index in TAPS:
                taps.append(x_BCHW)
        return taps
