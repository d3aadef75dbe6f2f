"""Example inputs of the right names, shapes and types, for running a network without a picture."""

import torch
from torch import Tensor

from limelight.models.base import Network
from limelight.models.inputs import Size


def example(
    network: Network,
    batch: int,
    size: Size,
    *,
    companions: bool = True,
    prompts: int | None = 1,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> dict[str, Tensor]:
    """Make zeros for every input that the network declares, by name; for `Network.logits`, `Network.maps` and `bind`.

    Args:
        size: (height, width) of the image.
        companions: include the optional inputs.
        prompts: texts to encode, for a network that takes prompts. None leaves them out.
        dtype: of inputs that are float32 by declaration.
    """
    tensors = {}
    for each in network.inputs:
        if each.optional and not companions:
            continue
        if each.source == "prompt":
            if prompts is not None:
                tensors[each.name] = network.encode_prompts(["a"] * prompts)
            continue
        kind = dtype if each.dtype == "float32" else torch.int64
        tensors[each.name] = torch.zeros(each.dimensions(batch, size), device=device, dtype=kind)
    return tensors
