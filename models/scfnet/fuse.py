"""The semantics-guided fusion of KD-SCFNet, and a finer level of ours."""

from torch import Tensor, nn

from limelight.models.layers import ConvBNReLU, resize_like


class SCFM(nn.Module):
    """Semantics-guided contextual fusion module of KD-SCFNet (arXiv 2208.02178), as released.

    `forward(low_BCHW, high_BChw, deepest_BCxx) -> fused_BCHW`; all have the same number of channels, sizes may differ.

    The paper's figure multiplies both branches by the deepest feature; the released code, whose weights this must run,
    multiplies the low branch by the high one.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.high = ConvBNReLU(channels, channels)
        self.low = ConvBNReLU(channels, channels)
        self.merge = ConvBNReLU(channels, channels)

    def forward(self, low_BCHW: Tensor, high_BChw: Tensor, deepest_BCxx: Tensor) -> Tensor:
        guided_high = self.high(high_BChw + high_BChw * resize_like(deepest_BCxx, high_BChw))
        guided_low = self.low(low_BCHW + low_BCHW * resize_like(high_BChw, low_BCHW))
        return self.merge(guided_low + resize_like(guided_high, low_BCHW))


class Detail(nn.Module):
    """A level at 1/2 for sharper edges (ours): the backbone's earliest features, and the finest fused level.

    `forward(half_BCHW, level_BChw) -> logits_B1HW`.
    """

    def __init__(self, half: int, level: int, width: int) -> None:
        super().__init__()
        self.fine = ConvBNReLU(half, width)
        self.coarse = ConvBNReLU(level, width)
        self.merge = ConvBNReLU(width, width)
        self.head = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, half_BCHW: Tensor, level_BChw: Tensor) -> Tensor:
        logits_B1HW: Tensor = self.head(
            self.merge(self.fine(half_BCHW) + resize_like(self.coarse(level_BChw), half_BCHW))
        )
        return logits_B1HW
