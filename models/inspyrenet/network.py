"""InSPyReNet: a saliency pyramid from coarse to fine (Kim et al., ACCV 2022)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limelight.foundation.errors import UserError
from limelight.models.base import Capabilities, Network
from limelight.models.card import companions_of
from limelight.models.companion import checked_modalities, inputs_of, with_companion
from limelight.models.features import TimmFeatures, check_backbone
from limelight.models.inputs import IMAGE, Input
from limelight.models.inspyrenet.context import PAADecoder, PAAEncoder
from limelight.models.inspyrenet.levels import COARSEST, Levels
from limelight.models.inspyrenet.patches import merge_patches
from limelight.models.inspyrenet.res2net import TIMM, Res2Net
from limelight.models.inspyrenet.sica import SICA
from limelight.models.inspyrenet.swin import SHAPES, Swin
from limelight.models.pyramid import ImagePyramid, boundary_band

STRIDES = (2, 4, 8, 16, 32)
"""Of a backbone of timm; the published ones have two maps at 1/4 and none at 1/2."""
BANDS = (5, 9, 17)
"""Widths of the bands about boundaries at 1/4, 1/2 and full size, in which a second pass adds detail."""


class InSPyReNet(Network):
    """Salient objects by an image pyramid of logits (arXiv 2209.09475).

    `forward(image_B3HW) -> [logits_B1HW] * 4`, finest first; the coarser are enlarged to the image's size without
    interpolation, those of an overview alone (`blend_above`) with. Height and width are multiples of 32.

    Args:
        backbone: 'swin-t', 'swin-s', 'swin-b', 'swin-l', 'res2net50' or 'res2net101', as published; or any timm network
            with features at 1/2 to 1/32 (ours).
        pretrained: ImageNet weights for the backbone, see `limelight.models.pretrained.timm_network`.
        channels: width of the head, 64 as published.
        base_size: side of the square pictures that it is trained on, 384 or 1024 as published; contexts are summed at
            this size whatever the picture's.
        attention: 'published' has the two faults of the released code, which its weights need (see `AxialAttention` and
            `SICA`); 'corrected' is what the paper describes.
        version: 'final' is the paper's; 'seed' the code a year before it, with zeros about the pyramid's maps and
            contexts at the features' own size, for weights of then: the objective `pyramid` is the paper's.
        modalities: what it takes, of 'rgb', 'rgbd' and 'rgbt' (ours). None = images alone.
        blend_above: a picture whose sides are both longer, pixels, is computed twice, at its size and at `base_size`,
            and the two are blended; any other at `base_size` alone. 512 as published for weights of 384 pixels. Needs
            a second input, 'overview'; in evaluation mode only. None = one pass.
        patch_stride: a larger picture is cut into patches of `base_size`, this many pixels apart, and they are merged:
            the seed's way, 96 or 192 pixels; see `merge_patches`. In evaluation mode and in PyTorch only: exports are
            of one size. Pictures must keep their size, and those whose shorter side is below `base_size` are one pass.
            None = one pass.

    Raises:
        UserError: a network that takes companions or merges patches is to blend, or `patch_stride` is unusable.
    """

    capabilities = Capabilities(
        objectives=("supervised", "distilled", "pyramid"), divisor=32, min_side=32, fixed_export=True
    )

    def __init__(
        self,
        backbone: str = "swin-b",
        pretrained: bool | str = False,
        channels: int = 64,
        base_size: int = 384,
        attention: Literal["corrected", "published"] = "corrected",
        version: Literal["final", "seed"] = "final",
        modalities: Sequence[str] | None = None,
        blend_above: int | None = None,
        patch_stride: int | None = None,
    ) -> None:
        super().__init__()
        takes = checked_modalities(modalities)
        self.blend_above, self.base_size, self.patch_stride = blend_above, base_size, patch_stride
        if patch_stride is not None and (blend_above or patch_stride % COARSEST or not 0 < patch_stride <= base_size):
            raise UserError(
                f"patch_stride {patch_stride}: patches are a multiple of {COARSEST} pixels apart, at most base_size "
                f"({base_size}), and are not blended; correct it, or leave out patch_stride or blend_above"
            )
        self.backbone = _backbone(backbone, pretrained, 3 + len(companions_of(takes)))
        if origin := self.backbone.origin:
            self.base, self.mean, self.std = origin.source, origin.mean, origin.std
        self.inputs = inputs_of(takes)
        if blend_above is not None:
            if companions_of(takes):
                raise UserError("InSPyReNet blends two passes of pictures alone; leave out blend_above or modalities")
            self.inputs = (IMAGE, Input(name="overview", source="image", side=base_size))
        self.capabilities = replace(type(self).capabilities, modalities=takes)
        published = attention == "published"
        for number, inputs in enumerate(self.backbone.channels, 1):
            self.add_module(f"context{number}", PAAEncoder(inputs, channels, published=published))
        self.decoder = PAADecoder(channels, published=published)
        for stage, (inputs, laplacian) in enumerate(((channels, True), (2 * channels, True), (2 * channels, False))):
            size = None if version == "seed" else (base_size >> stage, base_size >> stage)
            sica = SICA(inputs, channels, laplacian=laplacian, size=size, published=published)
            self.add_module(f"attention{stage}", sica)
        self.pyramid = ImagePyramid("constant" if version == "seed" else "reflect")

    def forward(
        self,
        image_B3HW: Tensor,
        companion_B1HW: Tensor | None = None,
        modality_B: Tensor | None = None,
        overview_B3HW: Tensor | None = None,
    ) -> list[Tensor]:
        size = image_B3HW.shape[-2:]
        if overview_B3HW is None or self.blend_above is None or self.training:
            seen_BCHW = with_companion(image_B3HW, companion_B1HW, modality_B, self.capabilities.modalities)
            saliency = self._pass(seen_BCHW).saliency
        else:
            low = self.levels(overview_B3HW)
            if min(size) <= self.blend_above:  # maps of another shape, whose pixels are no whole number of the image's
                return [_resized(logits, size) for logits in reversed(low.saliency)]
            saliency = self.blend(low, self.levels(image_B3HW)).saliency
        return [F.interpolate(logits, size, mode="nearest") for logits in reversed(saliency)]

    def _pass(self, seen_BCHW: Tensor) -> Levels:
        """Compute all levels of a picture, of its patches if it has several."""
        side, stride = self.base_size, self.patch_stride
        height, width = seen_BCHW.shape[-2:]
        if stride is None or self.training or min(height, width) < side or (height, width) == (side, side):
            return self.levels(seen_BCHW)
        return merge_patches(seen_BCHW, self.levels, self.pyramid, side, stride)

    def levels(self, seen_BCHW: Tensor) -> Levels:
        """Compute all levels of one pass. No gradient flows through a coarser saliency map, but through features."""
        features = self.backbone(seen_BCHW)
        x1, x2, x3, x4, x5 = (self.get_submodule(f"context{place}")(x) for place, x in enumerate(features, 1))
        f3, d3 = self.decoder([x3, x4, x5])
        height, width = seen_BCHW.shape[-2:]
        f2, p2, d2 = self._refine(2, [x2, f3], d3, None, (height // 4, width // 4))
        f1, p1, d1 = self._refine(1, [x1, f2], d2, p2, (height // 2, width // 2))
        _, p0, d0 = self._refine(0, [f1], d1, p1, (height, width))
        return Levels((d3, d2, d1, d0), (p2, p1, p0))

    def _refine(
        self, stage: int, features: list[Tensor], coarse: Tensor, laplacian: Tensor | None, size: tuple[int, int]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One level finer: its features, its Laplacian and its saliency map."""
        resized = [_resized(feature, size) for feature in features]
        detail = None if laplacian is None else laplacian.detach()
        sica = self.get_submodule(f"attention{stage}")
        refined, own = sica(torch.cat(resized, 1) if len(resized) > 1 else resized[0], coarse.detach(), detail)
        return refined, own, self.pyramid.reconstruct(coarse.detach(), own)

    def blend(self, low: Levels, high: Levels) -> Levels:
        """Blend a pass at the training's size, which knows what is salient, with one of more pixels, which knows edges.

        The finest map of `low` is the coarsest of the result; Laplacians of `high` count near boundaries alone.
        """
        coarse = _resized(low.saliency[-1], high.saliency[0].shape[-2:])
        saliency, laplacians = [coarse], []
        for width, detail in zip(BANDS, high.laplacian, strict=True):
            laplacians.append(_resized(boundary_band(saliency[-1], width), detail.shape[-2:]) * detail)
            saliency.append(self.pyramid.reconstruct(saliency[-1], laplacians[-1]))
        d3, d2, d1, d0 = saliency
        p2, p1, p0 = laplacians
        return Levels((d3, d2, d1, d0), (p2, p1, p0))

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """'backbone' and 'head'."""
        backbone = list(self.backbone.parameters())
        return {
            "backbone": backbone,
            "head": [value for name, value in self.named_parameters() if not name.startswith("backbone.")],
        }


def _backbone(name: str, pretrained: bool | str, in_channels: int) -> Swin | Res2Net | TimmFeatures:
    if name in SHAPES:
        return Swin(name, pretrained, in_channels)
    if name in TIMM:
        return Res2Net(name, pretrained, in_channels)
    check_backbone(name, *SHAPES, *TIMM)
    return TimmFeatures(name, pretrained, in_channels, STRIDES)


def _resized(map_BCHW: Tensor, size: Sequence[int]) -> Tensor:
    if map_BCHW.shape[-2:] == torch.Size(size):
        return map_BCHW
    return F.interpolate(map_BCHW, tuple(size), mode="bilinear", align_corners=False)
