"""The authors' published checkpoints, turned into weights folders.

This is the only place that reads pickles, and it runs nothing that they contain.
"""

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from limelight.foundation.errors import UserError
from limelight.foundation.files import check_sha256
from limelight.models.card import IMAGENET_MEAN, IMAGENET_STD, Card
from limelight.models.importers.paddle import read_pdparams
from limelight.models.importers.torch_checkpoint import read_pth
from limelight.models.registry import create_model, entry
from limelight.models.weights import load_strict, save_weights

Triple = tuple[float, float, float]
READERS: dict[str, Callable[[Path], dict[str, Tensor]]] = {
    ".pdparams": read_pdparams,
    ".pth": read_pth,
    ".pt": read_pth,
    ".tar": read_pth,
}


class Published(NamedTuple):
    """How one family's published files differ from ours."""

    from_published: str
    """'module:function' from published names to ours."""
    from_classifier: str | None = None
    """The same for an ImageNet classifier of the backbone."""
    mean: Triple = IMAGENET_MEAN
    std: Triple = IMAGENET_STD


FAMILIES = {
    "scfnet": Published(
        "limelight.models.scfnet.checkpoint:from_published",
        "limelight.models.scfnet.checkpoint:from_classifier",
        mean=(124.55 / 255, 118.90 / 255, 102.94 / 255),
        std=(56.77 / 255, 55.97 / 255, 57.50 / 255),
    ),
    "sdnet": Published("limelight.models.sdnet.checkpoint:from_published"),
}


def import_checkpoint(
    path: Path | str,
    model_name: str,
    folder: Path | str,
    *,
    backbone_only: bool = False,
    sha256: str | None = None,
    licence: str = "not stated by the authors",
    trained_on: Sequence[str] = (),
) -> Card:
    """Read a published checkpoint, map its names, load it strictly and write it as a weights folder.

    Args:
        path: .pdparams (Paddle) or .pth, .pt, .pth.tar (PyTorch).
        model_name: the network it belongs to, of `limelight.models.list_models()`.
        folder: where the weights folder goes; it is written only if everything fits.
        backbone_only: the file is an ImageNet classifier (PaddleClas' MobileNetV3_large_x0_5_pretrained.pdparams, say);
            the rest of the network is left as it was initialised, seed 0, to be trained from there.
        sha256: what the file must hash to; None = not checked.
        licence: of the weights, for the card. A code licence does not cover weights by itself.
        trained_on: datasets, for the card.

    Returns:
        The card as written.

    Raises:
        UserError: unknown model or file type; another hash; a damaged file, or one with anything but tensors in it;
            names or shapes that are not this network's. Nothing in the file is executed, and nothing is written.
    """
    path = Path(path)
    published = _published(model_name, backbone_only)
    digest = _check_file(path, sha256)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = create_model(model_name).eval()
    mapping = published.from_classifier if backbone_only else published.from_published
    module, _, function = mapping.partition(":")
    state = getattr(importlib.import_module(module), function)(READERS[path.suffix](path))
    if backbone_only:
        state = {key: value for key, value in model.state_dict().items() if not key.startswith("backbone.")} | state
    load_strict(model, state, str(path))
    return save_weights(
        folder,
        model,
        name=model_name,
        mean=published.mean,
        std=published.std,
        licence=licence,
        source=f"{'backbone ' if backbone_only else ''}imported from {path.name}, sha256 {digest}",
        trained_on=list(trained_on),
    )


def _published(model_name: str, backbone_only: bool) -> Published:
    family = entry(model_name).family
    if family not in FAMILIES:
        raise UserError(f"{model_name!r} has no published checkpoints; families that have: {', '.join(FAMILIES)}")
    if backbone_only and FAMILIES[family].from_classifier is None:
        raise UserError(f"{model_name!r} has no published backbone; import a whole checkpoint")
    return FAMILIES[family]


def _check_file(path: Path, sha256: str | None) -> str:
    """The file's hash, if it is there, of a known type and what was expected."""
    if path.suffix not in READERS:
        raise UserError(f"{path} is of an unknown type {path.suffix!r}; known: {', '.join(READERS)}")
    return check_sha256(path, sha256)
