"""Convolutions of the condition branch, and the decoder that brings three levels to the finest one."""

from collections.abc import Sequence

from torch import Tensor, cat, nn
from torch.nn import functional as F


class ConvBNReLU(nn.Sequential):
    """3x3 convolution with bias, batch norm, ReLU; keeps the size."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.bn = nn.BatchNorm2d(outputs)
        self.act = nn.ReLU()


class Head(nn.Sequential):
    """A level of the backbone to a decoder's width: inputs -> outputs -> outputs."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(ConvBNReLU(inputs, outputs), ConvBNReLU(outputs, outputs))


class Decoder(nn.Module):
    """Three levels to one: features at 1/8, 1/16 and 1/32 -> features at 1/8 with the coarsest's channels.

    A dense partial decoder (arXiv 1904.08739, figure 3): coarse levels gate finer ones by products, all are joined.

    Args:
        widths: channels of the levels, finest first.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        fine, middle, coarse = widths
        self.coarse_to_middle = ConvBNReLU(coarse, middle)
        self.coarse_to_fine = ConvBNReLU(coarse, fine)
        self.middle_to_fine = ConvBNReLU(middle, fine)
        self.coarse_up = ConvBNReLU(coarse, coarse)
        self.join_middle = ConvBNReLU(middle + coarse, middle + coarse)
        self.joined_up = ConvBNReLU(middle + coarse, middle + coarse)
        self.join_fine = ConvBNReLU(fine + middle + coarse, fine + middle + coarse)
        self.out = ConvBNReLU(fine + middle + coarse, coarse)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        fine, middle, coarse = levels
        coarse_up = _double(coarse)
        gated_middle = self.coarse_to_middle(coarse_up) * middle
        gated_fine = self.coarse_to_fine(_double(coarse_up)) * self.middle_to_fine(_double(middle)) * fine
        joined = self.join_middle(cat([gated_middle, self.coarse_up(coarse_up)], 1))
        return self.out(self.join_fine(cat([gated_fine, self.joined_up(_double(joined))], 1)))


def _double(x_BChw: Tensor) -> Tensor:
    return F.interpolate(x_BChw, scale_factor=2, mode="bilinear", align_corners=True)
