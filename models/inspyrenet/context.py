"""Parallel axial attention (PAA): the encoders of a backbone's five maps, and the decoder of the three deepest."""

import torch
from torch import Tensor, nn

from limelight.models.inspyrenet.blocks import AxialAttention, ConvBN, axial_pair


class PAAKernel(nn.Module):
    """A branch of the encoder with a receptive field of `size`."""

    def __init__(self, inputs: int, channels: int, size: int, *, published: bool) -> None:
        super().__init__()
        self.conv0 = ConvBN(inputs, channels, 1)
        self.conv1 = ConvBN(channels, channels, (1, size))
        self.conv2 = ConvBN(channels, channels, (size, 1))
        self.conv3 = ConvBN(channels, channels, 3, dilation=size)
        self.Hattn = AxialAttention(channels, "h", published=published)
        self.Wattn = AxialAttention(channels, "w", published=published)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        x_BCHW = self.conv2(self.conv1(self.conv0(x_BCHW)))
        features_BCHW: Tensor = self.conv3(axial_pair(x_BCHW, self.Hattn, self.Wattn))
        return features_BCHW


class PAAEncoder(nn.Module):
    """`forward(x_BCHW) -> features_BDHW`: one branch of 1x1, three of growing fields, and a residual."""

    def __init__(self, inputs: int, channels: int, *, published: bool) -> None:
        super().__init__()
        self.branch0 = ConvBN(inputs, channels, 1)
        self.branch1, self.branch2, self.branch3 = (
            PAAKernel(inputs, channels, size, published=published) for size in (3, 5, 7)
        )
        self.conv_cat = ConvBN(4 * channels, channels, 3)
        self.conv_res = ConvBN(inputs, channels, 1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        branches = [branch(x_BCHW) for branch in (self.branch0, self.branch1, self.branch2, self.branch3)]
        return torch.relu(self.conv_cat(torch.cat(branches, 1)) + self.conv_res(x_BCHW))


class PAADecoder(nn.Module):
    """`forward([x_BDHW at 1/8, 1/16, 1/32]) -> (features_BDHW, logits_B1HW)`, both at 1/8."""

    def __init__(self, channels: int, *, published: bool) -> None:
        super().__init__()
        self.conv1 = ConvBN(3 * channels, channels, 3)
        self.Hattn = AxialAttention(channels, "h", published=published)
        self.Wattn = AxialAttention(channels, "w", published=published)
        self.conv2, self.conv3, self.conv4 = (ConvBN(channels, channels, 3) for _ in range(3))
        self.conv5 = nn.ModuleDict({"conv": nn.Conv2d(channels, 1, 3, padding=1, bias=False)})

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        finest = maps[0]
        others = [
            nn.functional.interpolate(x, finest.shape[-2:], mode="bilinear", align_corners=True) for x in maps[1:]
        ]
        x_BDHW = self.conv1(torch.cat([*reversed(others), finest], 1))
        x_BDHW = axial_pair(x_BDHW, self.Hattn, self.Wattn)
        x_BDHW = self.conv4(self.conv3(self.conv2(x_BDHW)))
        return x_BDHW, self.conv5["conv"](x_BDHW)
