"""The dilated Res2Net that image and companion share."""

import sys
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from limelight.models.pretrained import OPTIONAL, Origin, timm_network

NAME = "res2net101d"
PUBLISHED = {"layers": (3, 4, 23, 3), "channels": (64, 128, 256, 512), "stem_width": 32}
LAYER3_DILATION, LAYER4_DILATIONS = 2, (4, 8, 16)


class Res2Net(nn.Module):
    """image_B3HW -> features at 1/8, 1/16 and 1/32, with `channels` channels.

    timm's res2net101d, whose names and weights are those of Res2Net-101 v1b 26w x 4s (arXiv 1904.01169), with diffSOD's
    dilations: 2 in all 3x3 convolutions of the third stage; 4, 8 and 16 in the three blocks of the fourth. The strides
    stay as they are.

    Args:
        layers: blocks of each stage.
        channels: of each stage, before the fourfold expansion.
        stem_width: of the stem's first convolutions.
        pretrained: ImageNet weights, of the published size only; where they cannot be fetched, a warning on stderr and
            random ones. `origin` tells which it came to.
    """

    def __init__(
        self, *, layers: Sequence[int], channels: Sequence[int], stem_width: int, pretrained: bool = False
    ) -> None:
        super().__init__()
        sizes = {"layers": tuple(layers), "channels": tuple(channels), "stem_width": stem_width}
        self.network: Any  # timm's, whose parts have no types
        self.origin: Origin | None
        if pretrained and sizes != PUBLISHED:
            print(f"warning: {NAME!r} starts from random weights: ImageNet's are of another size", file=sys.stderr)
        wanted = OPTIONAL if pretrained and sizes == PUBLISHED else False
        self.network, self.origin = timm_network(NAME, wanted, num_classes=0, **sizes)
        self.channels = tuple(info["num_chs"] for info in self.network.feature_info[2:])
        for block in self.network.layer3:
            _dilate(block, LAYER3_DILATION)
        for block, dilation in zip(self.network.layer4, LAYER4_DILATIONS, strict=False):
            _dilate(block, dilation)

    def forward(self, image_B3HW: Tensor) -> list[Tensor]:
        network = self.network
        stem = network.maxpool(network.act1(network.bn1(network.conv1(image_B3HW))))
        fine = network.layer2(network.layer1(stem))
        middle = network.layer3(fine)
        return [fine, middle, network.layer4(middle)]


def _dilate(block: Any, dilation: int) -> None:
    for conv in block.convs:
        conv.dilation = conv.padding = (dilation, dilation)
