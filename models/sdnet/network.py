"""SDNet and SDNet-A: salient object detectors under a million parameters (Su et al., TPAMI 2025, arXiv 2507.01182)."""

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor, nn

from limelight.foundation.errors import UserError
from limelight.models.base import Capabilities
from limelight.models.card import companions_of
from limelight.models.companion import checked_modalities, inputs_of, with_companion
from limelight.models.difference.layer import DifferenceConv
from limelight.models.inputs import Size
from limelight.models.layers import resize_like
from limelight.models.sdnet.blocks import NARROW, WIDE, ContextModule, DifferenceBlock, SpatialGate
from limelight.models.sdnet.mixer import Mixer
from limelight.models.sdnet.reparameterize import MergingNetwork
from limelight.models.sdnet.stem import STEMS, Stem, make_stem

PUBLISHED_WIDTH = 60
STAGE_WIDTHS = (1, 2, 4, 4)
"""Channels of each stage, in multiples of the stem's."""
STAGE_BLOCKS = (3, 4, 4, 4)
MIXER_PATCHES = (2, 2, 1)
"""SDNet-A: sides of the patches of the mixers that end stages 2 to 4, which have two difference blocks each then."""
DILATIONS = ((1, 3), (1, 3, 5), (3, 5, 7, 9), (5, 7, 9, 11))
DECODER_WIDTH = 24


class Encoder(nn.Module):
    """Stem at full resolution and four stages that each halve it; per frame, so that video networks can share it.

    With a stem at half resolution, the first stage keeps it.

    Raises:
        UserError: an unknown stem.
    """

    def __init__(
        self,
        *,
        width: int,
        batch_norm: bool,
        merged: bool,
        in_channels: int = 3,
        mixers: bool = False,
        stem: Stem = "full",
    ) -> None:
        super().__init__()
        if stem not in STEMS:
            raise UserError(f"unknown stem {stem!r}; choose one of: {', '.join(STEMS)}")
        self.stem = make_stem(stem, in_channels, width, merged=merged)
        self.rounds_up = stem == "strided"
        self.channels = [width * factor for factor in STAGE_WIDTHS]
        patches = (0, *MIXER_PATCHES) if mixers else (0, 0, 0, 0)
        halves = (stem == "full", True, True, True)
        stages = zip([width, *self.channels], self.channels, STAGE_BLOCKS, patches, halves, strict=False)
        self.stages = nn.ModuleList(_stage(*stage, batch_norm=batch_norm, merged=merged) for stage in stages)

    def forward(self, image_BCHW: Tensor) -> list[Tensor]:
        """Features at 1/2, 1/4, 1/8 and 1/16 of the image, with `channels` channels."""
        features, levels = self.stem(image_BCHW), []
        for stage in self.stages:
            features = stage(features)
            levels.append(features)
        return levels

    def sizes(self, size: Size) -> list[Size]:
        """Height and width of each level, for an image of `size`; odd ones are rounded down, by a strided stem up."""
        height, width = (side + self.rounds_up for side in size)
        return [(height >> level, width >> level) for level in range(1, len(self.channels) + 1)]


def _stage(
    channels: int, out_channels: int, depth: int, patch: int, halves: bool, *, batch_norm: bool, merged: bool
) -> nn.Sequential:
    """Difference blocks.

    Args:
        patch: of the mixer that stands for the last two of them; 0 = none.
        halves: the first of them halves height and width.
    """
    operators = [NARROW] * (depth - 2) if patch else [*[NARROW] * (depth - 1), WIDE]
    blocks: list[nn.Module] = [
        DifferenceBlock(
            out_channels if index else channels,
            out_channels,
            branches,
            down=halves and index == 0,
            batch_norm=batch_norm,
            merged=merged,
        )
        for index, branches in enumerate(operators)
    ]
    return nn.Sequential(*blocks, *([Mixer(out_channels, patch)] if patch else []))


class Fusion(nn.Module):
    """A 1 x 1 convolution of [fine, upsampled coarse].

    It commutes with bilinear upsampling, so it runs on the coarse map before that one grows: no concatenation, and
    the last level upsamples one channel instead of 24.
    """

    def __init__(self, width: int, out_channels: int) -> None:
        super().__init__()
        self.fine = nn.Conv2d(width, out_channels, 1)
        self.coarse = nn.Conv2d(width, out_channels, 1, bias=False)

    def forward(self, fine_BCHW: Tensor, coarse_BChw: Tensor) -> Tensor:
        return self.fine(fine_BCHW) + resize_like(self.coarse(coarse_BChw), fine_BCHW)


class SDNet(MergingNetwork):
    """Encoder of difference blocks, a context module and a gate per level, top-down fusion, one output.

    Images of any height and width from 16 pixels on.

    Args:
        batch_norm: batch norm in the encoder. The published SDNet is trained without.
        merged: the inference form, every difference layer one plain convolution; the result of `reparameterize`.
        width: channels of the stem, of which the stages have multiples; the published network has 60.
        mixers: SDNet-A, whose stages 2 to 4 end with a mixer; its sides are multiples of 16.
        modalities: what it takes, of 'rgb', 'rgbd' and 'rgbt'; each kind of second picture is one more input channel
            (ours). None = images alone, as published.
        stem: 'full' is the published one; 'space-to-depth' and 'strided' work at half resolution from the first layer
            on (ours).
    """

    capabilities = Capabilities(merge=True, min_side=16)  # it is halved four times
    difference_layers = ("contexts",)
    score_layers = ("fusions.0",)

    def __init__(
        self,
        *,
        batch_norm: bool = False,
        merged: bool = False,
        width: int = PUBLISHED_WIDTH,
        mixers: bool = False,
        modalities: Sequence[str] | None = None,
        stem: Stem = "full",
    ) -> None:
        super().__init__()
        takes = checked_modalities(modalities)
        self.capabilities = replace(type(self).capabilities, modalities=takes, divisor=16 if mixers else 1)
        self.inputs = inputs_of(takes)
        in_channels = 3 + len(companions_of(takes))
        self.encoder = Encoder(
            width=width, batch_norm=batch_norm, merged=merged, in_channels=in_channels, mixers=mixers, stem=stem
        )
        self.contexts = nn.ModuleList(
            ContextModule(channels, DECODER_WIDTH, dilations)
            for channels, dilations in zip(self.encoder.channels, DILATIONS, strict=True)
        )
        self.gates = nn.ModuleList(SpatialGate(DECODER_WIDTH) for _ in DILATIONS)
        self.fusions = nn.ModuleList(Fusion(DECODER_WIDTH, out) for out in (1, DECODER_WIDTH, DECODER_WIDTH))

    def forward(
        self, image_B3HW: Tensor, companion_B1HW: Tensor | None = None, modality_B: Tensor | None = None
    ) -> list[Tensor]:
        """One map of logits_B1HW, in a list."""
        seen_BCHW = with_companion(image_B3HW, companion_B1HW, modality_B, self.capabilities.modalities)
        levels = [
            gate(context(features))
            for features, context, gate in zip(self.encoder(seen_BCHW), self.contexts, self.gates, strict=True)
        ]
        fused = levels.pop()
        for fusion, fine in zip(reversed(self.fusions), reversed(levels), strict=True):
            fused = fusion(fine, fused)
        return [resize_like(fused, image_B3HW)]

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """'mixing': the branch weights of difference layers; 'norm': batch and group norm; 'conv': all else."""
        mixing = [module.mixing for module in self.modules() if isinstance(module, DifferenceConv)]
        norms = (nn.BatchNorm2d, nn.GroupNorm)
        norm = [value for module in self.modules() if isinstance(module, norms) for value in module.parameters()]
        taken = {id(parameter) for parameter in (*mixing, *norm)}
        conv = [parameter for parameter in self.parameters() if id(parameter) not in taken]
        return {"conv": conv, "norm": norm, "mixing": mixing}
