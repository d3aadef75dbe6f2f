"""A wider view for a backbone that is cut short (ours)."""

from torch import Tensor, nn

from limelight.foundation.errors import UserError
from limelight.models.layers import resize_like
from limelight.models.scfnet.mobilenetv3 import Block, InvertedResidual, initialise

EXPANSION = 2
"""Width within a block / width of the features."""


class Surround(nn.Module):
    """Adds to features what blocks at half their resolution see around. `forward(x_BCHW) -> x_BCHW`.

    The blocks are MobileNetV3's with a 5x5 kernel, the first of stride 2; their gates see the whole picture. As it is
    initialised it adds nothing, so that a network trained without it goes on from where it was.

    Args:
        channels: of the features.
        blocks: how many.

    Raises:
        UserError: fewer than one block.
    """

    def __init__(self, channels: int, blocks: int) -> None:
        super().__init__()
        if blocks < 1:
            raise UserError(f"surround must be a number of blocks, or 0 for none; got {blocks}")
        shapes = [Block(EXPANSION * channels, channels, 5, 1 if at else 2, True, nn.ReLU) for at in range(blocks)]
        blocks_in_order = [InvertedResidual(channels, shape) for shape in shapes]
        self.blocks = nn.Sequential(*blocks_in_order)
        initialise(self)
        for block in blocks_in_order:
            nn.init.zeros_(block.project.bn.weight)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return x_BCHW + resize_like(self.blocks(x_BCHW), x_BCHW)
