"""Result styles: which files to make from a prediction, and the meaning of their labels."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from limelight.foundation.errors import UserError
from limelight.imaging.encoding import FILE_TYPES, JPEG, LOSSY, encode, with_dpi
from limelight.imaging.geometry import to_picture
from limelight.imaging.header import MAX_PIXELS
from limelight.imaging.images import Photo
from limelight.imaging.transparency import without_hidden
from limelight.inference.prediction import Prediction
from limelight.inference.segment import BACKGROUND, Segmentation
from limelight.media.labels import MAX_INDEXED, encode_labels
from limelight.media.legend import overlay
from limelight.media.outputs import Layer, Output, adjust, output
from limelight.media.video.formats import FORMATS

Result = Prediction | Segmentation

UNCERTAINTY = "uncertainty"
LABEL_KINDS, KINDS_PER_CLASS = ("labels", "overlay"), ("labels", "overlay", "map", "npy")
"""Kinds that show labels; kinds that differ where there are several classes."""
EXACT = ("map16", "npy", "labels")
"""Kinds of exact numbers, which file types other than PNG cannot all store."""
_MAX_NAME_CHARS = 40
"""Most letters of a class name in a file name."""


@dataclass(frozen=True)
class Style:
    """The files to make from a saliency map.

    Args:
        kind: see `limelight.media.outputs`.
        threshold, reverse: see `limelight.media.outputs.adjust`.
        uncertainty: also write the ensemble's disagreement, as 16-bit grey whose white is 0.5.
        file_type: type of 8-bit pictures; see `limelight.imaging.encoding`.
        quality: quality of JPEG and WebP; see `encode`.
        max_pixels: limit for a picture and for a background picture; larger ones are refused.
    """

    kind: str
    threshold: float | None = None
    reverse: bool = False
    uncertainty: bool = False
    file_type: str = ".png"
    quality: int | None = None
    max_pixels: int = MAX_PIXELS

    def __post_init__(self) -> None:
        name = self.name  # raises for an unknown kind
        if self.file_type == ".npy":
            raise UserError("numbers as they are (.npy) are of kind npy; ask for that kind, and leave the format out")
        if self.file_type in FORMATS:
            raise UserError(f"--format {self.file_type[1:]} is for videos, and these are pictures; leave it out")
        if self.file_type not in FILE_TYPES:
            types = f"{', '.join(FILE_TYPES[:-1])} or {FILE_TYPES[-1]}"
            raise UserError(f"results are {types} files, not {self.file_type}; choose another")
        if self.kind in EXACT and self.file_type != ".png":
            exact = ".npy" if self.kind == "npy" else ".png"
            raise UserError(
                f"results of kind {name} are {exact} files: a {self.file_type} file cannot hold the numbers"
            )
        if self.kind == "rgba" and self.file_type in JPEG:
            raise UserError("a JPEG has no transparency, which kind rgba needs; choose .png or .webp, or another kind")
        if self.quality is not None and self.file_type not in LOSSY:
            raise UserError(f"--quality is for JPEG and WebP, but these are {self.suffix} files; leave it out")

    @cached_property
    def output(self) -> Output:
        """The output that draws one map.

        Raises:
            UserError: an unknown kind.
        """
        return output(self.kind, self.max_pixels)

    @property
    def name(self) -> str:
        """The kind, as a folder name."""
        return self.output.name

    @property
    def moving(self) -> Path | None:
        """The video to put behind the object, if the kind is one."""
        return self.output.moving

    @property
    def files(self) -> list[Path]:
        """What it reads besides the pictures: a background."""
        return [] if self.name == self.kind or self.output.background_sha256 is None else [Path(self.kind)]

    @property
    def suffix(self) -> str:
        """Suffix of the kind's own files."""
        return ".npy" if self.kind == "npy" else self.file_type

    @property
    def endings(self) -> list[str]:
        """Endings of the files made from one picture, to be appended to its name."""
        return [*self._endings(), *([f".{UNCERTAINTY}.png"] if self.uncertainty else [])]

    @property
    def settings(self) -> dict[str, Any]:
        """All settings that the files depend on besides the prediction, as JSON."""
        background = None if self.kind in KINDS_PER_CLASS else self.output.background_sha256
        on = {} if background is None else {"background_sha256": background}
        stored = {} if self.file_type == ".png" else {"file_type": self.file_type, "quality": self.quality}
        return {"kind": self.name, "threshold": self.threshold, "reverse": self.reverse, **on, **stored}

    def render(self, photo: Photo, prediction: Result) -> list[bytes]:
        """Render the files' contents, one per ending.

        Raises:
            UserError: the result is larger than its file type allows.
        """
        files = list(self._files(photo, prediction))
        if self.uncertainty:
            assert prediction.uncertainty_HW is not None, "an ensemble's"
            files.append(encode(np.rint(2 * 65535 * prediction.uncertainty_HW).astype(np.uint16), dpi=photo.dpi))
        return files

    def pixels(
        self,
        image_HW3: np.ndarray,
        saliency_HW: np.ndarray,
        backdrop_HW3: np.ndarray | None = None,
        aspect: float = 1.0,
    ) -> np.ndarray:
        """Render the result of an opaque picture, such as a video's frame; see `Output.render`."""
        return self.output.render(image_HW3, self._adjusted(saliency_HW), backdrop_HW3=backdrop_HW3, aspect=aspect)

    def _endings(self) -> list[str]:
        return [self.suffix]

    def _files(self, photo: Photo, prediction: Result) -> Iterator[bytes]:
        assert isinstance(prediction, Prediction), "see PictureJob"
        fitted = _fitted(photo, prediction.saliency_HW.shape)
        yield self._drawn(fitted, self._adjusted(prediction.saliency_HW))

    def _adjusted(self, map_HW: np.ndarray) -> np.ndarray:
        return adjust(map_HW, threshold=self.threshold, reverse=self.reverse)

    def _drawn(self, photo: Photo, map_HW: np.ndarray) -> bytes:
        return self._encoded(photo, self.output.render(photo.image_HW3, map_HW, photo.transparency))

    def _encoded(self, photo: Photo, pixels: np.ndarray) -> bytes:
        return encode(pixels, self.file_type, quality=self.quality, dpi=photo.dpi)


@dataclass(frozen=True)
class LabelStyle(Style):
    """The files to make from a segmentation into classes.

    'labels': a palette PNG, or 16-bit grey for more than 255 classes. 'overlay': the picture tinted by class, above a
    legend. 'map': a grey PNG per class. 'npy': all class maps as one float32 KxHxW. Any other kind treats the classes
    together as one object.
    """

    classes: tuple[str, ...] = ()
    template: str | None = None
    background: float = BACKGROUND

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind in LABEL_KINDS and (self.threshold is not None or self.reverse):
            raise UserError(f"--threshold and --reverse do not apply to kind {self.kind}; use --background instead")

    @property
    def name(self) -> str:
        return self.kind if self.kind in KINDS_PER_CLASS else super().name

    @property
    def moving(self) -> Path | None:
        return None if self.kind in KINDS_PER_CLASS else super().moving

    @property
    def settings(self) -> dict[str, Any]:
        named = {"classes": list(self.classes), "template": self.template, "background": self.background}
        return {**super().settings, **named}

    @property
    def legend(self) -> dict[str, str]:
        """Meaning of each label, as JSON."""
        return {str(label): name for label, name in enumerate(self.classes, start=1)}

    def _endings(self) -> list[str]:
        if self.kind == "map":
            return [f".{name}{self.suffix}" for name in file_names(self.classes)]
        return super()._endings()

    def _files(self, photo: Photo, prediction: Result) -> Iterator[bytes]:
        assert isinstance(prediction, Segmentation), "see PictureJob"
        size = prediction.labels_HW.shape
        photo = _fitted(photo, size)
        labels_HW = without_hidden(prediction.labels_HW, photo.transparency)
        maps = (self._adjusted(to_picture(map_hw, size)) for map_hw in prediction.probability_Khw)
        if self.kind == "labels" and len(self.classes) > MAX_INDEXED:
            yield encode(labels_HW.astype(np.uint16), dpi=photo.dpi)
        elif self.kind == "labels":
            yield with_dpi(encode_labels(labels_HW), photo.dpi)
        elif self.kind == "overlay":
            yield self._encoded(photo, overlay(photo.image_HW3, labels_HW, self.classes))
        elif self.kind == "npy":
            yield encode(np.stack([Layer(photo.image_HW3, map_HW, photo.transparency).alpha_HW for map_HW in maps]))
        elif self.kind == "map":
            yield from (self._drawn(photo, map_HW) for map_HW in maps)
        else:
            yield self._drawn(photo, self._adjusted(to_picture(prediction.probability_Khw.max(0), size)))


def file_names(classes: Sequence[str]) -> list[str]:
    """Turn each class into part of a file name; numbered where two would be equal."""
    slugs = [re.sub(r"\W+", "-", name.casefold()).strip("-")[:_MAX_NAME_CHARS] for name in classes]
    if len({*slugs, "", UNCERTAINTY}) == len(slugs) + 2:
        return slugs
    return [f"{label}-{slug}" for label, slug in enumerate(slugs, start=1)]


def _fitted(photo: Photo, size: tuple[int, ...]) -> Photo:
    """Resize the photo and its transparency to the result's size, which may be the network's input size."""
    height, width = size
    if photo.image_HW3.shape[:2] == (height, width):
        return photo
    return photo._replace(
        image_HW3=cv2.resize(photo.image_HW3, (width, height), interpolation=cv2.INTER_AREA),
        transparency=photo.transparency and photo.transparency.resized((height, width)),
    )
