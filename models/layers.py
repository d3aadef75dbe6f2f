"""Building blocks that families share."""

from torch import Tensor, nn
from torch.nn import functional as F


class ConvBNReLU(nn.Sequential):
    """3x3 convolution with bias, batch norm, ReLU; keeps height and width."""

    def __init__(self, inputs: int, outputs: int, dilation: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation)
        self.bn = nn.BatchNorm2d(outputs)
        self.act = nn.ReLU()
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")
        zero_bias(self.conv)


def zero_bias(layer: nn.Conv2d) -> None:
    """Start a convolution's bias at zero, where it has one."""
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def resize_like(features_BChw: Tensor, reference_BxHW: Tensor) -> Tensor:
    """Bilinear resize (half-pixel centres, no antialiasing) to the height and width of `reference_BxHW`."""
    return F.interpolate(features_BChw, reference_BxHW.shape[-2:], mode="bilinear", align_corners=False)
