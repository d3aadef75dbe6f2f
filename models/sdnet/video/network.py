"""STDNet and STDNet-A: salient objects in clips (Su et al., TPAMI 2025, arXiv 2507.01182)."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from limelight.models.base import Capabilities
from limelight.models.difference.layer import DifferenceConv
from limelight.models.inputs import Input
from limelight.models.layers import resize_like
from limelight.models.sdnet.network import PUBLISHED_WIDTH, Encoder
from limelight.models.sdnet.reparameterize import MergingNetwork
from limelight.models.sdnet.stem import Stem
from limelight.models.sdnet.video.blocks import PLANES, WIDTH, Level
from limelight.models.sdnet.video.reparameterize import merged_state
from limelight.models.sdnet.video.temporal import stack_frames

CLIP_FRAMES = 8
State = dict[tuple[int, int], tuple[Tensor, Tensor]]
"""Of a stream: (level, temporal layer) -> what the two frames before gave it."""


class STDNet(MergingNetwork):
    """SDNet's encoder for each frame, and a decoder that looks at neighbouring frames at every level.

    `forward(clip_BT3HW) -> [logits_B1HW]`, a row per frame. Clips of any number of frames. In the published form a
    frame sees `4 levels * 2` frames before and after it.

    Args:
        mixers: STDNet-A, whose encoder is SDNet-A's; sides are multiples of 16 then.
        causal: each layer looks at the two frames before instead of one before and one after (ours): no frame waits
            for the next, and `step` takes frames one by one.
        merged: the inference form; the result of `reparameterize`.
        width: channels of the encoder's stem.
        frames: of the clips that it is trained on and exported for.
        stem: 'full' is the published one; 'space-to-depth' works at half resolution from the first layer on (ours).
        fine_planes: channels of the finest level's temporal layers; 48 as published. Fewer come by a projection (ours).
    """

    capabilities = Capabilities(merge=True, min_side=16)
    difference_layers = ("levels.*.spatial",)

    def __init__(
        self,
        *,
        mixers: bool = False,
        causal: bool = False,
        merged: bool = False,
        width: int = PUBLISHED_WIDTH,
        frames: int = CLIP_FRAMES,
        stem: Stem = "full",
        fine_planes: int = PLANES,
    ) -> None:
        super().__init__()
        self.causal = causal
        self.capabilities = replace(type(self).capabilities, divisor=16 if mixers else 1, stream=causal)
        self.inputs = (Input(name="clip", source="clip", frames=frames),)
        self.encoder = Encoder(width=width, batch_norm=True, merged=merged, mixers=mixers, stem=stem)
        deepest = len(self.encoder.channels) - 1
        self.levels = nn.ModuleList(
            Level(channels, deepest=place == deepest, merged=merged, planes=PLANES if place else fine_planes)
            for place, channels in enumerate(self.encoder.channels)
        )
        self.head = nn.Conv2d(WIDTH, 1, 1)

    def forward(self, clip_BT3HW: Tensor) -> list[Tensor]:
        """One map of logits_B1HW, in a list; frame after frame, clip after clip."""
        rows_B3HW, frames = clip_BT3HW.flatten(0, 1), clip_BT3HW.shape[1]

        def neighbours(features_BCHW: Tensor, level: int, place: int) -> Tensor:
            return stack_frames(features_BCHW, frames, causal=self.causal)

        return [resize_like(self._decode(self._encode(rows_B3HW), neighbours), rows_B3HW)]

    def step(self, image_B3HW: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """The next frame of B streams, in memory that does not grow: equal to `forward` of all frames so far.

        Only where `causal`.

        Args:
            state: what the call for the frame before returned; None at the first frame.

        Returns:
            logits_B1HW, and the state for the next call.
        """
        if not self.causal:
            raise NotImplementedError("this STDNet looks at later frames too; only the causal form takes single frames")
        before, after = state or {}, State()

        def neighbours(features_BCHW: Tensor, level: int, place: int) -> Tensor:
            earlier, last = before.get((level, place), (features_BCHW, features_BCHW))
            after[level, place] = last, features_BCHW
            return torch.cat([earlier, last, features_BCHW], 1)

        return resize_like(self._decode(self._encode(image_B3HW), neighbours), image_B3HW), after

    def _encode(self, rows_B3HW: Tensor) -> list[Tensor]:
        """What each level needs of each frame, finest first."""
        levels = cast("Sequence[Level]", self.levels)
        return [level.encode(x_BCHW) for level, x_BCHW in zip(levels, self.encoder(rows_B3HW), strict=True)]

    def _decode(self, encoded: list[Tensor], neighbours: Callable[[Tensor, int, int], Tensor]) -> Tensor:
        """Logits at half the size."""
        fused: Tensor | None = None
        for place, level in reversed(list(enumerate(self.levels))):
            fused = level(encoded[place], fused, partial(_of_level, neighbours, place))
        logits_B1hw: Tensor = self.head(fused)
        return logits_B1hw

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """'encoder'; of the decoder 'mixing' (branch weights of difference layers), 'norm' and 'conv'."""
        decoder = (*self.levels.modules(), self.head)
        mixing = [module.mixing for module in decoder if isinstance(module, DifferenceConv)]
        norm = [value for module in decoder if isinstance(module, nn.BatchNorm2d) for value in module.parameters()]
        encoder = list(self.encoder.parameters())
        taken = {id(parameter) for parameter in (*mixing, *norm, *encoder)}
        conv = [parameter for parameter in self.parameters() if id(parameter) not in taken]
        return {"encoder": encoder, "conv": conv, "norm": norm, "mixing": mixing}

    def merged_state(self) -> dict[str, Tensor]:
        """The merged form's state dict, float64, computed from a copy."""
        return merged_state(self)


def _of_level(
    neighbours: Callable[[Tensor, int, int], Tensor], level: int, features_BCHW: Tensor, place: int
) -> Tensor:
    return neighbours(features_BCHW, level, place)
