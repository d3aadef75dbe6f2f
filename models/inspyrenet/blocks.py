"""Convolutions and axial attention of InSPyReNet's head; names of modules are those of published checkpoints."""

import torch
from torch import Tensor, nn

Kernel = int | tuple[int, int]


class ConvBN(nn.Module):
    """Convolution without bias that keeps height and width, batch norm, and ReLU if wanted."""

    def __init__(self, inputs: int, outputs: int, kernel: Kernel, *, dilation: int = 1, relu: bool = False) -> None:
        super().__init__()
        sides = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = dilation * (sides[0] - 1) // 2, dilation * (sides[1] - 1) // 2
        self.conv = nn.Conv2d(inputs, outputs, sides, padding=padding, dilation=dilation, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        self.act = nn.ReLU() if relu else nn.Identity()
        nn.init.kaiming_normal_(self.conv.weight)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        features_BCHW: Tensor = self.act(self.bn(self.conv(x_BCHW)))
        return features_BCHW


class AxialAttention(nn.Module):
    """Attention of the columns (`axis` 'w') or the rows ('h') of a feature map among each other, without 1/sqrt(d).

    `forward(x_BCHW) -> x_BCHW`; begins as the identity, since its weight `gamma` does.

    Args:
        published: as the released code has it, which weights trained with it need: for 'h' the map's values are cut
            into runs of H without being transposed. Of a square map that is attention of the columns once more, of
            another a mixture of places. Otherwise 'h' is attention of the rows.
    """

    def __init__(self, channels: int, axis: str, *, published: bool) -> None:
        super().__init__()
        self.axis, self.published = axis, published
        self.query_conv = ConvBN(channels, channels // 8, 1)
        self.key_conv = ConvBN(channels, channels // 8, 1)
        self.value_conv = ConvBN(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        height, width = x_BCHW.shape[2:]
        if self.axis == "h" and self.published and height != width:
            return x_BCHW + self.gamma * self._of_runs(x_BCHW)
        rows = self.axis == "h" and not self.published
        seen_BCAE = x_BCHW if rows else x_BCHW.transpose(2, 3)
        attended_BCAE = self._of_lines(seen_BCAE)
        return x_BCHW + self.gamma * (attended_BCAE if rows else attended_BCAE.transpose(2, 3))

    def _of_lines(self, seen_BCAE: Tensor) -> Tensor:
        """Attention of the lines along axis 2; channels stay last, as runtimes keep them, so that no value is moved."""
        query_BAD, key_BAD, value_BAD = (
            convolution(seen_BCAE).permute(0, 2, 3, 1).flatten(2)
            for convolution in (self.query_conv, self.key_conv, self.value_conv)
        )
        weight_BAA = (query_BAD @ key_BAD.transpose(1, 2)).softmax(-1)
        return (weight_BAA @ value_BAD).unflatten(2, (seen_BCAE.shape[3], -1)).permute(0, 3, 1, 2)

    def _of_runs(self, x_BCHW: Tensor) -> Tensor:
        """Attention of what lies every H values apart in a map that is no square."""
        batch, _, height, _ = x_BCHW.shape
        query_BDH, key_BDH, value_BDH = (
            convolution(x_BCHW).reshape(batch, -1, height)
            for convolution in (self.query_conv, self.key_conv, self.value_conv)
        )
        weight_BHH = (query_BDH.transpose(1, 2) @ key_BDH).softmax(-1)
        return (value_BDH @ weight_BHH.transpose(1, 2)).reshape(x_BCHW.shape)


def axial_pair(x_BCHW: Tensor, rows: AxialAttention, columns: AxialAttention) -> Tensor:
    """Both attentions of the same tensor, summed."""
    return rows(x_BCHW) + columns(x_BCHW)
