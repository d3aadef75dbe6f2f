"""What a network costs, in the unit that the field's tables use."""

import copy

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from limelight.models.base import Network
from limelight.models.card import companions_of

COUNTED = (torch.ops.aten.convolution, torch.ops.aten.addmm, torch.ops.aten.mm)


def count_macs(model: nn.Module, height: int, width: int, *, prompts: int = 1) -> int:
    """Multiply-accumulates of one picture's forward pass, with its companion where the network takes any, in the
    convolutions and linear layers.

    Batch norms, activations, biases, resizing and the products within attention are not counted. Papers often print
    this number as 'FLOPs'; KD-SCFNet's own adds 1 per output of a biased convolution, 2 per output of a batch norm and
    1 per input of a squeeze (0.02 to 6 % more).

    Nothing is computed: the model is copied to the meta device, in evaluation mode, and stays as it was.

    Args:
        height, width: of the input, pixels.
        prompts: asked of the picture, of a network that takes them. Encoding them, once for all pictures, is not
            counted.
    """
    shadow = copy.deepcopy(model).eval().requires_grad_(False).to("meta")
    image_13HW = torch.empty(1, 3, height, width, device="meta")
    inputs = [image_13HW]
    if isinstance(model, Network) and companions_of(model.capabilities.modalities):
        inputs += [image_13HW[:, :1], torch.ones(1, dtype=torch.int64, device="meta")]
    if isinstance(model, Network) and model.capabilities.text:
        inputs.append(shadow.encode_prompts(["a"] * prompts))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        shadow(*inputs)
    # FlopCounterMode counts a multiplication and an addition as two.
    return sum(flops for op, flops in counter.get_flop_counts()["Global"].items() if op in COUNTED) // 2
