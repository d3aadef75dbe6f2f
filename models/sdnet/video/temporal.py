"""Spatiotemporal difference convolutions: the operators of pixels, on planes of time and one direction of space.

A neighbourhood of three frames is looked at in two planes, (time, width) and (time, height): the centre of a 3 x 3
window is the pixel itself, its rows are the frames before, now and after. Time repeats the first and the last frame,
space is padded with zeros.

Dimensions: N clips, T frames, C channels, H height, W width; rows B = N * T.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limelight.models.sdnet.difference import DifferenceConv

Axis = Literal["width", "height"]
BRANCHES = ("cv", "cd", "ad")


def stack_frames(features_NTCHW: Tensor, *, causal: bool) -> Tensor:
    """Put each frame's neighbours beside it, along the channels: (B, 3 C, H, W).

    Args:
        causal: the two frames before and the frame itself, instead of the ones before and after.
    """
    count = features_NTCHW.shape[1]
    here = torch.arange(count, device=features_NTCHW.device)
    offsets = (-2, -1, 0) if causal else (-1, 0, 1)
    frames = [
        features_NTCHW[:, (here + offset).clamp(0, count - 1)] if offset else features_NTCHW for offset in offsets
    ]
    return torch.cat(frames, 2).flatten(0, 1)


def convolve_frames(
    features_NTCHW: Tensor, kernel_OI33: Tensor, bias: Tensor | None, axis: Axis, *, causal: bool
) -> Tensor:
    """Convolve a plane of time and space, as an image convolution of stacked frames: rows (B, O, H, W)."""
    kernel_O3I3 = kernel_OI33.transpose(1, 2).flatten(1, 2)
    kernel, padding = (kernel_O3I3[:, :, None], (0, 1)) if axis == "width" else (kernel_O3I3[..., None], (1, 0))
    return F.conv2d(stack_frames(features_NTCHW, causal=causal), kernel, bias, padding=padding)


class TemporalDifferenceConv(DifferenceConv):
    """Parallel difference convolutions on a plane of time and space, each with batch norm: (N, T, C, H, W) -> rows."""

    def __init__(self, channels: int, axis: Axis, *, causal: bool) -> None:
        super().__init__(channels, channels, BRANCHES, batch_norm=True)
        self.axis, self.causal = axis, causal

    def convolve(self, features_BCHW: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
        return convolve_frames(features_BCHW, kernel, bias, self.axis, causal=self.causal)


class TemporalConv(nn.Module):
    """What a `TemporalDifferenceConv` merges to: one kernel and bias."""

    def __init__(self, channels: int, axis: Axis, *, causal: bool) -> None:
        super().__init__()
        self.axis, self.causal = axis, causal
        self.weight = nn.Parameter(torch.empty(channels, channels, 3, 3))
        self.bias = nn.Parameter(torch.zeros(channels))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)

    def forward(self, features_NTCHW: Tensor) -> Tensor:
        return convolve_frames(features_NTCHW, self.weight, self.bias, self.axis, causal=self.causal)


def temporal_conv(channels: int, axis: Axis, *, causal: bool, merged: bool) -> nn.Module:
    """A spatiotemporal layer in its training form, or what it merges to."""
    return (TemporalConv if merged else TemporalDifferenceConv)(channels, axis, causal=causal)
