"""Res2Net (Gao et al., TPAMI 2021), v1b 26w 4s, of timm, with the dilations that InSPyReNet's weights have."""

from typing import Any

from torch import Tensor, nn

from limelight.models.pretrained import Origin, timm_network

TIMM = {"res2net50": "res2net50d", "res2net101": "res2net101d"}


class Res2Net(nn.Module):
    """`forward(image_BCHW) -> [x_BCHW]`: the stem after its pooling, and the layers' outputs, at 1/4, 1/4 to 1/32.

    Strides stay those of a classifier; the 3x3 convolutions of the third layer are dilated by 2, those of the fourth by
    4, 8 and 16, block by block.
    """

    channels = (64, 256, 512, 1024, 2048)

    def __init__(self, name: str, pretrained: bool | str = False, in_channels: int = 3) -> None:
        super().__init__()
        network: Any
        self.origin: Origin | None
        network, self.origin = timm_network(TIMM[name], pretrained, num_classes=0, in_chans=in_channels)
        for block, dilation in _dilations(network):
            for convolution in block.convs:
                convolution.dilation = convolution.padding = (dilation, dilation)
        self.network = network

    def forward(self, image_BCHW: Tensor) -> list[Tensor]:
        network = self.network
        x_BCHW = network.maxpool(network.act1(network.bn1(network.conv1(image_BCHW))))
        features = [x_BCHW]
        for layer in (network.layer1, network.layer2, network.layer3, network.layer4):
            x_BCHW = layer(x_BCHW)
            features.append(x_BCHW)
        return features


def _dilations(network: Any) -> list[tuple[Any, int]]:
    """The blocks of the third and fourth layer, and by how much each is dilated."""
    return [(block, 2) for block in network.layer3] + [
        (block, dilation) for block, dilation in zip(network.layer4, (4, 8, 16), strict=True)
    ]
