"""The fusion of image and companion: one block of DFormer (arXiv 2309.09668), as wide in both streams."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WINDOW = 7
"""Side of the grid of query cells, and of the depthwise kernels."""
EPS = 1e-6


class Depthwise(nn.Conv2d):
    """A 'same' depthwise convolution of features that keep their channels last."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__(width, width, kernel, padding=kernel // 2, groups=width)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        return super().forward(x_BHWC.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class Attention(nn.Module):
    """Three views of the image, side by side: locally gated, globally attended, gated by the companion.

    `forward(image_BHWC, companion_BHWC) -> mixed_BHWC`.

    Args:
        width: C.
        heads: of the global view; the width must be a multiple of twice their number, since each of its queries has
            half the width.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_image, self.norm_companion = nn.LayerNorm(width, eps=EPS), nn.LayerNorm(width, eps=EPS)
        self.gate = nn.Linear(width, width)
        self.local_query = nn.Linear(width, width)
        self.local_conv = Depthwise(width, WINDOW)
        self.local_out = nn.Linear(width, width)
        self.global_query = nn.Linear(2 * width, width)
        self.key_value = nn.Linear(width, width)
        self.cross_query = nn.Linear(width, width)
        self.cross_in = nn.Linear(width, width)
        self.cross_conv = Depthwise(width, WINDOW)
        self.cross_out = nn.Linear(width, width)
        self.project = nn.Linear(3 * width, width)

    def forward(self, image_BHWC: Tensor, companion_BHWC: Tensor) -> Tensor:
        image_BHWC, companion_BHWC = self.norm_image(image_BHWC), self.norm_companion(companion_BHWC)
        gate_BHWC = F.gelu(self.gate(image_BHWC))
        local_BHWC = self.local_query(image_BHWC) * self.local_out(self.local_conv(gate_BHWC))
        global_BHWC = self.attend(torch.cat([image_BHWC, companion_BHWC], -1), gate_BHWC)
        cross_BHWC = self.cross_query(image_BHWC) * self.cross_out(self.cross_conv(self.cross_in(companion_BHWC)))
        return self.project(torch.cat([local_BHWC, global_BHWC, cross_BHWC], -1))

    def attend(self, both_BHWD: Tensor, gate_BHWC: Tensor) -> Tensor:
        """Attend from the cells of a 7 x 7 grid over both streams to the gate's pixels; the result is enlarged again.

        A cell queries twice, with either half of its channels, and the two results are joined again, head by head.
        """
        batch, height, width, channels = gate_BHWC.shape
        part = channels // (2 * self.heads)
        cells_BDhw = F.adaptive_avg_pool2d(both_BHWD.permute(0, 3, 1, 2), WINDOW)
        query_BQC = self.global_query(cells_BDhw.flatten(2).transpose(1, 2))
        query_BHQP = query_BQC.reshape(batch, 2 * WINDOW**2, self.heads, part).transpose(1, 2)
        key_value = self.key_value(gate_BHWC).reshape(batch, height * width, 2, self.heads, part)
        key_BHNP, value_BHNP = key_value.permute(2, 0, 3, 1, 4)
        answer_BHQP = F.scaled_dot_product_attention(query_BHQP, key_BHNP, value_BHNP)
        cells_BHhwP = answer_BHQP.reshape(batch, self.heads, WINDOW, WINDOW, 2 * part)
        cells_BChw = cells_BHhwP.permute(0, 1, 4, 2, 3).reshape(batch, channels, WINDOW, WINDOW)
        wide_BCHW = F.interpolate(cells_BChw, size=(height, width), mode="bilinear", align_corners=False)
        return wide_BCHW.permute(0, 2, 3, 1)


class MLP(nn.Module):
    """Norm, fourfold expansion, a depthwise 3x3 convolution as positional code, back."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=EPS)
        self.expand = nn.Linear(width, 4 * width)
        self.position = Depthwise(4 * width, 3)
        self.contract = nn.Linear(4 * width, width)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        hidden_BHWC = self.expand(self.norm(x_BHWC))
        return self.contract(F.gelu(hidden_BHWC + self.position(hidden_BHWC)))


class Fusion(nn.Module):
    """`forward(image_BCHW, companion_BCHW) -> fused_BCHW`: diffSOD's AFIM.

    Args:
        width: C.
        heads: see `Attention`.
        layer_scale: weight that the block's two additions to the image's stream have before training.
    """

    def __init__(self, width: int, heads: int, layer_scale: float) -> None:
        super().__init__()
        self.attention, self.mlp = Attention(width, heads), MLP(width)
        self.scale_attention = nn.Parameter(torch.full((width,), layer_scale))
        self.scale_mlp = nn.Parameter(torch.full((width,), layer_scale))

    def forward(self, image_BCHW: Tensor, companion_BCHW: Tensor) -> Tensor:
        image_BHWC, companion_BHWC = image_BCHW.permute(0, 2, 3, 1), companion_BCHW.permute(0, 2, 3, 1)
        fused_BHWC = image_BHWC + self.scale_attention * self.attention(image_BHWC, companion_BHWC)
        fused_BHWC = fused_BHWC + self.scale_mlp * self.mlp(fused_BHWC)
        return fused_BHWC.permute(0, 3, 1, 2)
