"""Pictures with their companions, read from files."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from limelight.imaging.companions import fit_companion
from limelight.imaging.header import MAX_PIXELS
from limelight.imaging.images import read_companion, read_photo
from limelight.imaging.transparency import Transparency
from limelight.inference.shortage import told_in_a_line
from limelight.models.card import Card

if TYPE_CHECKING:
    from limelight.data.manifest import Sample


class Picture(NamedTuple):
    """What `Predictor.predict` is given of one scene."""

    image_HW3: np.ndarray
    """uint8 RGB."""
    companion_HW: np.ndarray | None = None
    """float32 in [0, 1], of the image's size."""
    modality: str = "rgb"
    """'rgb' where there is no companion."""
    transparency: Transparency | None = None
    """Of the image; None if it is opaque."""
    dpi: tuple[float, float] | None = None
    """Of the image, across and down."""
    notes: tuple[str, ...] = ()
    """What was ignored in the image's file, such as a damaged colour profile."""
    omitted: str | None = None
    """What of its file the image lacks, such as the other frames of an animation."""


@told_in_a_line()
def read_picture(
    image: Path | str | bytes,
    companion: Path | str | bytes | None = None,
    modality: str = "rgb",
    max_pixels: int = MAX_PIXELS,
) -> Picture:
    """Read a picture, and its companion where it has one.

    Raises:
        UserError: a file cannot be read, or the companion holds no reading or has other proportions; names the file.
        Shortage: it is too large for the memory.
    """
    photo = read_photo(image, max_pixels=max_pixels)
    picture = Picture(photo.image_HW3, None, "rgb", *photo[1:])
    if companion is None:
        return picture
    what = "the companion" if isinstance(companion, bytes) else f"companion {companion}"
    companion_HW = read_companion(companion, depth=modality == "rgbd", max_pixels=max_pixels)
    companion_HW = fit_companion(companion_HW, photo.image_HW3.shape[:2], what)
    return picture._replace(companion_HW=companion_HW, modality=modality)


def modality_of(sample: "Sample", card: Card) -> str:
    """What a network sees a sample as: its own modality if the network takes that, else an image alone."""
    return sample.modality if sample.modality in card.architecture.companions else "rgb"


def read_sample(sample: "Sample", card: Card) -> Picture:
    """A sample of the manifest as the network of this card takes it.

    Raises:
        UserError: as `read_picture`.
    """
    modality = modality_of(sample, card)
    return read_picture(sample.image, None if modality == "rgb" else sample.companion, modality)
