"""Samples of datasets as a network takes them."""

from typing import Protocol

from limelight.imaging.images import Picture, read_picture
from limelight.models.card import Card


class Scene(Protocol):
    """What is read of a sample, such as `limelight.data.manifest.Sample`."""

    @property
    def image(self) -> str: ...

    @property
    def companion(self) -> str | None: ...

    @property
    def modality(self) -> str: ...


def modality_of(sample: Scene, card: Card) -> str:
    """What a network sees a sample as: its own modality if the network takes that, else an image alone."""
    return sample.modality if sample.modality in card.architecture.companions else "rgb"


def read_sample(sample: Scene, card: Card) -> Picture:
    """A sample as the network of this card takes it.

    Raises:
        UserError: as `read_picture`.
    """
    modality = modality_of(sample, card)
    return read_picture(sample.image, None if modality == "rgb" else sample.companion, modality)
