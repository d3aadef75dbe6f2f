"""Standard output as the place of a result."""

import sys

from limelight.foundation.errors import UserError


def check_standard_output(instead: str) -> None:
    """Refuse a terminal, which shows no picture, and an output that is closed.

    Args:
        instead: what to do in place of a terminal, for the message.

    Raises:
        UserError: it is one of these.
    """
    if sys.stdout is None:
        raise UserError("standard output is closed; leave it open, or name a file (--output)")
    if sys.stdout.isatty():
        raise UserError(f"standard output is a terminal; {instead}, or name a file (--output)")
