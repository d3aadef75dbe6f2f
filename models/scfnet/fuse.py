"""The semantics-guided fusion of KD-SCFNet."""

from torch import Tensor, nn
from torch.nn import functional as F


class ConvBNReLU(nn.Sequential):
    """3x3 convolution with bias, batch norm, ReLU; keeps the size."""

    def __init__(self, inputs: int, outputs: int, dilation: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation)
        self.bn = nn.BatchNorm2d(outputs)
        self.act = nn.ReLU()
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")
        nn.init.zeros_(self.conv.bias)


def resize_like(x_BCHW: Tensor, reference: Tensor) -> Tensor:
    """Bilinear resize (half-pixel centres) to the height and width of `reference`."""
    return F.interpolate(x_BCHW, reference.shape[-2:], mode="bilinear", align_corners=False)


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
