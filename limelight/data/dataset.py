"""What the catalogue says of one dataset."""

from dataclasses import dataclass

from limelight.config import Labels
from limelight.data.class_source import ClassSource
from limelight.data.layouts import Parts
from limelight.models.card import Modality

UNKNOWN_LICENCE = "unknown, research use"
OWN_LICENCE = "MIT, as this repository"


@dataclass(frozen=True)
class Dataset:
    """One entry of the catalogue."""

    name: str
    sensor: Modality
    labels: Labels
    title: str
    layouts: tuple[Parts, ...]
    """Relative to data/datasets/<name>; the first that fits counts. Empty: those of `layouts.known_layouts`."""
    expected: dict[str, int]
    """Split -> number of `unit`s, as published. Empty where it depends on settings."""
    licence: str
    homepage: str = ""
    fetch: str = ""
    """What to download by hand, and where to put which part of it."""
    split: str | dict[str, float] | None = None
    """The split, or shares of splits, where folders name none; shares are drawn per image, or per clip."""
    classes: ClassSource | None = None
    soft_masks: bool = False
    """Intermediate grey levels are intended, so masks need not be black and white."""
    pack: bool = False
    """Comes with the repository, in data/raw."""

    @property
    def clips(self) -> bool:
        """Whether its pictures are frames of clips."""
        return any(part.clips for parts in self.layouts for part in parts)

    @property
    def unit(self) -> str:
        """What `expected` counts: 'images' or 'clips'."""
        return "clips" if self.clips else "images"

    def expected_text(self) -> str:
        """'train 700, test 300 images', or 'as set' where it depends on settings."""
        if not self.expected:
            return "as set"
        counts = ", ".join(f"{split} {count:,}" for split, count in self.expected.items())
        return f"{counts} {self.unit}"
