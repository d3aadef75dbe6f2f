"""One-line error messages for mistakes that the user can fix."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from limelight.foundation.errors import UserError


@contextmanager
def mistakes_in_one_line() -> Iterator[None]:
    """Print a UserError or a denied file access as one line on standard error, and exit with status 2."""
    try:
        yield
        return
    except UserError as error:
        reason = str(error)
    except PermissionError as error:  # pathlib's checks, such as is_file(), raise it too
        if error.filename is None:
            raise
        reason = f"no permission for {error.filename}; change it, or ask its owner"
    except RuntimeError as error:  # raised by pathlib for a symlink to itself
        if "Symlink loop" not in str(error):
            raise
        reason = f"{str(error).replace('Symlink loop from', 'links form a loop at')}; correct them"
    print(f"error: {reason}", file=sys.stderr)
    raise SystemExit(2)
