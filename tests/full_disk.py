"""A disk that is full."""

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch


@contextmanager
def files_end_at(size: int) -> Iterator[None]:
    """Refuse to make files of this process longer, bytes, as a full disk does.

    Python would keep the bytecode of modules that are imported meanwhile cut off, and fail on it ever after.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with (
        patch.object(sys, "dont_write_bytecode", new=True),
        patch.dict(os.environ, {"PYTHONDONTWRITEBYTECODE": "1"}),
    ):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
