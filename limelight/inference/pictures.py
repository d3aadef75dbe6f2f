"""Pictures with their companions, read from files."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from limelight.data.manifest import Sample
from limelight.inference.preprocess import fit_companion
from limelight.inference.shortage import told_in_a_line
from limelight.media.images import read_companion, read_image
from models.card import Card


class Picture(NamedTuple):
    """What `Predictor.predict` is given of one scene."""

    image_HW3: np.ndarray
    """uint8 RGB."""
    companion_HW: np.ndarray | None = None
    """float32 in [0, 1], of the image's size."""
    modality: str = "rgb"
    """'rgb' where there is no companion."""
    notes: tuple[str, ...] = ()
    """What was ignored in reading it, such as a damaged colour profile."""
    omitted: str | None = None
    """The part of the file that is left out, such as all but the first frame of an animation, and what to do."""


@told_in_a_line()
def read_picture(image: Path | str | bytes, companion: Path | str | None = None, modality: str = "rgb") -> Picture:
    """Read a picture, and its companion where it has one.

    Raises:
        UserError: a file cannot be read, or the companion holds no reading or has other proportions; names the file.
        Shortage: it is too large for the memory.
    """
    image_HW3 = read_image(image)
    if companion is None:
        return Picture(image_HW3)
    what = f"companion {companion}"
    companion_HW = read_companion(companion, depth=modality == "rgbd")
    return Picture(image_HW3, fit_companion(companion_HW, image_HW3.shape[:2], what), modality)


def modality_of(sample: Sample, card: Card) -> str:
    """What a network sees a sample as: its own modality if the network takes that, else an image alone."""
    return sample.modality if sample.companion and sample.modality in card.companions else "rgb"


def read_sample(sample: Sample, card: Card) -> Picture:
    """A sample of the manifest as the network of this card takes it.

    Raises:
        UserError: as `read_picture`.
    """
    modality = modality_of(sample, card)
    return read_picture(sample.image, None if modality == "rgb" else sample.companion, modality)
