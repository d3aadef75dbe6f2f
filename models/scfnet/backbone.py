"""Backbones: image_BCHW -> feature maps at 1/4, 1/8, 1/16 and 1/32, and some also at 1/2."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from limelight.foundation.errors import UserError
from limelight.models.features import TimmFeatures, check_backbone
from limelight.models.pretrained import timm_network
from limelight.models.scfnet.mobilenetv3 import MobileNetV3LargeHalf

STRIDES = (4, 8, 16, 32)
MOBILENET = "mobilenetv3-large-x0.5"
SWIN = "swin-b"


class SwinTaps(nn.Module):
    """Swin-B with KD-SCFNet's taps: the patch embedding, the *inputs* of stages 2 and 3, and stage 4's output.

    Equal to the published network at 384x384. Other sizes run with padded windows, which the published one cannot do.
    """

    channels = (128, 256, 512, 1024)
    patch = 4
    divisor = 1

    def __init__(self, pretrained: bool | str, in_channels: int = 3) -> None:
        super().__init__()
        network: Any
        network, self.origin = timm_network(
            "swin_base_patch4_window12_384",
            pretrained,
            num_classes=0,
            drop_path_rate=0.5,
            dynamic_img_size=True,
            in_chans=in_channels,
        )
        self.patch_embed: nn.Module = network.patch_embed
        self.layers: Any = network.layers
        self.norm: nn.Module = network.norm
        # Published, but used by no output: without a gradient, so that data-parallel training need not wait for one.
        self.norm.requires_grad_(False)

    def forward(self, image_BCHW: Tensor) -> list[Tensor]:
        height, width = image_BCHW.shape[-2:]
        x_BHWC = self.patch_embed(F.pad(image_BCHW, (0, -width % self.patch, 0, -height % self.patch)))
        taps = [x_BHWC]
        for stage in self.layers:
            x_BHWC = stage.downsample(x_BHWC)
            taps.append(x_BHWC)
            x_BHWC = stage.blocks(x_BHWC)
        # The first stage does not downsample: taps[1] is taps[0].
        return [tap.permute(0, 3, 1, 2) for tap in (taps[0], taps[2], taps[3], x_BHWC)]


def make_backbone(
    name: str, pretrained: bool | str, in_channels: int = 3, strides: Sequence[int] = STRIDES
) -> "MobileNetV3LargeHalf | SwinTaps | TimmFeatures":
    """A backbone by name; its `channels` are those of its maps, finest first.

    Args:
        name: 'mobilenetv3-large-x0.5', 'swin-b', or a timm name.
        pretrained: start from ImageNet weights, see `timm_network`; the backbone keeps their `origin`.
        in_channels: of its input; the kernels of the first three are repeated for further ones.
        strides: of its maps; other than 1/4 to 1/32 of timm's networks alone.

    Raises:
        UserError: timm does not know the name, its network has no features at the strides, or there are no weights.
    """
    if tuple(strides) != STRIDES and name in (MOBILENET, SWIN):
        raise UserError(
            f"backbone {name!r} has features at strides {list(STRIDES)} only; leave out `detail` and `deepest`, or "
            "choose another"
        )
    if name == MOBILENET:
        if pretrained:
            raise UserError(
                f"timm has no ImageNet weights for {name!r}; leave out `pretrained`, import PaddleClas' file of them "
                "(limelight import --backbone-only) and name its folder as the run's `init`"
            )
        return MobileNetV3LargeHalf(in_channels)
    if name == SWIN:
        return SwinTaps(pretrained, in_channels)
    check_backbone(name, MOBILENET, SWIN)
    return TimmFeatures(name, pretrained, in_channels, strides)
