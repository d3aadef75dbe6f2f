"""Dataset samples as a network's input pictures."""

from limelight.data.manifest import Sample
from limelight.imaging.images import Picture, read_picture
from limelight.models.card import Card


def modality_of(sample: Sample, card: Card) -> str:
    """Return the modality that a network uses for a sample: the sample's own if supported, else the image alone."""
    return sample.modality if sample.modality in card.architecture.companions else "rgb"


def read_sample(sample: Sample, card: Card) -> Picture:
    """Read a sample as a picture for the network of this card.

    Raises:
        UserError: as `read_picture`.
    """
    modality = modality_of(sample, card)
    return read_picture(sample.image, None if modality == "rgb" else sample.companion, modality)
