"""Published training recipes as values for `limelight.config.Run`."""

from typing import Any

from models.errors import UserError

PRESETS: dict[str, dict[str, Any]] = {}


def with_preset(settings: dict[str, Any], where: str) -> dict[str, Any]:
    """Lay `settings` over the preset that they name; nested mappings are merged key by key.

    Raises:
        UserError: no such preset.
    """
    name = settings.get("preset")
    if name is None:
        return settings
    if name not in PRESETS:
        raise UserError(f"{where}: unknown preset {name!r}; choose one of: {', '.join(PRESETS)}")
    return _merge(PRESETS[name], settings)


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    both = base.keys() & over.keys()
    nested = {
        key: _merge(base[key], over[key]) for key in both if isinstance(base[key], dict) and isinstance(over[key], dict)
    }
    return {**base, **over, **nested}
