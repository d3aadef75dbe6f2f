"""One level of STDNet's decoder: what space says, what time says, and a gate."""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limelight.foundation.errors import UserError
from limelight.models.layers import resize_like
from limelight.models.sdnet.blocks import SpatialGate
from limelight.models.sdnet.video.temporal import temporal_conv

WIDTH = 24
"""Channels that a level gives; within it, twice as many."""
PLANES = 2 * WIDTH
"""Channels of its temporal layers."""
RATES = (3, 5)
"""Of the spatial branch's dilated convolutions."""


class Projection(nn.Module):
    """1 x 1 convolution with batch norm, which the merged form has folded into it."""

    def __init__(self, inputs: int, outputs: int, *, merged: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1, bias=merged)
        self.norm = nn.Identity() if merged else nn.BatchNorm2d(outputs)

    def forward(self, features_BCHW: Tensor) -> Tensor:
        projected: Tensor = self.norm(self.conv(features_BCHW))
        return projected


class ChannelScale(nn.Module):
    """gain * x + bias per channel: what batch norm leaves of a path without a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, features_BCHW: Tensor) -> Tensor:
        return self.gain * features_BCHW + self.bias


class SpatialBranch(nn.Module):
    """Reduction, then the sum of the identity and of dilated convolutions, batch norm, ReLU."""

    def __init__(self, *, merged: bool) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(2 * WIDTH, WIDTH, 1)
        self.dilated = nn.ModuleList(
            nn.Conv2d(WIDTH, WIDTH, 3, padding=rate, dilation=rate, bias=False) for rate in RATES
        )
        self.identity = ChannelScale(WIDTH) if merged else nn.Identity()
        self.norm = nn.Identity() if merged else nn.BatchNorm2d(WIDTH)

    def forward(self, features_BCHW: Tensor) -> Tensor:
        reduced = self.reduce(features_BCHW)
        summed = sum((branch(reduced) for branch in self.dilated), self.identity(reduced))
        return F.relu(self.norm(summed))


class Frames(Protocol):
    """Where a level's two temporal layers, of which `place` is 0 or 1, find each frame's neighbours."""

    def around(self, features_BCHW: Tensor, place: int) -> Tensor:
        """stack_B3CHW: each frame that the layer is computed for, with two of its neighbours."""
        ...

    def kept(self, features_BCHW: Tensor, place: int) -> Tensor:
        """Of the frames in `features_BCHW`, those that the layer is computed for."""
        ...


class Level(nn.Module):
    """A level of the decoder.

    Args:
        channels: of the encoder's features.
        deepest: no coarser level goes before it.
        planes: channels of its temporal layers, up to `PLANES`; fewer come by a projection.

    Raises:
        UserError: `planes` is none of these.
    """

    def __init__(self, channels: int, *, deepest: bool, merged: bool, planes: int = PLANES) -> None:
        super().__init__()
        if not 0 < planes <= PLANES:
            raise UserError(f"fine_planes must be 1 to {PLANES} channels, got {planes}")
        self.planes = planes
        self.project = Projection(channels, 2 * WIDTH if deepest else WIDTH, merged=merged)
        self.spatial = SpatialBranch(merged=merged)
        self.thin = Projection(2 * WIDTH, planes, merged=merged) if planes < PLANES else nn.Identity()
        self.temporal1 = temporal_conv(planes, "width", merged=merged)
        self.temporal2 = temporal_conv(planes, "height", merged=merged)
        self.project_temporal = Projection(planes, WIDTH, merged=merged)
        self.fuse = Projection(2 * WIDTH, WIDTH, merged=merged)
        self.gate = SpatialGate(WIDTH)

    def encode(self, features_BCHW: Tensor) -> Tensor:
        """What the level needs of a frame alone."""
        return F.relu(self.project(features_BCHW))

    def forward(self, encoded_BDHW: Tensor, coarse_BDhw: Tensor | None, frames: Frames) -> Tensor:
        """Features of the level, (B, WIDTH, H, W), of the frames that its last temporal layer is computed for."""
        joint = encoded_BDHW
        if coarse_BDhw is not None:
            joint = torch.cat([joint, resize_like(coarse_BDhw, joint)], 1)
        moving, still = self.thin(joint), joint
        for place, temporal in enumerate((self.temporal1, self.temporal2)):
            moving = frames.kept(moving, place) + F.relu(temporal(frames.around(moving, place)))
            still = frames.kept(still, place)
        both = torch.cat([self.spatial(still), F.relu(self.project_temporal(moving))], 1)
        gated: Tensor = self.gate(self.fuse(both))
        return gated
