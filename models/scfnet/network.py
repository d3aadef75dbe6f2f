"""SCFNet: a backbone, four 3x3 mappings, three fusions, four one-channel heads."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from torch import Tensor, nn

from limelight.models.base import Capabilities, Network
from limelight.models.card import companions_of
from limelight.models.companion import checked_modalities, inputs_of, with_companion
from limelight.models.layers import ConvBNReLU, resize_like
from limelight.models.scfnet.backbone import MOBILENET, STRIDES, make_backbone
from limelight.models.scfnet.fuse import SCFM, Detail
from limelight.models.scfnet.surround import Surround


class SCFNet(Network):
    """KD-SCFNet's salient object network (Zhang et al., arXiv 2208.02178), teacher or student by its backbone.

    `forward(image_B3HW) -> [logits_B1HW] * 4` (5 with `detail`), the finest (the map for use) first. Any height and
    width of 32 or more; of multiples of 32 where the backbone has TensorFlow's padding, as EfficientNet-Lite has.

    Args:
        backbone: 'mobilenetv3-large-x0.5', 'resnet50' and 'swin-b' are the published ones; or any timm network with
            features at 1/4 to 1/32, of which those of `limelight.models.pretrained` have weights in a package.
        pretrained: ImageNet weights for the backbone: true, 'if-available', or the folder that holds them.
        channels: width of everything after the backbone; None = 16 for MobileNet, 64 otherwise, as published.
        modalities: what it takes, of 'rgb', 'rgbd' and 'rgbt'; each kind of second picture is one more input channel of
            the backbone (ours), whose pretrained kernels timm adapts. None = images alone, as published.
        detail: width of a further level at 1/2 (ours), finer than the published four; 0 = none.
        deepest: stride of the deepest features, 32 as published; 16 leaves out the backbone's largest stages (ours).
        surround: blocks that let the deepest features see further (ours), see `Surround`; 0 = none.
    """

    capabilities = Capabilities(min_side=32)  # of which the deepest features keep one pixel
    difference_layers: tuple[str, ...] = ("mappings", "context", "fusions")  # not those that make the maps
    neutral = ("surround",)
    score_layers = ("heads", "detail.head")

    def __init__(
        self,
        backbone: str = MOBILENET,
        pretrained: bool | str = False,
        channels: int | None = None,
        modalities: Sequence[str] | None = None,
        detail: int = 0,
        deepest: Literal[16, 32] = 32,
        surround: int = 0,
    ) -> None:
        super().__init__()
        self.backbone_name = backbone
        takes = checked_modalities(modalities)
        levels = [stride for stride in STRIDES if stride <= deepest]
        strides = [2, *levels] if detail else levels
        self.backbone = make_backbone(backbone, pretrained, 3 + len(companions_of(takes)), strides)
        if origin := self.backbone.origin:
            self.base, self.mean, self.std = origin.source, origin.mean, origin.std
        self.inputs = inputs_of(takes)
        attends = any("Attention" in type(module).__name__ for module in self.backbone.modules())
        self.capabilities = replace(
            type(self).capabilities, modalities=takes, fixed_export=attends, divisor=self.backbone.divisor
        )
        channels = channels or (16 if backbone == MOBILENET else 64)
        self.surround = Surround(self.backbone.channels[-1], surround) if surround else nn.Identity()
        self.mappings = nn.ModuleList(ConvBNReLU(inputs, channels) for inputs in self.backbone.channels[-len(levels) :])
        self.context = ConvBNReLU(channels, channels, dilation=5)
        self.fusions = nn.ModuleList(SCFM(channels) for _ in levels[1:])
        self.heads = nn.ModuleList(nn.Conv2d(channels, 1, 3, padding=1) for _ in levels)
        self.detail = Detail(self.backbone.channels[0], channels, detail) if detail else None
        if detail:
            self.difference_layers = (*self.difference_layers, "detail.*.conv")

    def forward(
        self, image_B3HW: Tensor, companion_B1HW: Tensor | None = None, modality_B: Tensor | None = None
    ) -> list[Tensor]:
        seen_BCHW = with_companion(image_B3HW, companion_B1HW, modality_B, self.capabilities.modalities)
        seen = self.backbone(seen_BCHW)
        seen[-1] = self.surround(seen[-1])
        features = [mapping(x) for mapping, x in zip(self.mappings, seen[-len(self.mappings) :], strict=True)]
        deepest = self.context(features.pop())
        levels = [deepest]
        for fusion in self.fusions:
            levels.insert(0, fusion(features.pop(), levels[0], deepest))
        logits = [head(level) for head, level in zip(self.heads, levels, strict=True)]
        if self.detail is not None:
            logits.insert(0, self.detail(seen[0], levels[0]))
        return [resize_like(level, image_B3HW) for level in logits]

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """'backbone', 'backbone_norm' (batch norms of the MobileNet, which its recipe exempts from decay), 'head'."""
        exempt = {
            parameter
            for module in self.backbone.modules()
            if self.backbone_name == MOBILENET and isinstance(module, nn.BatchNorm2d)
            for parameter in module.parameters()
        }
        backbone = [parameter for parameter in self.backbone.parameters() if parameter.requires_grad]
        return {
            "backbone": [parameter for parameter in backbone if parameter not in exempt],
            "backbone_norm": [parameter for parameter in backbone if parameter in exempt],
            "head": [value for name, value in self.named_parameters() if not name.startswith("backbone.")],
        }
