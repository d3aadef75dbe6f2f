"""Text fields of forms: the text that was sent, and the numbers in it."""

import json
from typing import Annotated, Any

from pydantic import BeforeValidator

from limelight.foundation.errors import UserError


def as_text(value: Any) -> str:
    """Restore a field to the text that was sent: BentoML parses what happens to be JSON, such as 'null' or a year."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


Text = Annotated[str, BeforeValidator(as_text)]


def share(name: str, text: str) -> float:
    """Read a number from 0 to 1.

    Raises:
        UserError: the text is none; the message names the field.
    """
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise UserError(f"{name} {text[:40]!r} is not a number from 0 to 1; send one, or leave it out")
    return value
