"""The dilated Res2Net that image and companion share."""

import sys
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from limelight.models.dilated_res2net import dilated_res2net, res2net_features
from limelight.models.pretrained import OPTIONAL, Origin

NAME = "res2net101d"
PUBLISHED = {"layers": (3, 4, 23, 3), "channels": (64, 128, 256, 512), "stem_width": 32}


class Res2Net(nn.Module):
    """image_B3HW -> features at 1/8, 1/16 and 1/32, with `channels` channels.

    timm's res2net101d, whose names and weights are those of Res2Net-101 v1b 26w x 4s (arXiv 1904.01169), dilated as in
    `limelight.models.dilated_res2net`.

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
        self.network, self.origin = dilated_res2net(NAME, wanted, **sizes)
        self.channels = tuple(info["num_chs"] for info in self.network.feature_info[2:])

    def forward(self, image_B3HW: Tensor) -> list[Tensor]:
        return res2net_features(self.network, image_B3HW)[2:]
