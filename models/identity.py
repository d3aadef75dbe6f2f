"""The identity of a weights folder: one hash over all that is served from it."""

from pathlib import Path

from limelight.foundation.errors import UserError
from limelight.foundation.files import sha256_folder

FOLDER_TAG = "folder.sha256"
"""MLflow tag of logged models and registered versions."""


def folder_sha256(folder: Path) -> str:
    """Hash the names and contents of a weights folder's files: weights, card, assets and exports.

    The hash of model.safetensors alone does not tell a training form from its exported form where nothing is merged.

    Raises:
        UserError: there is no such folder, or a file cannot be read.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} does not exist; restore it with dvc checkout or dvc pull, or run dvc repro")
    return sha256_folder(folder)
