"""Res2Net as InSPyReNet's backbone."""

from typing import Any

from torch import Tensor, nn

from limelight.models.dilated_res2net import dilated_res2net, res2net_features
from limelight.models.pretrained import Origin

TIMM = {"res2net50": "res2net50d", "res2net101": "res2net101d"}


class Res2Net(nn.Module):
    """`forward(image_BCHW) -> [x_BCHW]`: see `limelight.models.dilated_res2net.res2net_features`."""

    channels = (64, 256, 512, 1024, 2048)

    def __init__(self, name: str, pretrained: bool | str = False, in_channels: int = 3) -> None:
        super().__init__()
        self.network: Any
        self.origin: Origin | None
        self.network, self.origin = dilated_res2net(TIMM[name], pretrained, in_chans=in_channels)

    def forward(self, image_BCHW: Tensor) -> list[Tensor]:
        return res2net_features(self.network, image_BCHW)
