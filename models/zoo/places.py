"""Where files and folders of published weights lie: in the cache, and in other programs' folders."""

import os
from pathlib import Path

from limelight.foundation.cache import cache_folder
from limelight.models.zoo.pin import Pin


def cache() -> Path:
    """The folder of everything below, by all projects of a user."""
    return cache_folder("weights")


def folder_of(pin: Pin) -> Path:
    """The weights folder that a published file becomes."""
    return cache() / f"{pin.name}-{pin.fingerprint}"


def file_of(pin: Pin) -> Path:
    """The published file, while it is fetched and imported; the user may put it there."""
    return cache() / "downloads" / pin.name / pin.file


def places_elsewhere(pin: Pin) -> list[Path]:
    """Where another program puts the same file, the newest version's place first."""
    if pin.program == "transparent-background":
        home = Path(os.environ.get("TRANSPARENT_BACKGROUND_FILE_PATH") or Path.home())
        return [home / ".transparent-background" / pin.file]
    if pin.program == "rembg":
        names = dict.fromkeys((f"{pin.name}.onnx", pin.file))
        return [folder / name for folder in _rembg_folders(pin.name) for name in names]
    return []


def _rembg_folders(name: str) -> list[Path]:
    """As rembg looks for them: a folder a model, then the one folder of its versions before."""
    data = os.environ.get("XDG_DATA_HOME")
    old = Path(os.environ.get("U2NET_HOME") or Path(data or Path.home(), ".u2net")).expanduser()
    new = Path(os.environ.get("REMBG_HOME") or (Path(data, "rembg") if data else Path.home() / ".rembg")).expanduser()
    return [home / "models" / name for home in (new, old)] + [old, new]
