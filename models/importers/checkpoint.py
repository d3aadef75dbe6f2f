"""Networks that are published as one file of weights."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from limelight.foundation.errors import UserError
from limelight.foundation.files import check_sha256
from limelight.models.card import IMAGENET_MEAN, IMAGENET_STD, Card, Triple
from limelight.models.importers.files import Files
from limelight.models.importers.paddle import read_pdparams
from limelight.models.importers.torch_checkpoint import read_pth
from limelight.models.registry import create_model
from limelight.models.state import load_strict
from limelight.models.weights import save_weights

State = dict[str, Tensor]
READERS: dict[str, Callable[[Path], State]] = {
    ".pdparams": read_pdparams,
    ".pth": read_pth,
    ".pt": read_pth,
    ".tar": read_pth,
}


@dataclass(frozen=True)
class Published:
    """How a family's published files differ from ours."""

    from_published: Callable[[State], State]
    """Maps published names to this project's."""
    from_classifier: Callable[[State], State] | None = None
    """The same for a file of the backbone, such as an ImageNet classifier."""
    backbone: str = "backbone"
    """The backbone's name in the network."""
    mean: Triple = IMAGENET_MEAN
    std: Triple = IMAGENET_STD
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of the network, as published weights need them."""
    prepare: Mapping[str, Any] = field(default_factory=dict)
    """Of the card, where the authors prepare pictures in another way."""
    finish: Mapping[str, Any] = field(default_factory=dict)
    """The same for their maps."""


def import_checkpoint(
    published: Published,
    model_name: str,
    folder: Path | str,
    files: Files,
    *,
    licence: str = "not stated by the authors",
    trained_on: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
    size: int | None = None,
    prepare: Mapping[str, Any] | None = None,
    origin: str = "",
) -> Card:
    """Read a published checkpoint, map its names, load it strictly and write it as a weights folder.

    For a backbone alone, the rest of the network keeps its initial weights (seed 0), to be trained from there.

    Args:
        options: of the network, where this file needs others than its family's do.
        size: side of the square that pictures are stretched to, pixels; None = the network's usual one.
        prepare: of the card, where this file's pictures are prepared in another way than its family's.
        origin: where the file is from, for the card.

    Args, returns, raises: as `limelight.models.importers.import_published`.
    """
    path = Path(files.single_checkpoint(model_name))
    if path.suffix not in READERS:
        raise UserError(f"{path} is of an unknown type {path.suffix!r}; known: {', '.join(READERS)}")
    mapping = published.from_classifier if files.backbone_only else published.from_published
    if mapping is None:
        raise UserError(f"{model_name!r} has no published backbone; import a whole checkpoint")
    digest = check_sha256(path, files.sha256)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = create_model(model_name, **published.options, **(options or {})).eval()
    state = mapping(READERS[path.suffix](path))
    if files.backbone_only:
        prefix = f"{published.backbone}."
        state = {key: value for key, value in model.state_dict().items() if not key.startswith(prefix)} | state
    load_strict(model, state, str(path))
    return save_weights(
        folder,
        model,
        name=model_name,
        input_size=None if size is None else (size, size),
        mean=published.mean,
        std=published.std,
        licence=licence,
        source=f"{'backbone ' if files.backbone_only else ''}imported from {path.name}, sha256 {digest}"
        + (f", {origin}" if origin else ""),
        trained_on=tuple(trained_on),
        prepare={**published.prepare, **(prepare or {})},
        finish=published.finish,
    )
