"""The authors' published checkpoints, turned into weights folders.

This is the only place that reads pickles, and it runs nothing that they contain.
"""

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from models.card import IMAGENET_MEAN, IMAGENET_STD, Card
from models.errors import UserError
from models.files import sha256_file
from models.importers.paddle import read_pdparams
from models.importers.torch_checkpoint import read_pth
from models.registry import create_model, entry
from models.weights import load_strict, save_weights

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
    mean: Triple = IMAGENET_MEAN
    std: Triple = IMAGENET_STD


FAMILIES = {
    "scfnet": Published(
        "models.scfnet.checkpoint:from_published",
        (124.55 / 255, 118.90 / 255, 102.94 / 255),
        (56.77 / 255, 55.97 / 255, 57.50 / 255),
    ),
    "sdnet": Published("models.sdnet.checkpoint:from_published"),
}


def import_checkpoint(
    path: Path | str,
    model_name: str,
    folder: Path | str,
    *,
    sha256: str | None = None,
    licence: str = "not stated by the authors",
    trained_on: Sequence[str] = (),
) -> Card:
    """Read a published checkpoint, map its names, load it strictly and write it as a weights folder.

    Args:
        path: .pdparams (Paddle) or .pth, .pt, .pth.tar (PyTorch).
        model_name: the network it belongs to, of `models.list_models()`.
        folder: where the weights folder goes; it is written only if everything fits.
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
    family = entry(model_name).family
    if family not in FAMILIES:
        raise UserError(f"{model_name!r} has no published checkpoints; families that have: {', '.join(FAMILIES)}")
    if path.suffix not in READERS:
        raise UserError(f"{path} is of an unknown type {path.suffix!r}; known: {', '.join(READERS)}")
    if not path.is_file():
        raise UserError(f"{path} does not exist; download the checkpoint first")
    digest = sha256_file(path)
    if sha256 and digest != sha256.lower():
        raise UserError(f"{path} has sha256 {digest}, expected {sha256}; download it again")

    published = FAMILIES[family]
    module, _, function = published.from_published.partition(":")
    state = getattr(importlib.import_module(module), function)(READERS[path.suffix](path))
    model = create_model(model_name).eval()
    load_strict(model, state, str(path))
    size = entry(model_name).input_size
    return save_weights(
        folder,
        model,
        name=model_name,
        input_size=(size, size),
        mean=published.mean,
        std=published.std,
        licence=licence,
        source=f"imported from {path.name}, sha256 {digest}",
        trained_on=list(trained_on),
    )
