"""Objects of other pictures, pasted in."""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from limelight.config.augmentation import Paste
from limelight.data.augmentation.picture import TrainingPicture
from limelight.models.inputs import Size

Box = tuple[slice, slice]


@dataclass(frozen=True)
class PasteEffect:
    """Which object, how large, and where."""

    active: bool = False
    lender: float = 0.0
    """Which of the pictures that could lend its object does, in [0, 1)."""
    scale: float = 0.5
    """The object's longer side / the picture's shorter side."""
    place: tuple[float, float] = (0.5, 0.5)
    """Of the object in the room that it leaves, down and to the right, in [0, 1]."""
    mirror: bool = False

    def __call__(self, picture: TrainingPicture, size: Size) -> TrainingPicture:
        if not self.active or picture.lend is None or not _plain(picture):
            return picture
        other = picture.lend(self.lender)
        if other.mask_HW is None or not other.mask_HW.any():
            return picture
        return self._pasted(picture.with_photometry_applied(), other, other.mask_HW)

    def _pasted(self, picture: TrainingPicture, other: TrainingPicture, mask_HW: np.ndarray) -> TrainingPicture:
        source = _box(mask_HW)
        sides = self._sides(mask_HW[source].shape, picture.size)
        corner = [round(at * (room - side)) for at, room, side in zip(self.place, picture.size, sides, strict=True)]
        target = (slice(corner[0], corner[0] + sides[0]), slice(corner[1], corner[1] + sides[1]))

        # INTER_AREA makes blocks when it enlarges.
        shrinks = max(sides) < max(mask_HW[source].shape)
        interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR

        def fitted(pixels: np.ndarray) -> np.ndarray:
            pixels = cv2.resize(pixels[source], sides[::-1], interpolation=interpolation)
            return cv2.flip(pixels, 1) if self.mirror else pixels

        alpha_HW = fitted(mask_HW) / np.float32(255)

        def over(below: np.ndarray, above: np.ndarray) -> np.ndarray:
            """`above`: the object's share, alpha already in it."""
            alpha = alpha_HW[..., None] if below.ndim == 3 else alpha_HW
            result = below.copy()
            result[target] = np.rint(below[target] * (1 - alpha) + above)
            return result

        mask = 255 * alpha_HW
        # A teacher's map is soft where its picture's mask is, so it has alpha in it; beyond the mask nothing is pasted.
        salience = mask if other.teacher_HW is None else np.minimum(fitted(other.teacher_HW), mask)
        return replace(
            picture,
            image_HW3=over(picture.image_HW3, fitted(other.image_HW3) * alpha_HW[..., None]),
            mask_HW=None if picture.mask_HW is None else over(picture.mask_HW, mask),
            teacher_HW=None if picture.teacher_HW is None else over(picture.teacher_HW, salience),
        )

    def _sides(self, given: tuple[int, ...], picture: Size) -> Size:
        """Height and width of the pasted object, pixels, in its proportions."""
        factor = self.scale * min(picture) / max(given)
        return max(1, round(given[0] * factor)), max(1, round(given[1] * factor))


def draw_paste(settings: Paste, size: Size, generator: np.random.Generator) -> PasteEffect:
    first, lender, mirror, down, right = generator.random(5).tolist()
    scale = generator.uniform(settings.least, settings.most)
    return PasteEffect(first < settings.probability, lender, scale, (down, right), mirror < 0.5)


def _plain(picture: TrainingPicture) -> bool:
    """Whether it has neither a companion nor classes, which an object of another picture could not be pasted into."""
    return picture.companion_HW is None and picture.labels_HW is None


def _box(mask_HW: np.ndarray) -> Box:
    rows, columns = np.flatnonzero(mask_HW.any(axis=1)), np.flatnonzero(mask_HW.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
