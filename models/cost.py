"""What a network costs, in the unit that the field's tables use."""

import copy

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

COUNTED = (torch.ops.aten.convolution, torch.ops.aten.addmm, torch.ops.aten.mm)


def count_macs(model: nn.Module, height: int, width: int) -> int:
    """Multiply-accumulates of one RGB image's forward pass, in the convolutions and linear layers.

    Batch norms, activations, biases, resizing and the products within attention are not counted. Papers often print
    this number as 'FLOPs'; KD-SCFNet's own adds 1 per output of a biased convolution, 2 per output of a batch norm and
    1 per input of a squeeze (0.02 to 6 % more).

    Nothing is computed: the model is copied to the meta device, in evaluation mode, and stays as it was.

    Args:
        height, width: of the input, pixels.
    """
    shadow = copy.deepcopy(model).eval().to("meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        shadow(torch.empty(1, 3, height, width, device="meta"))
    # FlopCounterMode counts a multiplication and an addition as two.
    return sum(flops for op, flops in counter.get_flop_counts()["Global"].items() if op in COUNTED) // 2
