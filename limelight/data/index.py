"""data/index.json: every dataset that is present and verified."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from limelight.config import Labels
from limelight.foundation.errors import UserError
from limelight.foundation.files import read_json, write_json
from limelight.models.card import Modality

INDEX = Path("data/index.json")
DATASETS = Path("data/datasets")
"""Downloaded and rendered datasets, one folder each."""


@dataclass(frozen=True)
class Entry:
    """One dataset on this machine."""

    root: str
    """Relative to the repository's root, or absolute outside it."""
    files: int
    sha256: str
    """Of the whole folder: names and contents (`hashes.tree_hash`)."""
    source: str
    """embedded, rendered, local, archive or manual."""
    licence: str
    sensor: Modality
    labels: Labels
    layout: dict[str, Any] | None
    """As given in params.yaml; None = the catalogue's, or detected."""


def write_index(entries: dict[str, Entry]) -> None:
    """Write the index; the same datasets give the same file."""
    write_json(INDEX, {"datasets": {name: asdict(entry) for name, entry in entries.items()}})


def read_index() -> dict[str, Entry]:
    """Read the index.

    Raises:
        UserError: it is missing or damaged.
    """
    tree = read_json(INDEX)
    try:
        return {name: Entry(**entry) for name, entry in tree["datasets"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{INDEX} is not an index of datasets ({error}); run the download stage anew") from None


def portable(path: Path | str) -> str:
    """Return a path as manifests and indexes store it: relative inside the working folder (the repository's root),
    absolute outside. Symbolic links are not resolved."""
    absolute = Path(path).absolute()
    here = Path.cwd()
    return absolute.relative_to(here).as_posix() if absolute.is_relative_to(here) else absolute.as_posix()
