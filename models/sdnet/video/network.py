"""STDNet and STDNet-A: salient objects in clips (Su et al., TPAMI 2025, arXiv 2507.01182)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limelight.models.base import Capabilities
from limelight.models.difference.layer import DifferenceConv
from limelight.models.inputs import BEGUN, Input, Size
from limelight.models.layers import resize_like
from limelight.models.sdnet.network import PUBLISHED_WIDTH, Encoder
from limelight.models.sdnet.reparameterize import MergingNetwork
from limelight.models.sdnet.stem import Stem
from limelight.models.sdnet.video.blocks import PLANES, WIDTH, Frames, Level
from limelight.models.sdnet.video.frames import LAYERS, OfClips, OfStream, OfWindow, State, layer_name, spans_of
from limelight.models.sdnet.video.reparameterize import merged_state

CLIP_FRAMES = 8


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
        stem: 'full' is the published one; 'space-to-depth' and 'strided' work at half resolution from the first layer
            on (ours).
        fine_planes: channels of the finest level's temporal layers; 48 as published. Fewer come by a projection (ours).
    """

    capabilities = Capabilities(merge=True, min_side=16)
    difference_layers = ("levels.*.spatial",)
    score_layers = ("head",)

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
        self.capabilities = replace(
            type(self).capabilities, divisor=16 if mixers else 1, stream=causal, windows=not causal
        )
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
        of_clips = [OfClips(frames, self.causal)] * len(self.levels)
        return [resize_like(self._decode(self._encode(rows_B3HW), of_clips), rows_B3HW)]

    def step(self, image_B3HW: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """The next frame of B streams, in memory that does not grow: equal to `forward` of all frames so far.

        Only where `causal`.

        Args:
            state: what the call for the frame before returned; at the first frame None, or `first_state`.

        Returns:
            logits_B1HW, and the state for the next call.
        """
        if not self.causal:
            raise NotImplementedError("this STDNet looks at later frames too; only the causal form takes single frames")
        before, after = state or {}, State()
        if BEGUN in before:
            after[BEGUN] = torch.ones_like(before[BEGUN])
        of_stream = [OfStream(level, before, after) for level in range(len(self.levels))]
        return resize_like(self._decode(self._encode(image_B3HW), of_stream), image_B3HW), after

    def first_state(self, batch: int, size: Size) -> State:
        """Zeros for every tensor of a state, with 'begun'. Only where `causal`."""
        state = {BEGUN: torch.zeros(batch, 1, 1, 1)}
        levels = zip(cast("Sequence[Level]", self.levels), self.encoder.sizes(size), strict=True)
        for number, (level, level_size) in enumerate(levels):
            for place in range(LAYERS):
                state[layer_name(number, place)] = torch.zeros(batch, 2 * level.planes, *level_size)
        return state

    def encode_frame(self, image_B3HW: Tensor) -> list[Tensor]:
        """What windows share: encoder and projections see each frame alone. See `Network.encode_frame`."""
        return self._encode(image_B3HW)

    def decode_frame(self, window: Sequence[list[Tensor]], place: int, size: Size) -> Tensor:
        """Logits_B1HW of a window's frame, equal to `forward` of the window. Only where not `causal`.

        The temporal layers repeat a window's first and last frame, so that next to them the same frame has other
        features in each window, and with every level two frames more: these layers are computed anew. They are not
        computed for frames that the map does not depend on.
        """
        if self.causal:
            raise NotImplementedError("this STDNet has no windows; `step` takes frames one by one")
        spans = spans_of(place, len(window), len(self.levels))
        encoded = [
            torch.cat([frame[level] for frame in window[first : last + 1]])
            for level, ((first, last), *_) in enumerate(spans)
        ]
        logits_B1hw = self._decode(encoded, [OfWindow(len(window), each) for each in spans])
        return F.interpolate(logits_B1hw, size, mode="bilinear", align_corners=False)

    def _encode(self, rows_B3HW: Tensor) -> list[Tensor]:
        """What each level needs of each frame, finest first."""
        levels = cast("Sequence[Level]", self.levels)
        return [level.encode(x_BCHW) for level, x_BCHW in zip(levels, self.encoder(rows_B3HW), strict=True)]

    def _decode(self, encoded: list[Tensor], frames: Sequence[Frames]) -> Tensor:
        """Logits at half the size.

        Args:
            frames: of each level.
        """
        fused: Tensor | None = None
        for place, level in reversed(list(enumerate(self.levels))):
            fused = level(encoded[place], fused, frames[place])
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
