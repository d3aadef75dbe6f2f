"""The base of all settings."""

import re

from pydantic import BaseModel, ConfigDict

_NAME = re.compile(r"(?!\.{1,2}$)[^/\\\x00-\x1f]{1,100}")


class Section(BaseModel):
    """A frozen, validated group of settings: an unknown key or a value of the wrong type is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


def check_name(name: str) -> str:
    """Refuse a name that cannot be that of a folder, or that leads to another one.

    Raises:
        ValueError: it is empty, '.' or '..', has a slash or a control character, or is longer than 100 characters.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name[:100]!r} cannot be a folder's name; choose one without slashes")
    return name
