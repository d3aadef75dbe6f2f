"""Training form to inference form: SDNet's merging, and the decoder's batch norms folded into their convolutions."""

import copy

import torch
from torch import Tensor, nn

from limelight.models.sdnet.difference import frozen
from limelight.models.sdnet.reparameterize import merged_state as merged_differences
from limelight.models.sdnet.video.blocks import Projection, SpatialBranch


@torch.no_grad()
def merged_state(network: nn.Module) -> dict[str, Tensor]:
    """The state dict, float32, of `network`'s merged form. `network` itself is left as it is."""
    state = merged_differences(network)
    for name, module in copy.deepcopy(network).double().named_modules():
        norm = getattr(module, "norm", None)
        if not isinstance(module, Projection | SpatialBranch) or not isinstance(norm, nn.BatchNorm2d):
            continue
        gain, bias, mean = frozen(norm)
        for key in [key for key in state if key.startswith(f"{name}.norm.")]:
            del state[key]
        if isinstance(module, Projection):
            folded = {"conv.weight": module.conv.weight * gain[:, None, None, None], "conv.bias": bias - mean * gain}
        else:
            folded = {
                key: value * gain[:, None, None, None]
                for key, value in module.named_parameters()
                if key.startswith("dilated.")
            }
            folded |= {"identity.gain": gain[:, None, None], "identity.bias": (bias - mean * gain)[:, None, None]}
        state |= {f"{name}.{key}": value.float() for key, value in folded.items()}
    return state
