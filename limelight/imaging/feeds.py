"""Build a network's declared inputs from picture pixels, for training and inference alike.

Sharing this code rules out score differences from details such as another resize.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from limelight.foundation.errors import UserError
from limelight.imaging.companions import fit_companion, spread
from limelight.imaging.geometry import RESIZE
from limelight.models.card import MODALITIES, Card, Normalisation, Prepare
from limelight.models.inputs import Input, InputSource, Size

Feeds = dict[str, np.ndarray]
"""Input name -> its array, for a batch."""


@dataclass(frozen=True)
class Pixels:
    """One picture at one size, before normalisation."""

    image_HW3: np.ndarray
    """uint8 RGB."""
    companion_HW: np.ndarray | None
    """float32 in [0, 1]."""
    modality: int
    """Index into `MODALITIES`; 0 = no companion."""


PictureAt = Callable[[Size], Pixels]
"""Renders a picture of a batch at a given size."""


def stack(inputs: Sequence[Input], rows: Sequence[PictureAt], size: Size, tables: Sequence[np.ndarray]) -> Feeds:
    """Build every input of a network except its prompts.

    Args:
        rows: the pictures; each input is rendered at its own scale of `size`.
        tables: one per row, from `levels`.

    Returns:
        The inputs by name. Optional ones are omitted where no row has them. Images are stored channels last.
    """
    at = [cache(row) for row in rows]
    feeds = {}
    for each in inputs:
        if each.source != "prompt":
            own = each.scaled(size)
            array = MAKERS[each.source]([row(own) for row in at], tables)
            if array is not None:
                feeds[each.name] = array
    return feeds


def _images(rows: Sequence[Pixels], tables: Sequence[np.ndarray]) -> np.ndarray:
    """float32 (B, 3, H, W), normalised."""
    image_BHW3 = np.empty((len(rows), *rows[0].image_HW3.shape), np.float32)
    for target_HW3, row, table in zip(image_BHW3, rows, tables, strict=True):
        cv2.LUT(row.image_HW3, table, dst=target_HW3)
    return image_BHW3.transpose(0, 3, 1, 2)


def _clips(rows: Sequence[Pixels], tables: Sequence[np.ndarray]) -> np.ndarray:
    """float32 (B, 1, 3, H, W): each picture a clip of its own, see `as_clip`."""
    return _images(rows, tables)[:, None]


def _companions(rows: Sequence[Pixels], tables: Sequence[np.ndarray]) -> np.ndarray | None:
    """float32 (B, 1, H, W) in [0, 1], zeros where a row has none; None where no row has one."""
    if all(row.companion_HW is None for row in rows):
        return None
    companion_B1HW = np.zeros((len(rows), 1, *rows[0].image_HW3.shape[:2]), np.float32)
    for target_1HW, row in zip(companion_B1HW, rows, strict=True):
        if row.companion_HW is not None:
            target_1HW[0] = row.companion_HW
    return companion_B1HW


def _modalities(rows: Sequence[Pixels], tables: Sequence[np.ndarray]) -> np.ndarray | None:
    """int64 (B); None where no row has a companion."""
    if all(row.companion_HW is None for row in rows):
        return None
    return np.array([row.modality for row in rows], np.int64)


MAKERS: Mapping[InputSource, Callable[[Sequence[Pixels], Sequence[np.ndarray]], np.ndarray | None]] = {
    "image": _images,
    "clip": _clips,
    "companion": _companions,
    "modality": _modalities,
}
"""Input source -> its builder. A new kind of input needs an entry here."""


def levels(normalisation: Normalisation, contrast: float = 1.0, brightness: float = 0.0) -> np.ndarray:
    """Tabulate the network's input for each of the 256 values of a channel.

    Returns:
        float32 (1, 256, 3): (clip(value / 255 * contrast + brightness, 0, 1) - mean) / std.
    """
    value = np.arange(256, dtype=np.float32)[:, None] / 255
    if (contrast, brightness) != (1.0, 0.0):
        value = np.clip(value * np.float32(contrast) + np.float32(brightness), 0, 1)
    mean, std = np.array(normalisation, np.float32)
    return ((value - mean) / std)[None]


# --------------------------------------------------------------------------------------------------------- of pictures
def picture_feeds(
    images: Sequence[np.ndarray],
    companions: Sequence[np.ndarray | None],
    modalities: Sequence[str],
    card: Card,
    size: Size,
    *,
    maximum: int | None = None,
) -> Feeds:
    """Build a network's inputs from whole pictures, as its card specifies.

    Args:
        images: uint8 HxWx3 RGB, each of any size.
        companions: one per image, as in `fit_companion`; ignored if the network does not support them.
        modalities: the modality of each picture.
        maximum: of parts of a picture: the whole one's `largest_value`, which they are normalised by where the card
            divides by the maximum; None = each array by its own.

    Raises:
        UserError: an array is not uint8 HxWx3 or is empty; see also `fit_companion`.
    """
    if not any(each.source == "companion" for each in card.architecture.inputs):
        companions = [None] * len(images)
    rows = [
        cache(_row(image_HW3, companion_HW, modality, card.prepare))
        for image_HW3, companion_HW, modality in zip(images, companions, modalities, strict=True)
    ]
    return stack(card.architecture.inputs, rows, size, [_table(row, size, card.prepare, maximum) for row in rows])


def largest_value(image_HW3: np.ndarray, size: Size, prepare: Prepare) -> int:
    """The largest value of a picture at the network's size, 0 to 255."""
    return int(RESIZE[prepare.filter](image_HW3, size).max())


def _table(row: PictureAt, size: Size, prepare: Prepare, maximum: int | None) -> np.ndarray:
    """Tabulate the network's input for each value of this picture; see `levels`."""
    if prepare.divide_by == "range":
        return levels(prepare.normalisation)
    largest = int(row(size).image_HW3.max()) if maximum is None else maximum
    return levels(prepare.normalisation, contrast=255 / max(largest, 1))


def _row(image_HW3: np.ndarray, companion_HW: np.ndarray | None, modality: str, prepare: Prepare) -> PictureAt:
    check_picture(image_HW3)
    resize = RESIZE[prepare.filter]
    own_HW = None if companion_HW is None else fit_companion(companion_HW, image_HW3.shape[:2])
    if own_HW is not None and prepare.companions == "spread":
        own_HW = spread(own_HW, modality)

    def at(size: Size) -> Pixels:
        # Bicubic resizing overshoots the range.
        resized_HW = None if own_HW is None else np.clip(resize(own_HW, size), 0, 1)
        return Pixels(resize(image_HW3, size), resized_HW, MODALITIES.index(modality))

    return at


def as_clip(inputs: Sequence[Input], feeds: Feeds) -> Feeds:
    """Join the frames in `feeds`, of which each is a clip of its own, to a single clip."""
    clips = {each.name for each in inputs if each.source == "clip"}
    return {name: array.swapaxes(0, 1) if name in clips else array for name, array in feeds.items()}


def single_rows(feeds: Feeds) -> Iterator[Feeds]:
    """Yield the rows one after another, as batches of one."""
    count = len(next(iter(feeds.values()))) if feeds else 0
    for index in range(count):
        yield {name: array[index : index + 1] for name, array in feeds.items()}


def complete(inputs: Sequence[Input], feeds: Feeds) -> Feeds:
    """Add zeros for omitted optional inputs: the graph of an export requires every input.

    Raises:
        UserError: a required input is absent.
    """
    if missing := [each.name for each in inputs if each.name not in feeds and not each.optional]:
        raise UserError(f"the network needs {', '.join(missing)}, got {', '.join(feeds) or 'nothing'}")
    scale = inputs[0].scale
    batch, *_, height, width = feeds[inputs[0].name].shape
    size = round(height / scale), round(width / scale)
    return {
        each.name: np.ascontiguousarray(feeds[each.name])
        if each.name in feeds
        else np.zeros(each.dimensions(batch, size), each.dtype)
        for each in inputs
    }


def check_picture(image_HW3: np.ndarray) -> None:
    """Raise a UserError where it is no array, not uint8 HxWx3, or empty."""
    if not isinstance(image_HW3, np.ndarray):
        raise UserError(
            f"a picture must be a uint8 array of shape (height, width, 3), got {type(image_HW3).__name__}; "
            "limelight.imaging.images.read_image reads files"
        )
    if image_HW3.dtype != np.uint8 or image_HW3.ndim != 3 or image_HW3.shape[2] != 3 or image_HW3.size == 0:
        raise UserError(
            f"a picture must be a uint8 array of shape (height, width, 3), got {image_HW3.dtype} {image_HW3.shape}"
        )
