"""Registry of networks by name."""

import fnmatch
import importlib
from typing import TYPE_CHECKING, Any

from limelight.foundation.errors import UserError
from limelight.models.entry import PACKAGE, Entry
from limelight.models.families import FAMILIES

if TYPE_CHECKING:
    from limelight.models.base import Network

REGISTRY: dict[str, Entry] = {
    name: each
    for family in FAMILIES
    for name, each in importlib.import_module(f"{PACKAGE}.{family}.entries").ENTRIES.items()
}


def entry(name: str) -> Entry:
    """The registry's entry for a model name.

    Raises:
        UserError: the name is not registered.
    """
    if name not in REGISTRY:
        raise UserError(f"unknown model {name!r}; choose one of: {', '.join(REGISTRY)}")
    return REGISTRY[name]


def list_models(pattern: str = "*") -> list[str]:
    """Registered names that match a shell pattern, in registry order."""
    return [name for name in REGISTRY if fnmatch.fnmatch(name, pattern)]


def network_class(name: str) -> "type[Network]":
    """The class behind a name, for properties that do not depend on options.

    Raises:
        UserError: the name is not registered.
    """
    module, _, attribute = entry(name).builder.partition(":")
    return getattr(importlib.import_module(f"{PACKAGE}.{module}"), attribute)


def create_model(name: str, **options: Any) -> "Network":
    """Build a network by name.

    Args:
        name: a name of `list_models()`.
        options: override the entry's options, e.g. `pretrained=True` for ImageNet weights of the backbone,
            `merged=True` for the inference form of a network with difference convolutions, or
            `modalities=["rgb", "rgbd"]` for one that takes depth beside its image where there is any. A network that
            needs more than its weights reads that from the folder `assets`. Every network takes `difference`, see
            `Network.add_differences`.

    Raises:
        UserError: unknown name, or an option the network does not take.
    """
    merged = {**entry(name).options, **options}
    difference = merged.pop("difference", None)
    try:
        model = network_class(name)(**merged)
    except UserError:
        raise
    except Exception as error:  # of whichever layer a value does not suit
        if not options:
            raise
        what = "does not take" if "keyword argument" in str(error) else "cannot be built with"
        raise UserError(f"model {name!r} {what} these options: {options} ({error})") from error
    if difference is not None:
        model.add_differences(difference)
    return model
