"""Weights that come with the package, by name. Nothing here imports PyTorch."""

from pathlib import Path

FOLDER = Path(__file__).parent
DEFAULT = "limelight-base"
"""What saliency is found with where nothing is named and the pipeline has chosen no champion."""


def shipped_names() -> tuple[str, ...]:
    """Names of the weights that come with the package, the default first."""
    names = sorted(path.parent.name for path in FOLDER.glob("*/card.json"))
    return tuple(sorted(names, key=lambda name: name != DEFAULT))


def weights_folder(source: Path | str) -> Path:
    """Return the weights folder of a path or a name; a folder of that name goes before shipped weights."""
    path = Path(source)
    return FOLDER / path if not path.exists() and str(source) in shipped_names() else path
