"""The denoiser's condition: the branch's features as tokens, for pictures of every modality."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from limelight.foundation.errors import UserError
from limelight.models.card import IMAGENET_MEAN, IMAGENET_STD, MODALITIES
from limelight.models.diffusion.configs import Config
from limelight.models.diffusion.diffsod.branch import Branch

LAYER_SCALE, PUBLISHED_LAYER_SCALE = 1e-2, 1e-6
"""At 1e-6 the companion has next to no gradient for the first thousands of steps."""


class Condition(nn.Module):
    """`forward(image_B3HW, companion_B1HW=None, modality_B=None) -> tokens_BNC`, N = H/8 * W/8 in raster order.

    A picture without a companion gets learned features in the companion's place; a learned offset added to every token
    encodes the picture's modality; and the companion's own features are added to the fused ones. These three are not in
    the published branch, which takes an RGB image twice instead and has no modalities.

    Args:
        config: the branch's sizes.
        legacy: the published branch alone, on images in [0, 1] that ImageNet's statistics do not normalise, and with
            batch norms that use the current batch's statistics in evaluation too. A picture's tokens then depend on the
            others in its batch.
        companion_dropout: share of the companions that training leaves out, drawn from torch's generator.
        pretrained: see `Res2Net`.
    """

    def __init__(
        self, config: Config, *, legacy: bool = False, companion_dropout: float = 0.0, pretrained: bool = False
    ) -> None:
        super().__init__()
        self.legacy, self.companion_dropout = legacy, companion_dropout
        scale = PUBLISHED_LAYER_SCALE if legacy else LAYER_SCALE
        self.branch = Branch(**config, layer_scale=scale, pretrained=pretrained)
        if not legacy:
            self.stand_in_C = nn.Parameter(torch.randn(self.branch.width))
            self.modality = nn.Embedding(len(MODALITIES), self.branch.width)
            nn.init.zeros_(self.modality.weight)
        mean, std = ((0.0,) * 3, (1.0,) * 3) if legacy else (IMAGENET_MEAN, IMAGENET_STD)
        self.mean_311: Tensor
        self.std_311: Tensor
        self.register_buffer("mean_311", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std_311", torch.tensor(std).view(3, 1, 1), persistent=False)

    def train(self, mode: bool = True) -> "Condition":
        super().train(mode)
        if self.legacy:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.train()
                    # Evaluation must leave the running statistics as they are; without this it would update them.
                    module.track_running_stats = mode
        return self

    def forward(
        self, image_B3HW: Tensor, companion_B1HW: Tensor | None = None, modality_B: Tensor | None = None
    ) -> Tensor:
        """The tokens of images in [-1, 1] and companions in [0, 1].

        Raises:
            UserError: companions without `modality_B`, or a single image of 32 x 32 for a legacy branch, too little for
                the statistics of its batch norms.
        """
        if self.legacy and image_B3HW[:, 0].numel() == 32 * 32:
            raise UserError(
                "published diffSOD weights need at least 64 pixels on one side, got 32x32; choose a larger size"
            )
        if companion_B1HW is None:
            modality_B = torch.zeros(image_B3HW.shape[:1], dtype=torch.long, device=image_B3HW.device)
        elif modality_B is None:
            raise UserError("a companion may be rgbd or rgbt here; say which with modality_B")
        elif self.training and self.companion_dropout:
            kept_B = torch.rand(len(modality_B), device=modality_B.device) >= self.companion_dropout
            modality_B = modality_B * kept_B
        image_B3HW = (image_B3HW + 1) / 2
        features_BChw = (self._published if self.legacy else self._fused)(image_B3HW, companion_B1HW, modality_B)
        tokens_BNC = features_BChw.flatten(2).transpose(1, 2)
        return tokens_BNC if self.legacy else tokens_BNC + self.modality(modality_B)[:, None]

    def _published(self, image_B3HW: Tensor, companion_B1HW: Tensor | None, modality_B: Tensor) -> Tensor:
        """Compute the published features, for which an image without a companion is its own."""
        if companion_B1HW is not None:
            seen_B3HW = torch.where(_rows(modality_B > 0), companion_B1HW.expand(-1, 3, -1, -1), image_B3HW)
        else:
            seen_B3HW = image_B3HW
        return self.branch(image_B3HW, seen_B3HW)

    def _fused(self, image_B3HW: Tensor, companion_B1HW: Tensor | None, modality_B: Tensor) -> Tensor:
        image_BChw, companion_NChw, rows_N = self._streams(image_B3HW, companion_B1HW, modality_B)
        stand_in_BChw = self.stand_in_C.to(image_BChw.dtype)[:, None, None].expand_as(image_BChw)
        if companion_NChw is None:
            companion_BChw = stand_in_BChw + self._idle() if self.training else stand_in_BChw
        else:
            if self.training:
                companion_NChw = torch.zeros_like(stand_in_BChw).index_copy(
                    0, rows_N, companion_NChw.to(stand_in_BChw.dtype)
                )
            companion_BChw = torch.where(_rows(modality_B > 0), companion_NChw, stand_in_BChw)
        # The published fusion drops the companion's own stream, which DFormer keeps; through the fusion alone,
        # companions had no measurable effect after a short training.
        return self.branch.fusion(image_BChw, companion_BChw) + companion_BChw

    def _streams(
        self, image_B3HW: Tensor, companion_B1HW: Tensor | None, modality_B: Tensor
    ) -> tuple[Tensor, Tensor | None, Tensor]:
        """The features of the images, of the companions if there are any, and the rows that these belong to.

        Evaluation takes all rows, so that the graph is the same for every batch and can be exported. In training the
        zeros of rows without a companion would spoil the batch norms' statistics.
        """
        branch, batch = self.branch, image_B3HW.shape[0]  # not len(), which an exported graph would take for a constant
        rows_N = (modality_B > 0).nonzero()[:, 0] if self.training else torch.arange(batch, device=modality_B.device)
        if companion_B1HW is None or rows_N.shape[0] == 0:
            return branch.image_features(branch.backbone(self._normalised(image_B3HW))), None, rows_N
        companion_N3HW = companion_B1HW[rows_N] if self.training else companion_B1HW
        # One batch for the shared backbone: its batch norms have one set of statistics for evaluation, which those of
        # training must match.
        both = torch.cat([image_B3HW, companion_N3HW.expand(-1, 3, -1, -1)])
        levels = branch.backbone(self._normalised(both))
        image_BChw = branch.image_features([level[:batch] for level in levels])
        return image_BChw, branch.companion_features([level[batch:] for level in levels]), rows_N

    def _normalised(self, picture_B3HW: Tensor) -> Tensor:
        return (picture_B3HW - self.mean_311) / self.std_311

    def _idle(self) -> Tensor:
        """Zero, with a gradient of zero for what only companions use.

        In data-parallel training every process waits for the gradient of every parameter, whatever its batch holds.
        """
        return 0 * _sum([*self.branch.companion_heads.parameters(), *self.branch.companion_decoder.parameters()])


def _rows(flags_B: Tensor) -> Tensor:
    return flags_B[:, None, None, None]


def _sum(parameters: Iterable[nn.Parameter]) -> Tensor:
    return torch.stack([parameter.sum() for parameter in parameters]).sum()
