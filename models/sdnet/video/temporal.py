"""Spatiotemporal difference convolutions: the operators of pixels, on planes of time and one direction of space.

A neighbourhood of three frames is looked at in two planes, (time, width) and (time, height): the centre of a 3 x 3
window is the pixel itself, its rows are the frames before, now and after. Time repeats the first and the last frame,
space is padded with zeros. Such a convolution is one of an image whose channels are those of three frames.

Dimensions: N clips, T frames, C channels, H height, W width; rows B = N * T.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limelight.models.difference.layer import DifferenceConv

Axis = Literal["width", "height"]
BRANCHES = ("cv", "cd", "ad")


def stack_frames(features_BCHW: Tensor, frames: int, *, causal: bool) -> Tensor:
    """Put each frame's neighbours beside it, along the channels: (B, 3 C, H, W).

    Args:
        frames: every so many rows are a clip.
        causal: the two frames before and the frame itself, instead of the ones before and after.
    """
    clips_NTCHW = features_BCHW.unflatten(0, (-1, frames))
    here = torch.arange(frames, device=features_BCHW.device)
    offsets = (-2, -1, 0) if causal else (-1, 0, 1)
    moved = [clips_NTCHW[:, (here + offset).clamp(0, frames - 1)] if offset else clips_NTCHW for offset in offsets]
    return torch.cat(moved, 2).flatten(0, 1)


def convolve_stack(stack_B3CHW: Tensor, kernel_OI33: Tensor, bias: Tensor | None, axis: Axis) -> Tensor:
    """Convolve a plane of time and space: rows (B, O, H, W)."""
    kernel_O3I3 = kernel_OI33.transpose(1, 2).flatten(1, 2)
    kernel, padding = (kernel_O3I3[:, :, None], (0, 1)) if axis == "width" else (kernel_O3I3[..., None], (1, 0))
    return F.conv2d(stack_B3CHW, kernel, bias, padding=padding)


class TemporalDifferenceConv(DifferenceConv):
    """Parallel difference convolutions on a plane of time and space, each with batch norm.

    `forward(stack_B3CHW) -> features_BCHW`, see `stack_frames`.
    """

    def __init__(self, channels: int, axis: Axis) -> None:
        super().__init__(channels, channels, BRANCHES, batch_norm=True)
        self.axis = axis

    def convolve(self, features_BCHW: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
        return convolve_stack(features_BCHW, kernel, bias, self.axis)


class TemporalConv(nn.Module):
    """What a `TemporalDifferenceConv` merges to: one kernel and bias."""

    def __init__(self, channels: int, axis: Axis) -> None:
        super().__init__()
        self.axis = axis
        self.weight = nn.Parameter(torch.empty(channels, channels, 3, 3))
        self.bias = nn.Parameter(torch.zeros(channels))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)

    def forward(self, stack_B3CHW: Tensor) -> Tensor:
        return convolve_stack(stack_B3CHW, self.weight, self.bias, self.axis)


def temporal_conv(channels: int, axis: Axis, *, merged: bool) -> nn.Module:
    """A spatiotemporal layer in its training form, or what it merges to."""
    return (TemporalConv if merged else TemporalDifferenceConv)(channels, axis)
