"""Backbones: image_BCHW -> four feature maps at 1/4, 1/8, 1/16 and 1/32."""

import sys
from typing import Any

import timm
from torch import Tensor, nn
from torch.nn import functional as F

from limelight.foundation.errors import UserError
from limelight.models.scfnet.mobilenetv3 import MobileNetV3LargeHalf

STRIDES = (4, 8, 16, 32)
MOBILENET = "mobilenetv3-large-x0.5"
SWIN = "swin-b"


class TimmFeatures(nn.Module):
    """Any timm network that offers features at the four strides."""

    def __init__(self, name: str, pretrained: bool, in_channels: int = 3) -> None:
        super().__init__()
        network: Any = _create(name, pretrained, features_only=True, in_chans=in_channels)
        reductions = network.feature_info.reduction()
        if not set(STRIDES) <= set(reductions):
            raise UserError(
                f"backbone {name!r} has features at strides {reductions}, SCFNet needs {list(STRIDES)}; "
                "choose a convolutional network such as 'resnet18'"
            )
        self.picks = [reductions.index(stride) for stride in STRIDES]
        self.channels = tuple(network.feature_info.channels()[pick] for pick in self.picks)
        self.network = network

    def forward(self, image_BCHW: Tensor) -> list[Tensor]:
        features = self.network(image_BCHW)
        return [features[pick] for pick in self.picks]


class SwinTaps(nn.Module):
    """Swin-B with KD-SCFNet's taps: the patch embedding, the *inputs* of stages 2 and 3, and stage 4's output.

    Equal to the published network at 384x384. Other sizes run with padded windows, which the published one cannot do.
    """

    channels = (128, 256, 512, 1024)
    patch = 4

    def __init__(self, pretrained: bool, in_channels: int = 3) -> None:
        super().__init__()
        network: Any = _create(
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
    name: str, pretrained: bool, in_channels: int = 3
) -> "MobileNetV3LargeHalf | SwinTaps | TimmFeatures":
    """A backbone by name; its `channels` are those of its four maps.

    Args:
        name: 'mobilenetv3-large-x0.5', 'swin-b', or a timm name.
        pretrained: fetch ImageNet weights; if they are unavailable, warn on stderr and continue without.
        in_channels: of its input; the kernels of the first three are repeated for further ones.

    Raises:
        UserError: timm does not know the name, or its network has no features at the four strides.
    """
    if name == MOBILENET:
        if pretrained:
            _warn(name, "timm has none; import PaddleClas' checkpoint and start from it ('init')")
        return MobileNetV3LargeHalf(in_channels)
    return SwinTaps(pretrained, in_channels) if name == SWIN else TimmFeatures(name, pretrained, in_channels)


def _create(name: str, pretrained: bool, **options: Any) -> nn.Module:
    if not timm.is_model(name.partition(".")[0]):
        raise UserError(f"unknown backbone {name!r}; choose {MOBILENET!r}, {SWIN!r} or a name of timm.list_models()")
    if pretrained:
        try:
            return timm.create_model(name, pretrained=True, **options)
        except Exception as error:  # the hub's clients share no base class for 'not reachable' and 'no such file'
            _warn(name, str(error).partition("\n")[0])
    return timm.create_model(name, pretrained=False, **options)


def _warn(name: str, reason: str) -> None:
    print(f"warning: no ImageNet weights for {name!r}, starting from random weights: {reason}", file=sys.stderr)
