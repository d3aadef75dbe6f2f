"""The mixer of SDNet-A: linear attention among patches, as in MobileViTv2 (Mehta & Rastegari, arXiv 2206.02680).

Without MobileViTv2's local convolutions and, as published, without a residual around the whole.
"""

from torch import Tensor, nn

LAYERS = 2


class LinearAttention(nn.Module):
    """One query per place decides which keys are summed to a context that scales all values: linear in the places.

    `forward(x_BDPN) -> x_BDPN`: N patches of P places each, every place among its like in all patches.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.qkv = nn.Conv2d(width, 1 + 2 * width, 1)
        self.out = nn.Conv2d(width, width, 1)

    def forward(self, x_BDPN: Tensor) -> Tensor:
        query_B1PN, key_BDPN, value_BDPN = self.qkv(x_BDPN).split((1, self.width, self.width), 1)
        context_BDP1 = (key_BDPN * query_B1PN.softmax(-1)).sum(-1, keepdim=True)
        attended: Tensor = self.out(value_BDPN.relu() * context_BDP1)
        return attended


class MixerLayer(nn.Module):
    """Attention and a pointwise layer, each with a norm before it and a residual around it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(1, width), nn.GroupNorm(1, width)
        self.attention = LinearAttention(width)
        self.pointwise = nn.Sequential(nn.Conv2d(width, width, 1), nn.SiLU())

    def forward(self, x_BDPN: Tensor) -> Tensor:
        x_BDPN = x_BDPN + self.attention(self.norm1(x_BDPN))
        return x_BDPN + self.pointwise(self.norm2(x_BDPN))


class Mixer(nn.Module):
    """`forward(features_BCHW) -> features_BCHW`, of half the channels within; H and W are multiples of `patch`."""

    def __init__(self, channels: int, patch: int) -> None:
        super().__init__()
        self.patch, width = patch, channels // 2
        self.reduce = nn.Conv2d(channels, width, 1, bias=False)
        self.layers = nn.Sequential(*(MixerLayer(width) for _ in range(LAYERS)))
        self.norm = nn.GroupNorm(1, width)
        self.project = nn.Conv2d(width, channels, 1, bias=False)

    def forward(self, features_BCHW: Tensor) -> Tensor:
        patch, reduced_BDHW = self.patch, self.reduce(features_BCHW)
        rows, columns = reduced_BDHW.shape[2] // patch, reduced_BDHW.shape[3] // patch
        cut = reduced_BDHW.unflatten(3, (columns, patch)).unflatten(2, (rows, patch))  # B D rows p columns p
        mixed_BDPN = self.norm(self.layers(cut.permute(0, 1, 3, 5, 2, 4).flatten(4).flatten(2, 3)))
        back = mixed_BDPN.unflatten(3, (rows, columns)).unflatten(2, (patch, patch)).permute(0, 1, 4, 2, 5, 3)
        mixed: Tensor = self.project(back.flatten(4).flatten(2, 3))
        return mixed
