"""Stems at half resolution (ours): a convolution of stride 2, of the pixels or of 2 x 2 blocks of them as channels."""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from limelight.models.difference.layer import DifferenceConv
from limelight.models.sdnet.blocks import NARROW, difference_conv

Stem = Literal["full", "space-to-depth", "strided"]
STEMS: tuple[Stem, ...] = ("full", "space-to-depth", "strided")
FOLD = 2
"""Side of a block, and the stride."""


class HalfStem(DifferenceConv):
    """`PixelUnshuffle(2)` and a difference layer of its four times as many channels, in one convolution of the image.

    `forward(image_BCHW) -> features_BDhw`, h and w half of H and W, rounded down. What each operator subtracts are
    pixels two apart: those of one place in their blocks.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels * FOLD**2, out_channels, NARROW)

    def convolve(self, features_BCHW: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
        return F.conv2d(features_BCHW, self.plain(kernel), bias, stride=FOLD, padding=FOLD)

    def plain(self, kernel_OI33: Tensor) -> Tensor:
        """The kernel, (O, I / 4, 6, 6), that does at stride 2 what a 3 x 3 one does after `PixelUnshuffle(2)`."""
        blocks_OIyx33 = kernel_OI33.unflatten(1, (-1, FOLD, FOLD))
        return blocks_OIyx33.permute(0, 1, 4, 2, 5, 3).flatten(4, 5).flatten(2, 3)


def make_stem(kind: Stem, in_channels: int, out_channels: int, *, merged: bool) -> nn.Module:
    """The first layer: at full resolution as published, or at half."""
    if kind == "full":
        return difference_conv(in_channels, out_channels, NARROW, merged=merged)
    if kind == "strided":
        if merged:
            return nn.Conv2d(in_channels, out_channels, 3, stride=FOLD, padding=1, bias=False)
        return DifferenceConv(in_channels, out_channels, NARROW, stride=(FOLD, FOLD))
    if merged:
        return nn.Conv2d(in_channels, out_channels, 3 * FOLD, stride=FOLD, padding=FOLD, bias=False)
    return HalfStem(in_channels, out_channels)
