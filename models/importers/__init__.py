"""The authors' published files, turned into weights folders.

This is the only place that reads pickles, and it runs nothing that they contain. Each family's `checkpoint.py` says how
its files differ from ours; `limelight.models.registry.FAMILIES` names it.
"""

from pathlib import Path
from typing import Any

from limelight.foundation.errors import UserError
from limelight.models.card import Card
from limelight.models.importers.files import Files
from limelight.models.registry import FAMILIES, entry, resolve


def import_published(model_name: str, folder: Path | str, files: Files, **facts: Any) -> Card:
    """Turn published files into a weights folder.

    Args:
        model_name: the network they belong to, of `limelight.models.list_models()`.
        folder: where the weights folder goes; it is written only if everything fits.
        files: what was published.
        facts: `licence` and `trained_on`, for the card. A code licence does not cover weights by itself.

    Returns:
        The card as written.

    Raises:
        UserError: unknown model, or one that was never published; files missing, too many, damaged, with another hash,
            or of another network. Nothing in them is executed, and nothing is written.
    """
    importer = FAMILIES[entry(model_name).family].importer
    if importer is None:
        known = ", ".join(name for name, family in FAMILIES.items() if family.importer)
        raise UserError(f"{model_name!r} has no published checkpoints; families that have: {known}")
    return resolve(importer)(model_name, folder, files, **facts)
