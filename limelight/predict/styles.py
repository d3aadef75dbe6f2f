"""What is made of a prediction: the files of one picture, and what their labels mean."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np

from limelight.inference.preprocess import to_saliency
from limelight.inference.saliency import Prediction
from limelight.inference.segment import BACKGROUND, Segmentation
from limelight.media.labels import MOST_INDEXED, encode_labels
from limelight.media.legend import overlay
from limelight.media.outputs import Output, adjust, encode, output
from models.errors import UserError

UNCERTAINTY = "uncertainty"
HARD, OF_WORDS = ("labels", "overlay"), ("labels", "overlay", "map", "npy")
"""Kinds that show labels; kinds that are something else, or more, where there are several classes."""
_LONGEST = 40
"""Letters of a class in a file's name."""


@dataclass(frozen=True)
class Style:
    """What is made of a saliency map.

    Args:
        kind: see `limelight.media.outputs`.
        threshold, reverse: see `limelight.media.outputs.adjust`.
        uncertainty: also write what an ensemble disagrees about, as grey of 16 bits of which white is 0.5.
    """

    kind: str
    threshold: float | None = None
    reverse: bool = False
    uncertainty: bool = False

    def __post_init__(self) -> None:
        _ = self.name  # an unknown kind is to be found out at once

    @cached_property
    def output(self) -> Output:
        """How one map is drawn.

        Raises:
            UserError: an unknown kind.
        """
        return output(self.kind)

    @property
    def name(self) -> str:
        """Of the kind, as a folder's name."""
        return self.output.name

    @property
    def endings(self) -> list[str]:
        """Of the files that one picture makes, to be appended to its name."""
        return [*self._endings(), *([f".{UNCERTAINTY}.png"] if self.uncertainty else [])]

    @property
    def settings(self) -> dict[str, Any]:
        """All that the files depend on besides the prediction, as JSON."""
        background = None if self.kind in OF_WORDS else self.output.background_sha256
        on = {} if background is None else {"background_sha256": background}
        return {"kind": self.name, "threshold": self.threshold, "reverse": self.reverse, **on}

    def render(self, image_HW3: np.ndarray, found: Prediction | Segmentation) -> list[bytes]:
        """The files' contents, one per ending."""
        files = list(self._files(image_HW3, found))
        if self.uncertainty:
            files.append(encode(np.rint(2 * 65535 * found.uncertainty_HW).astype(np.uint16)))
        return files

    def _endings(self) -> list[str]:
        return [self.output.suffix]

    def _files(self, image_HW3: np.ndarray, found: Prediction) -> Iterator[bytes]:
        yield self._drawn(image_HW3, self._adjusted(found.saliency_HW))

    def _adjusted(self, map_HW: np.ndarray) -> np.ndarray:
        return adjust(map_HW, threshold=self.threshold, reverse=self.reverse)

    def _drawn(self, image_HW3: np.ndarray, map_HW: np.ndarray) -> bytes:
        return encode(self.output.render(_fitted(image_HW3, map_HW.shape), map_HW))


@dataclass(frozen=True)
class WordStyle(Style):
    """What is made of what words name.

    'labels': an indexed PNG, or a grey one of 16 bits for more than 255 classes. 'overlay': the picture tinted by
    class, over a legend. 'map': a grey PNG per class. 'npy': all of these as one float32 KxHxW. Any other kind is
    made of the classes together, as of one object.
    """

    classes: tuple[str, ...] = ()
    template: str | None = None
    background: float = BACKGROUND

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind in HARD and (self.threshold is not None or self.reverse):
            raise UserError(f"--threshold and --reverse say nothing to kind {self.kind}; --background decides there")

    @property
    def name(self) -> str:
        return self.kind if self.kind in OF_WORDS else super().name

    @property
    def settings(self) -> dict[str, Any]:
        words = {"classes": list(self.classes), "template": self.template, "background": self.background}
        return {**super().settings, **words}

    @property
    def legend(self) -> dict[str, str]:
        """What each label means, as JSON."""
        return {str(label): name for label, name in enumerate(self.classes, start=1)}

    def _endings(self) -> list[str]:
        if self.kind == "map":
            return [f".{name}.png" for name in file_names(self.classes)]
        return [".png"] if self.kind in HARD else super()._endings()

    def _files(self, image_HW3: np.ndarray, found: Segmentation) -> Iterator[bytes]:
        size = found.labels_HW.shape
        maps = (self._adjusted(to_saliency(map_hw, size)) for map_hw in found.probability_Khw)
        if self.kind == "labels" and len(self.classes) > MOST_INDEXED:
            yield encode(found.labels_HW.astype(np.uint16))
        elif self.kind == "labels":
            yield encode_labels(found.labels_HW)
        elif self.kind == "overlay":
            yield encode(overlay(_fitted(image_HW3, size), found.labels_HW, self.classes))
        elif self.kind == "npy":
            yield encode(np.stack(list(maps)))
        elif self.kind == "map":
            yield from (self._drawn(image_HW3, map_HW) for map_HW in maps)
        else:
            yield self._drawn(image_HW3, self._adjusted(to_saliency(found.probability_Khw.max(0), size)))


def file_names(classes: Sequence[str]) -> list[str]:
    """Each class as a part of a file's name; with their numbers where two would be the same."""
    slugs = [re.sub(r"\W+", "-", name.casefold()).strip("-")[:_LONGEST] for name in classes]
    if len({*slugs, "", UNCERTAINTY}) == len(slugs) + 2:
        return slugs
    return [f"{label}-{slug}" for label, slug in enumerate(slugs, start=1)]


def _fitted(image_HW3: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """The picture at the size of a result, which may have been left at the network's."""
    height, width = size
    if image_HW3.shape[:2] == (height, width):
        return image_HW3
    return cv2.resize(image_HW3, (width, height), interpolation=cv2.INTER_AREA)
