"""STDNet and STDNet-A: salient objects in clips (Su et al., TPAMI 2025, arXiv 2507.01182)."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from torch import Tensor, nn

from limelight.models.base import Capabilities, Network
from limelight.models.inputs import Input
from limelight.models.layers import resize_like
from limelight.models.sdnet.difference import DifferenceConv, run_branchwise
from limelight.models.sdnet.network import PUBLISHED_WIDTH, Encoder
from limelight.models.sdnet.video.blocks import WIDTH, Level

CLIP_FRAMES = 8


class STDNet(Network):
    """SDNet's encoder for each frame, and a decoder that looks at neighbouring frames at every level.

    `forward(clip_BT3HW) -> [logits_B1HW]`, a row per frame. Clips of any number of frames. In the published form a
    frame sees `4 levels * 2` frames before and after it.

    Args:
        mixers: STDNet-A, whose encoder is SDNet-A's; sides are multiples of 16 then.
        causal: each layer looks at the two frames before instead of one before and one after (ours): no frame waits
            for the next.
        merged: the inference form; the result of `reparameterize`.
        width: channels of the encoder's stem.
        frames: of the clips that it is trained on and exported for.
    """

    capabilities = Capabilities(merge=True, min_side=16)

    def __init__(
        self,
        *,
        mixers: bool = False,
        causal: bool = False,
        merged: bool = False,
        width: int = PUBLISHED_WIDTH,
        frames: int = CLIP_FRAMES,
    ) -> None:
        super().__init__()
        self.capabilities = replace(type(self).capabilities, divisor=16 if mixers else 1)
        self.inputs = (Input(name="clip", source="clip", frames=frames),)
        self.encoder = Encoder(width=width, batch_norm=True, merged=merged, mixers=mixers)
        deepest = len(self.encoder.channels) - 1
        self.levels = nn.ModuleList(
            Level(channels, deepest=place == deepest, merged=merged, causal=causal)
            for place, channels in enumerate(self.encoder.channels)
        )
        self.head = nn.Conv2d(WIDTH, 1, 1)

    def forward(self, clip_BT3HW: Tensor) -> list[Tensor]:
        """One map of logits_B1HW, in a list; frame after frame, clip after clip."""
        rows_B3HW, frames = clip_BT3HW.flatten(0, 1), clip_BT3HW.shape[1]
        fused: Tensor | None = None
        for features_BCHW, level in zip(reversed(self.encoder(rows_B3HW)), reversed(self.levels), strict=True):
            fused = level(features_BCHW, fused, frames)
        return [resize_like(self.head(fused), rows_B3HW)]

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """'encoder'; of the decoder 'mixing' (branch weights of difference layers), 'norm' and 'conv'."""
        decoder = (*self.levels.modules(), self.head)
        mixing = [module.mixing for module in decoder if isinstance(module, DifferenceConv)]
        norm = [value for module in decoder if isinstance(module, nn.BatchNorm2d) for value in module.parameters()]
        encoder = list(self.encoder.parameters())
        taken = {id(parameter) for parameter in (*mixing, *norm, *encoder)}
        conv = [parameter for parameter in self.parameters() if id(parameter) not in taken]
        return {"encoder": encoder, "conv": conv, "norm": norm, "mixing": mixing}

    def reparameterize(self) -> "STDNet":
        """The merged form, computed in float64; a copy where this is merged already."""
        from limelight.models.sdnet.video.reparameterize import merged_state

        merged = STDNet(**{**self.build_options, "merged": True})
        merged.load_state_dict(merged_state(self))
        return merged.eval()

    @contextmanager
    def unmerged(self) -> Iterator[None]:
        """Within the block, the branches run one by one, not as a sum of kernels formed on the fly."""
        run_branchwise(self)
        try:
            yield
        finally:
            run_branchwise(self, False)
