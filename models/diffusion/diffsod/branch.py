"""diffSOD's condition branch: turns an image and its companion into one map of features at an eighth of their size."""

from collections.abc import Sequence

from torch import Tensor, nn

from limelight.models.diffusion.diffsod.backbone import Res2Net
from limelight.models.diffusion.diffsod.blocks import Decoder, Head
from limelight.models.diffusion.diffsod.fusion import Fusion


class Branch(nn.Module):
    """`forward(image_B3HW, companion_B3HW) -> features_BChw`, both a multiple of 32 high and wide.

    Both inputs go through the same backbone, then through heads and a decoder of their own, and are fused.

    Args:
        layers, channels, stem_width, pretrained: see `Res2Net`.
        widths: of the decoders' levels, finest first; the last is C.
        heads, layer_scale: see `Fusion`.
    """

    def __init__(
        self,
        *,
        layers: Sequence[int],
        channels: Sequence[int],
        stem_width: int,
        widths: Sequence[int],
        heads: int,
        layer_scale: float,
        pretrained: bool = False,
    ) -> None:
        super().__init__()
        self.width = widths[-1]
        self.backbone = Res2Net(layers=layers, channels=channels, stem_width=stem_width, pretrained=pretrained)
        self.image_heads = nn.ModuleList(map(Head, self.backbone.channels, widths))
        self.companion_heads = nn.ModuleList(map(Head, self.backbone.channels, widths))
        self.image_decoder, self.companion_decoder = Decoder(widths), Decoder(widths)
        self.fusion = Fusion(self.width, heads, layer_scale)

    def forward(self, image_B3HW: Tensor, companion_B3HW: Tensor) -> Tensor:
        image = self.backbone(image_B3HW)
        companion = image if companion_B3HW is image_B3HW else self.backbone(companion_B3HW)
        return self.fusion(self.image_features(image), self.companion_features(companion))

    def image_features(self, levels: Sequence[Tensor]) -> Tensor:
        """The features_BChw of what the backbone finds in an image."""
        return self.image_decoder(_apply(self.image_heads, levels))

    def companion_features(self, levels: Sequence[Tensor]) -> Tensor:
        """The features_BChw of what the backbone finds in a companion."""
        return self.companion_decoder(_apply(self.companion_heads, levels))


def _apply(heads: nn.ModuleList, levels: Sequence[Tensor]) -> list[Tensor]:
    return [head(level) for head, level in zip(heads, levels, strict=True)]
