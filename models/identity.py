"""The identity of a weights folder: one hash over all that is served from it."""

import hashlib
from pathlib import Path

from limelight.foundation.errors import UserError
from limelight.foundation.files import sha256_file

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
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = [f"{sha256_file(path)}  {path.relative_to(folder).as_posix()}\n" for path in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
