"""Options of commands that do not apply to what a command is given."""

from collections.abc import Mapping

from limelight.foundation.errors import UserError


def refuse_options(options: Mapping[str, object], what: str) -> None:
    """Refuse options that mean nothing for `what`, as it is called in the message.

    Args:
        options: their values by their names, such as '--rate'; None = not given.

    Raises:
        UserError: one is given.
    """
    if given := [name for name, value in options.items() if value is not None]:
        raise UserError(f"{' and '.join(given)} cannot be given with {what}; leave it out")
