"""Datasets whose terms or hosts forbid an automatic download: the user downloads them, by these instructions."""

from pathlib import Path

from limelight.config import DatasetRequest
from limelight.data.catalogue import lookup
from limelight.data.hashes import HashCache
from limelight.data.index import DATASETS
from limelight.foundation.errors import UserError


def fetch(request: DatasetRequest, cache: HashCache) -> Path:
    """Return the folder data/datasets/<name>, filled by hand.

    Raises:
        UserError: it is absent or empty; says what to download, from where, where to put it and what it should hold.
    """
    root = DATASETS / request.name
    if root.is_dir() and any(root.iterdir()):
        return root
    entry = lookup(request.name)
    if entry is None:
        raise UserError(f"dataset {request.name}: {root} is empty; fill it, or give a `path` in params.yaml")
    raise UserError(
        f"dataset {entry.name} must be fetched by hand (licence: {entry.licence}): from {entry.homepage} get "
        f"{entry.fetch}; put it into {root}/ (expected: {entry.expected_text()}), or give its `path`, or a `url` and "
        "`sha256`, in params.yaml"
    )
