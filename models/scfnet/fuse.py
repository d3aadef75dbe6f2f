"""The semantics-guided fusion of KD-SCFNet."""

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
