"""Pictures without their object: what a network is to answer with an empty map."""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from limelight.config.augmentation import Background
from limelight.data.augmentation.picture import TrainingPicture
from limelight.models.inputs import Size

_MIN_SIDE = 0.3
"""Of a picture's side: thinner strips beside an object would be stretched too far."""
_MARGIN = 0.02
"""Of a picture's longer side: how far an object's shadow and its soft edge reach beyond the mask."""
_FILL_RADIUS = 3


@dataclass(frozen=True)
class BackgroundEffect:
    """Whether the object goes, and how."""

    active: bool = False
    crop: bool = False
    """Cut the largest strip beside the object, where there is one; else fill the object with what surrounds it."""

    def __call__(self, picture: TrainingPicture, size: Size) -> TrainingPicture:
        if not self.active or picture.mask_HW is None or not picture.mask_HW.any():
            return picture
        if self.crop and (strip := _largest_strip(picture.mask_HW)):
            return picture.moved(lambda pixels: pixels[strip])
        return _filled(picture.with_photometry_applied())


def draw_background(settings: Background, size: Size, generator: np.random.Generator) -> BackgroundEffect:
    first, second = generator.random(), generator.random()
    return BackgroundEffect(first < settings.probability, second < settings.crop)


def _largest_strip(mask_HW: np.ndarray) -> tuple[slice, slice] | None:
    """The largest of the four rectangles between the object's bounding box and a side; None if all are thin."""
    height, width = mask_HW.shape
    margin = round(_MARGIN * max(height, width))
    rows, columns = np.flatnonzero(mask_HW.any(axis=1)), np.flatnonzero(mask_HW.any(axis=0))
    whole = slice(None)
    strips = {
        (rows[0] - margin) / height: (slice(0, max(int(rows[0]) - margin, 0)), whole),
        (height - 1 - rows[-1] - margin) / height: (slice(int(rows[-1]) + 1 + margin, None), whole),
        (columns[0] - margin) / width: (whole, slice(0, max(int(columns[0]) - margin, 0))),
        (width - 1 - columns[-1] - margin) / width: (whole, slice(int(columns[-1]) + 1 + margin, None)),
    }
    share = max(strips)
    return strips[share] if share >= _MIN_SIDE else None


def _filled(picture: TrainingPicture) -> TrainingPicture:
    """Fill the object by Telea's fast marching; the labels there become unknown."""
    assert picture.mask_HW is not None
    margin = round(_MARGIN * max(picture.size))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * margin + 1, 2 * margin + 1))
    hole_HW = cv2.dilate((picture.mask_HW > 0).astype(np.uint8), kernel)
    if hole_HW.all():
        return picture

    def fill(pixels: np.ndarray) -> np.ndarray:
        return cv2.inpaint(pixels, hole_HW, _FILL_RADIUS, cv2.INPAINT_TELEA)

    return replace(
        picture,
        image_HW3=fill(picture.image_HW3),
        mask_HW=np.zeros_like(picture.mask_HW),
        teacher_HW=None if picture.teacher_HW is None else np.zeros_like(picture.teacher_HW),
        companion_HW=None if picture.companion_HW is None else fill(picture.companion_HW),
        labels_HW=None
        if picture.labels_HW is None
        else np.where(hole_HW > 0, np.asarray(picture.void, picture.labels_HW.dtype), picture.labels_HW),
    )
