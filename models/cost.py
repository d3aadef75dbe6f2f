"""Computational cost of a network, in the unit of the field's tables."""

import copy

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from limelight.models.base import Network
from limelight.models.examples import example
from limelight.models.inputs import clip_frames

COUNTED = (torch.ops.aten.convolution, torch.ops.aten.addmm, torch.ops.aten.mm)


def count_macs(model: nn.Module, height: int, width: int, *, prompts: int = 1, steps: int | None = None) -> int:
    """Count the multiply-accumulates of one picture's forward pass (of clips, one frame's), with all other inputs of
    the network, in the convolutions and linear layers.

    Batch norms, activations, biases, resizing and the products within attention are not counted. Papers often print
    this number as 'FLOPs'; KD-SCFNet's own adds 1 per output of a biased convolution, 2 per output of a batch norm and
    1 per input of a squeeze (0.02 to 6 % more).

    Nothing is computed: the model is copied to the meta device, in evaluation mode, and stays as it was.

    Args:
        model: a `Network`, or any module that takes image_B3HW alone.
        height, width: of the input, pixels.
        prompts: number of prompts, for a network that takes them. Encoding them, once for all pictures, is not counted.
        steps: denoising steps in which a network's maps are drawn from noise, as its card says; None = one, without
            noise.
    """
    shadow = copy.deepcopy(model).eval().requires_grad_(False).to("meta")
    with torch.no_grad():
        if isinstance(shadow, Network):
            given = example(shadow, 1, (height, width), prompts=prompts, device="meta")
            with FlopCounterMode(display=False) as counter:
                shadow.draw(given, steps=steps) if steps else shadow.logits(given)
        else:
            with FlopCounterMode(display=False) as counter:
                shadow(torch.empty(1, 3, height, width, device="meta"))
    # FlopCounterMode counts a multiplication and an addition as two.
    frames = (clip_frames(model.inputs) if isinstance(model, Network) else None) or 1
    return sum(flops for op, flops in counter.get_flop_counts()["Global"].items() if op in COUNTED) // (2 * frames)
