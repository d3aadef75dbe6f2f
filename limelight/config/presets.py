"""Published training recipes as values for `limelight.config.Run`. All values are from the papers or their code, but
where a comment says so.

Each family has its own in its folder, `presets.py` with PRESETS, AUGMENTATIONS or both, so that correcting a recipe
makes the runs of that family stale, and no others.
"""

import importlib
from importlib.util import find_spec
from typing import Any

from limelight.config.optimisation import OF_NAME, foreign_keys
from limelight.foundation.errors import UserError
from limelight.models.entry import PACKAGE
from limelight.models.families import FAMILIES


def _of_families(attribute: str) -> dict[str, Any]:
    names = (f"{PACKAGE}.{family}.presets" for family in FAMILIES)
    modules = [importlib.import_module(name) for name in names if find_spec(name)]
    return {name: value for module in modules for name, value in getattr(module, attribute, {}).items()}


PRESETS: dict[str, dict[str, Any]] = _of_families("PRESETS")
AUGMENTATIONS: dict[str, list[dict[str, Any]]] = _of_families("AUGMENTATIONS")
"""Lists of operations, by the names that `augment` may have in place of a list."""


def with_preset(settings: dict[str, Any], where: str) -> dict[str, Any]:
    """Lay a run's settings over the preset that they name, and put the list in place of an augmentation's name.

    Nested mappings are merged key by key, lists are replaced. Where the run names another objective, optimiser or
    schedule, of the preset's only those keys count that the named one has.

    Raises:
        UserError: no such preset, or no such augmentation.
    """
    name = settings.get("preset")
    if name is not None and (not isinstance(name, str) or name not in PRESETS):
        raise UserError(f"{where}: unknown preset {name!r}; choose one of: {', '.join(PRESETS)}")
    base = _fitting(PRESETS.get(name, {}) if name is not None else {}, settings)
    merged = _merge(base, settings)
    if isinstance(listed := merged.get("augment"), str):
        if listed not in AUGMENTATIONS:
            raise UserError(f"{where}: unknown augmentation {listed!r}; choose one of: {', '.join(AUGMENTATIONS)}")
        merged["augment"] = AUGMENTATIONS[listed]
    return merged


def _fitting(base: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """The preset without what belongs to other objectives, optimisers and schedules than the run names."""
    fitting = dict(base)
    for section in ("objective", *OF_NAME):
        published, own = base.get(section), settings.get(section)
        name = own.get("name") if isinstance(own, dict) else None
        if published is None or name in (None, published["name"]):
            continue
        foreign = foreign_keys(section, name) if section in OF_NAME else {*published}
        fitting[section] = {key: value for key, value in published.items() if key not in foreign}
    return fitting


def _merge(base: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    shared_keys = base.keys() & overrides.keys()
    nested = {
        key: _merge(base[key], overrides[key])
        for key in shared_keys
        if isinstance(base[key], dict) and isinstance(overrides[key], dict)
    }
    return {**base, **overrides, **nested}
