"""A user's own folder: used in place, never copied."""

from pathlib import Path

from limelight.config import DatasetRequest
from limelight.data.hashes import HashCache
from limelight.foundation.errors import UserError


def fetch(request: DatasetRequest, cache: HashCache) -> Path:
    """Return the folder at `request.path`; `~` is the home folder.

    Raises:
        UserError: it does not exist or is not a folder.
    """
    root = Path(request.path or "").expanduser()
    if not root.is_dir():
        problem = "is not a folder" if root.exists() else "does not exist"
        raise UserError(f"dataset {request.name}: path {root.absolute()} {problem}; correct `path` in params.yaml")
    return root
