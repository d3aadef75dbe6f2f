"""The base of all settings."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A frozen, validated group of settings: an unknown key or a value of the wrong type is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())
