"""The authors' published files, turned into weights folders.

This is the only place that reads pickles, and it runs nothing that they contain. Each family's `checkpoint.py` says how
its files differ from ours.
"""

from importlib import import_module
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from typing import Any

from limelight.foundation.errors import UserError
from limelight.models.card import Card
from limelight.models.importers.files import Files
from limelight.models.registry import REGISTRY, entry


def import_published(model_name: str, folder: Path | str, files: Files, **facts: Any) -> Card:
    """Turn published files into a weights folder.

    Args:
        model_name: the network they belong to, of `limelight.models.list_models()`.
        folder: where the weights folder goes; it is written only if everything fits.
        files: what was published.
        facts: `licence` and `trained_on`, for the card. A code licence does not cover weights by itself. Networks that
            are published as one file take more, see `limelight.models.importers.checkpoint.import_checkpoint`.

    Returns:
        The card as written.

    Raises:
        UserError: unknown model, or one that was never published; files missing, too many, damaged, with another hash,
            or of another network. Nothing in them is executed, and nothing is written then.
    """
    module = entry(model_name).importer
    if find_spec(module) is None:
        known = [name for name, each in REGISTRY.items() if find_spec(each.importer)]
        raise UserError(f"{model_name!r} has no published checkpoints; networks that have: {', '.join(known)}")
    importer = import_module(module).import_published
    if foreign := [name for name in facts if name not in signature(importer).parameters]:
        raise UserError(f"{model_name} is imported as it was published, without {' or '.join(foreign)}; leave it out")
    return importer(model_name, folder, files, **facts)
