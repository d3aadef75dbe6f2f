"""Training form to inference form: SDNet's merging, and the decoder's batch norms folded into their convolutions."""

import copy

from torch import Tensor, nn

from limelight.models.difference.layer import frozen
from limelight.models.sdnet.reparameterize import merged_differences
from limelight.models.sdnet.video.blocks import Projection, SpatialBranch


def merged_state(network: nn.Module) -> dict[str, Tensor]:
    """The state dict, float64, of `network`'s merged form. `network` itself is left as it is."""
    source = copy.deepcopy(network).double()
    state = merged_differences(source)
    for name, module in source.named_modules():
        norm = getattr(module, "norm", None)
        if not isinstance(module, Projection | SpatialBranch) or not isinstance(norm, nn.BatchNorm2d):
            continue
        gain, bias, mean = frozen(norm)
        for key in [key for key in state if key.startswith(f"{name}.norm.")]:
            del state[key]
        if isinstance(module, Projection):
            state[f"{name}.conv.weight"] = module.conv.weight * gain[:, None, None, None]
            state[f"{name}.conv.bias"] = bias - mean * gain
        else:
            for key in [key for key in state if key.startswith(f"{name}.dilated.")]:
                state[key] = state[key] * gain[:, None, None, None]
            state[f"{name}.identity.gain"] = gain[:, None, None]
            state[f"{name}.identity.bias"] = (bias - mean * gain)[:, None, None]
    return state
