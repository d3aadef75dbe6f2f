"""TensorFlow's 'SAME' padding, without looking at the input."""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from limelight.models.light_timm import timm


class EvenSame(nn.Conv2d):
    """A convolution with 'SAME' padding, for inputs whose sides are multiples of its stride.

    timm's `Conv2dSame` computes the padding from the input's size, which takes an export with free sizes minutes. For
    such inputs the padding is always the same: kernel - stride pixels in all, the odd one behind.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        options: dict[str, Any] = {
            name: getattr(conv, name) for name in ("kernel_size", "stride", "dilation", "groups")
        }
        # On 'meta' nothing is drawn.
        super().__init__(conv.in_channels, conv.out_channels, **options, bias=conv.bias is not None, device="meta")
        self.weight, self.bias = conv.weight, conv.bias
        self.sides = [
            side
            for kernel, stride, dilation in zip(conv.kernel_size, conv.stride, conv.dilation, strict=True)
            for total in [max((kernel - 1) * dilation + 1 - stride, 0)]
            for side in (total - total // 2, total // 2)
        ][::-1]
        """Left, right, top and bottom, pixels."""

    def forward(self, image_BCHW: Tensor) -> Tensor:
        return F.conv2d(
            F.pad(image_BCHW, self.sides), self.weight, self.bias, self.stride, 0, self.dilation, self.groups
        )


def with_known_padding(network: nn.Module) -> bool:
    """Replace every `Conv2dSame` of a network by an `EvenSame` with the same weights, in place.

    Returns:
        Whether there was one: then the network needs sides that are multiples of its largest stride.
    """
    found = [name for name, module in network.named_modules() if type(module) is timm.layers.Conv2dSame]
    for name in found:
        network.set_submodule(name, EvenSame(network.get_submodule(name)))  # type: ignore[arg-type]
    return bool(found)
