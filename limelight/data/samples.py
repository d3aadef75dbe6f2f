"""Decoded samples, kept in memory up to a bound, and the batches made of them."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from limelight.data.classes import Vocabulary, read_label_map, vocabulary
from limelight.data.manifest import Sample
from limelight.data.teacher_maps import read_map
from limelight.foundation.errors import UserError
from limelight.imaging.companions import fit_to, spread
from limelight.imaging.geometry import area, nearest, stretch
from limelight.imaging.images import read_companion, read_image
from limelight.imaging.masks import read_mask
from limelight.models.inputs import Size

Companions = Literal["spread", "stored"]
"""How companions become input, see `limelight.models.card.Prepare`."""


@dataclass(frozen=True)
class DecodedSample:
    """The pixels of one sample, all of one size, in as few bytes as hold them."""

    image_HW3: np.ndarray
    """uint8 RGB."""
    mask_HW: np.ndarray | None
    """uint8, 255 = salient; None = unlabelled."""
    companion_HW: np.ndarray | None
    """uint16: depth sensors give more than 8 bits."""
    labels_HW: np.ndarray | None = None
    """int16, see `limelight.data.classes.Vocabulary`; only of samples with labels 'classes'."""
    teacher_HW: np.ndarray | None = None
    """uint8, a teacher's map, 255 = salient; only where maps were made before the training."""

    @property
    def size(self) -> Size:
        """Height and width, pixels."""
        height, width = self.image_HW3.shape[:2]
        return height, width

    @property
    def nbytes(self) -> int:
        parts = (self.image_HW3, self.mask_HW, self.companion_HW, self.labels_HW, self.teacher_HW)
        return sum(part.nbytes for part in parts if part is not None)

    def map(
        self, change: Callable[[np.ndarray], np.ndarray], change_labels: Callable[[np.ndarray], np.ndarray]
    ) -> "DecodedSample":
        """Apply one change to every part that is present.

        Args:
            change_labels: for the labels, which must not be interpolated (classes 2 and 4 do not average to class 3).
        """
        return DecodedSample(
            change(self.image_HW3),
            None if self.mask_HW is None else change(self.mask_HW),
            None if self.companion_HW is None else change(self.companion_HW),
            None if self.labels_HW is None else change_labels(self.labels_HW),
            None if self.teacher_HW is None else change(self.teacher_HW),
        )


@dataclass
class Batch:
    """Samples of one size, ready for a network: B = windows * frames in a row."""

    image_B3HW: Tensor
    """float32 RGB, normalised; stored channels last."""
    mask_B1HW: Tensor
    """float32 in [0, 1]; zeros where unlabelled."""
    labelled_B: Tensor
    """bool."""
    companion_B1HW: Tensor | None
    """float32 in [0, 1]; zeros where a sample has none, None where no sample has one."""
    modality_B: Tensor
    """int64, index into `limelight.models.card.MODALITIES`; 0 = no companion."""
    ids: list[str]
    further: dict[str, Tensor] = field(default_factory=dict)
    """Further inputs that networks declare besides image, companion and modality, by name."""
    labels_BHW: Tensor | None = None
    """int64: 1 to the number of the sample's classes, 0 background, -1 void; None where no sample has labels."""
    classes: tuple[Vocabulary, ...] = ()
    """Vocabulary of each sample, with no names if it has no labels. Empty if no sample has labels."""
    frames: int = 1
    """How many samples in a row are frames of one clip, in their order; 1 = stills. Divides the number of samples."""
    teacher_B1HW: Tensor | None = None
    """float32 in [0, 1], maps that a teacher made before the training."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def inputs(self) -> dict[str, Tensor | None]:
        """Inputs by the names that networks declare; without companions, 'modality' is None as well."""
        modality_B = None if self.companion_B1HW is None else self.modality_B
        given = {"image": self.image_B3HW, "companion": self.companion_B1HW, "modality": modality_B}
        return given | {"clip": self.image_B3HW.unflatten(0, (-1, self.frames))} | self.further

    def to(self, device: torch.device | str, channels_last: bool = True) -> "Batch":
        """Copy to a device; from pinned memory the copy runs beside the computation.

        Args:
            channels_last: the images' memory format there.
        """
        layout = torch.channels_last if channels_last else torch.contiguous_format
        moved = self._map(lambda tensor: tensor.to(device, non_blocking=True))
        return replace(moved, image_B3HW=moved.image_B3HW.contiguous(memory_format=layout))

    def pin(self) -> "Batch":
        """Copy to page-locked memory, from which `to` copies asynchronously."""
        return self._map(Tensor.pin_memory)

    pin_memory = pin  # the name that torch's DataLoader looks for

    def _map(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        tensors: dict[str, Any] = {
            name: change(value) for name, value in vars(self).items() if isinstance(value, Tensor)
        }
        return replace(self, **tensors, further={name: change(value) for name, value in self.further.items()})


@dataclass(eq=False)
class SampleStore:
    """Samples by number: decoded when first asked for, then kept while there is room.

    Samples that do not fit are decoded anew each time and nothing is evicted: every epoch visits every sample once, in
    another order, where evicting the least recently used would drop what is needed next.
    """

    samples: Sequence[Sample]
    prepare: Callable[[DecodedSample], DecodedSample]
    """Applied to every sample, cached or not, so that what is returned never depends on the room left."""
    capacity: int
    """Bytes."""
    maps: Path | None = None
    """Folder of a teacher's maps, see `limelight.data.teacher_maps`."""
    companions: Companions = "spread"
    """See `decode`."""
    _kept: dict[int, DecodedSample] = field(default_factory=dict, init=False, repr=False)
    _used: int = field(default=0, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def __getitem__(self, index: int) -> DecodedSample:
        """The sample's pixels; not to be written to.

        Raises:
            UserError: a file is missing or damaged, or its parts do not fit together; names the sample.
        """
        kept = self._kept.get(index)
        if kept is not None:
            return kept
        decoded = self.prepare(decode(self.samples[index], self.maps, self.companions))
        with self._lock:
            if index not in self._kept and self._used + decoded.nbytes <= self.capacity:
                self._kept[index] = decoded
                self._used += decoded.nbytes
        return decoded


def decode(sample: Sample, maps: Path | None = None, companions: Companions = "spread") -> DecodedSample:
    """Read a sample's files. All take the image's size.

    Args:
        maps: folder of a teacher's maps; one is read too.
        companions: 'spread' over the whole of [0, 1], or as they are 'stored'.

    Raises:
        UserError: a file is missing or damaged, or its parts do not fit together; names the sample.
    """
    try:
        image_HW3 = read_image(sample.image)
        size = image_HW3.shape[:2]
        mask_HW = labels_HW = companion_HW = teacher_HW = None
        if sample.mask is not None and sample.labels == "classes":
            labels_HW = read_labels(sample, size)
            mask_HW = np.where(labels_HW > 0, np.uint8(255), np.uint8(0))
        elif sample.mask is not None:
            mask_HW = _quantised(read_mask(sample.mask, size=size), np.uint8)
        if sample.companion is not None:
            companion_HW = read_companion(sample.companion, depth=sample.sensor == "rgbd")
            if companion_HW.shape != size:
                companion_HW = fit_to(companion_HW, size, f"companion {sample.companion}")
            if companions == "spread":
                companion_HW = spread(companion_HW, sample.sensor)
            companion_HW = _quantised(companion_HW, np.uint16)
        if maps is not None:
            teacher_HW = stretch(read_map(maps, sample), size)
    except UserError as error:
        raise UserError(f"sample {sample.sample_id}: {error}") from error
    return DecodedSample(image_HW3, mask_HW, companion_HW, labels_HW, teacher_HW)


def read_labels(sample: Sample, size: Size) -> np.ndarray:
    """The labels of a sample with a map of class ids, int16 (H, W), at a height and width.

    Raises:
        UserError: the label map or the dataset's table of classes is missing or damaged.
    """
    assert sample.mask is not None
    labels_HW = vocabulary(sample.dataset).labels(read_label_map(Path(sample.mask)))
    return nearest(labels_HW, size)


def shrink(decoded: DecodedSample, shorter_side: int) -> DecodedSample:
    """Downsample by averaging to a shorter side of `shorter_side` pixels; a smaller picture stays as it is.

    Networks with inputs of a few hundred pixels need no 12-megapixel photos, and memory holds a hundred times as many.
    """
    height, width = decoded.size
    scale = shorter_side / min(width, height)
    if scale >= 1:
        return decoded
    size = (round(height * scale), round(width * scale))
    return decoded.map(partial(area, size=size), partial(nearest, size=size))


def _quantised(share_HW: np.ndarray, kind: type[np.integer]) -> np.ndarray:
    """[0, 1] -> the whole range of an integer type, rounded to the nearest."""
    return np.rint(share_HW * np.float32(np.iinfo(kind).max)).astype(kind)
