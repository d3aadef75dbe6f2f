"""The user's cache: what is fetched or made once, and used from every folder."""

import os
from pathlib import Path


def cache_folder(part: str) -> Path:
    """Return the folder of one part of the cache, which need not exist: below XDG_CACHE_HOME, or ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "limelight" / part
