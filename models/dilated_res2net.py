"""Res2Net (Gao et al., TPAMI 2021), v1b 26w 4s, of timm, with the dilations of InSPyReNet and diffSOD.

Strides stay those of a classifier; the 3x3 convolutions of the third layer are dilated by 2, those of the fourth by 4,
8 and 16, block by block.
"""

from typing import Any

from torch import Tensor

from limelight.models.pretrained import Origin, timm_network

_LAYER3, _LAYER4 = 2, (4, 8, 16)


def dilated_res2net(name: str, pretrained: bool | str, **options: Any) -> tuple[Any, Origin | None]:
    """Build a Res2Net of timm, without its classifier; returns as `limelight.models.pretrained.timm_network`.

    Args:
        options: further arguments of timm's.
    """
    network: Any  # timm's, whose parts have no types
    network, origin = timm_network(name, pretrained, num_classes=0, **options)
    fourth = zip(network.layer4, _LAYER4, strict=False)  # small ones have fewer blocks
    for block, dilation in (*((block, _LAYER3) for block in network.layer3), *fourth):
        for convolution in block.convs:
            convolution.dilation = convolution.padding = (dilation, dilation)
    return network, origin


def res2net_features(network: Any, image_BCHW: Tensor) -> list[Tensor]:
    """Return the stem after its pooling, and the layers' outputs: features at 1/4, 1/4, 1/8, 1/16 and 1/32."""
    features = [network.maxpool(network.act1(network.bn1(network.conv1(image_BCHW))))]
    for layer in (network.layer1, network.layer2, network.layer3, network.layer4):
        features.append(layer(features[-1]))
    return features
