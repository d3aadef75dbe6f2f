"""Mapping of the authors' checkpoint names (hellozhuo/stdnet, image networks) to this project's."""

import re
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from limelight.foundation.errors import UserError
from limelight.models.importers.checkpoint import Published, import_checkpoint
from limelight.models.sdnet.network import DECODER_WIDTH

ENCODER = [
    (r"init_block\.scales", r"encoder.stem.mixing"),
    (r"init_block\.conv\.(\d)\.weight", r"encoder.stem.weight#\1"),
    (r"block(\d)_(\d)\.scales", r"encoder.stages.\1.\2.depthwise.mixing"),
    (r"block(\d)_(\d)\.conv1\.(\d)\.weight", r"encoder.stages.\1.\2.depthwise.weight#\3"),
    (r"block(\d)_(\d)\.bn1\.(\d)\.(\w+)", r"encoder.stages.\1.\2.depthwise.norms.\3.\4"),
    (r"block(\d)_(\d)\.bn0\.(\w+)", r"encoder.stages.\1.\2.norm.\3"),
    (r"block(\d)_(\d)\.conv2\.(\w+)", r"encoder.stages.\1.\2.pointwise.\3"),
    (r"block(\d)_(\d)\.shortcut\.(\w+)", r"encoder.stages.\1.\2.shortcut.\3"),
    (r"block(\d)_(\d)\.conv_pre\.weight", r"encoder.stages.\1.\2.reduce.weight"),
    (r"block(\d)_(\d)\.transformer\.(\d)\.(norm\d)\.(\w+)", r"encoder.stages.\1.\2.layers.\3.\4.\5"),
    (
        r"block(\d)_(\d)\.transformer\.(\d)\.attn\.(qkv|out)_proj\.(\w+)",
        r"encoder.stages.\1.\2.layers.\3.attention.\4.\5",
    ),
    (r"block(\d)_(\d)\.transformer\.(\d)\.mlp\.0\.(\w+)", r"encoder.stages.\1.\2.layers.\3.pointwise.0.\4"),
    (r"block(\d)_(\d)\.norm\.(\w+)", r"encoder.stages.\1.\2.norm.\3"),
    (r"block(\d)_(\d)\.conv_proj\.weight", r"encoder.stages.\1.\2.project.weight"),
]
"""Patterns of the authors' names, and ours."""
NAMES = [
    *ENCODER,
    (r"dilations\.(\d)\.conv1\.(\w+)", r"contexts.\1.reduce.\2"),
    (r"dilations\.(\d)\.conv_dils\.(\d)\.weight", r"contexts.\1.dilated.\2.weight"),
    (r"attentions\.(\d)\.conv1\.(\w+)", r"gates.\1.reduce.\2"),
    (r"attentions\.(\d)\.conv2\.weight", r"gates.\1.attend.weight"),
    (r"conv_reduces\.(\d)\.conv\.(\w+)", r"fusions.\1.fine.\2"),
]


def from_published(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename and reshape a training-form state dict of the authors' SDNet into one that `SDNet` loads.

    Args:
        state: names as published, without 'module.' in front.

    Raises:
        UserError: a name that no published SDNet has.
    """
    merged = rename(state, NAMES, "SDNet")
    # The published fusion concatenates fine and coarse features; `Fusion` has one convolution for each.
    for key in [key for key in merged if key.startswith("fusions.") and key.endswith(".weight")]:
        merged[key.replace(".fine.", ".coarse.")] = merged[key][:, DECODER_WIDTH:]
        merged[key] = merged[key][:, :DECODER_WIDTH]
    return merged


def from_encoder(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The encoder of a published checkpoint, such as that of ImageNet or of the first stage of STDNet's training."""
    return from_published({key: value for key, value in state.items() if "block" in key})


def rename(state: dict[str, Tensor], names: Sequence[tuple[str, str]], network: str) -> dict[str, Tensor]:
    """Rename a state dict of the authors', and join the weights of a layer's branches.

    Args:
        names: patterns of whole names, and their replacements; '#' goes before a branch's number.
        network: for the error.

    Raises:
        UserError: a name that no pattern fits.
    """
    renamed = {_rename(key, names, network): value for key, value in state.items()}
    joined = {key: value for key, value in renamed.items() if "#" not in key}
    branches = sorted(key for key in renamed if "#" in key)
    for name in dict.fromkeys(key.partition("#")[0] for key in branches):
        joined[name] = torch.cat([renamed[key] for key in branches if key.partition("#")[0] == name])
    return joined


def _rename(key: str, names: Sequence[tuple[str, str]], network: str) -> str:
    for pattern, replacement in names:
        match = re.fullmatch(pattern, key)
        if match:
            # Stages and blocks are counted from one in the published names.
            return re.sub(
                r"stages\.(\d)\.(\d)", lambda at: f"stages.{int(at[1]) - 1}.{int(at[2]) - 1}", match.expand(replacement)
            )
    raise UserError(f"{key!r} is not a name in published {network} checkpoints; give a checkpoint of {network}")


import_published = partial(import_checkpoint, Published(from_published, from_encoder, backbone="encoder"))
"""See `limelight.models.importers.import_published`."""
