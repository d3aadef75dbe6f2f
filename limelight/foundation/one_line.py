"""One-line error messages for mistakes that the user can fix."""

import errno
import os
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
    except OSError as error:
        reason = _of_the_disk(error)
    except RuntimeError as error:  # raised by pathlib for a symlink to itself
        if "Symlink loop" not in str(error):
            raise
        reason = f"{str(error).replace('Symlink loop from', 'links form a loop at')}; correct them"
    print(f"error: {reason}", file=sys.stderr)
    raise SystemExit(2)


def _of_the_disk(error: OSError) -> str:
    """A name that is too long, or a full disk; others are raised again."""
    if error.errno == errno.ENAMETOOLONG:
        return f"{str(error.filename)[:60]}... is too long for a file's name; give a shorter one"
    if error.errno == errno.ENOSPC:
        # It may be the one behind standard output: what is left to print cannot be written either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return f"no space is left on the disk{f' of {error.filename}' if error.filename else ''}; free some"
    raise error
