"""The batch of a plan: samples decoded, augmented, and put into the form that networks take."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import numpy as np
import torch

from limelight.config.augmentation import Step
from limelight.data import augmentation
from limelight.data.augmentation.picture import Effect, TrainingPicture
from limelight.data.batches.plans import BatchPlan
from limelight.data.classes import NO_CLASSES, VOID, Vocabulary, vocabulary
from limelight.data.manifest import Sample
from limelight.data.samples import Batch, DecodedSample, SampleStore
from limelight.data.windows import Window
from limelight.foundation.errors import UserError
from limelight.imaging.feeds import Pixels, levels, stack
from limelight.imaging.geometry import nearest, stretch
from limelight.models.card import MODALITIES, Normalisation
from limelight.models.inputs import WITH_COMPANION, Input, Size, as_stills


@dataclass(frozen=True)
class BatchMaker:
    """Makes the batch of a plan."""

    store: SampleStore
    windows: tuple[Window, ...]
    """Indices into the store's samples."""
    unlabelled: frozenset[str]
    """Splits whose masks, if any, must not be used."""
    normalisation: Normalisation
    inputs: tuple[Input, ...] = WITH_COMPANION
    """The inputs that the networks declare."""
    augment: tuple[Step, ...] | None = None
    """None = no augmentation: the store's pixels, stretched to the batch's size if they have another."""

    def __call__(self, plan: BatchPlan) -> Batch:
        size = (plan.size, plan.size)
        rows = [row for at in range(len(plan.indices)) for row in self._rows(at, plan)]
        samples = [row.sample for row in rows]
        labelled = [self._is_labelled(sample) for sample in samples]
        feeds = stack(as_stills(self.inputs), [row.pixels for row in rows], size, [row.table(size) for row in rows])
        tensors = {name: torch.from_numpy(array) for name, array in feeds.items()}
        has_labels = any(row.decoded.labels_HW is not None for row in rows)
        mask_BHW = np.zeros((len(rows), *size), np.float32)
        labels_BHW = np.full(mask_BHW.shape, VOID, np.int64) if has_labels else None
        teacher_BHW = np.zeros_like(mask_BHW) if self.store.maps else None
        for at, row in enumerate(rows):
            moved = row.moved(size)
            if labelled[at] and moved.mask_HW is not None:
                np.divide(moved.mask_HW, np.float32(255), out=mask_BHW[at])
            if labelled[at] and labels_BHW is not None and moved.labels_HW is not None:
                labels_BHW[at] = moved.labels_HW
            if teacher_BHW is not None and moved.teacher_HW is not None:
                np.divide(moved.teacher_HW, np.float32(255), out=teacher_BHW[at])
        tensors.pop("modality", None)  # every batch has it, even without companions
        return Batch(
            tensors.pop("image"),
            torch.from_numpy(mask_BHW)[:, None],
            torch.tensor(labelled),
            tensors.pop("companion", None),
            torch.tensor([MODALITIES.index(sample.modality) for sample in samples]),
            [sample.sample_id for sample in samples],
            tensors,
            None if labels_BHW is None else torch.from_numpy(labels_BHW),
            tuple(_classes(sample) for sample in samples) if has_labels else (),
            len(rows) // len(plan.indices),
            None if teacher_BHW is None else torch.from_numpy(teacher_BHW)[:, None],
        )

    def _rows(self, at: int, plan: BatchPlan) -> list["_Row"]:
        """Build the rows of one window's frames, all with the same augmentation."""
        window = self.windows[plan.indices[at]]
        samples, decoded = [self.store.samples[index] for index in window], [self._decoded(index) for index in window]
        drawn = None
        if self.augment is not None:
            repeat = plan.rounds[at : at + 1] if plan.rounds[at] else ()
            generator = np.random.default_rng((*plan.key, plan.indices[at], *repeat))
            drawn = augmentation.draw(self.augment, _common_size(samples, decoded), generator)
        lend = self._lent if self._lenders else None
        return [_Row(*each, drawn, self.normalisation, lend) for each in zip(samples, decoded, strict=True)]

    def _decoded(self, index: int) -> DecodedSample:
        """A sample without a mask that must not be used: `background` would take its object out."""
        decoded = self.store[index]
        return decoded if self._is_labelled(self.store.samples[index]) else replace(decoded, mask_HW=None)

    def _is_labelled(self, sample: Sample) -> bool:
        return sample.mask is not None and sample.split not in self.unlabelled

    @cached_property
    def _lenders(self) -> list[int]:
        """Indices of the samples whose objects may be pasted into others: photos with a mask, and nothing beside it."""
        return [
            index
            for index, each in enumerate(self.store.samples)
            if each.mask and each.labels == "mask" and each.modality == "rgb" and each.split not in self.unlabelled
        ]

    def _lent(self, at: float) -> TrainingPicture:
        """Return one of the lenders' pictures, as it is stored.

        Args:
            at: in [0, 1).
        """
        return _picture(self.store[self._lenders[int(at * len(self._lenders))]])


@dataclass
class _Row:
    """One sample of a batch on its way to the network's inputs."""

    sample: Sample
    decoded: DecodedSample
    drawn: tuple[Effect, ...] | None
    """None = no augmentation."""
    normalisation: Normalisation
    lend: Callable[[float], TrainingPicture] | None = None
    """See `TrainingPicture.lend`."""
    _moved: dict[Size, TrainingPicture] = field(default_factory=dict)

    def moved(self, size: Size) -> TrainingPicture:
        """Return the sample augmented, at a height and width."""
        if size not in self._moved:
            self._moved[size] = self._move(size)
        return self._moved[size]

    def pixels(self, size: Size) -> Pixels:
        """Return the augmented sample in the form that network inputs are made from."""
        moved = self.moved(size)
        companion_HW = moved.companion_HW
        if companion_HW is not None:
            companion_HW = companion_HW / np.float32(np.iinfo(companion_HW.dtype).max)
        return Pixels(moved.image_HW3, companion_HW, MODALITIES.index(self.sample.modality))

    def table(self, size: Size) -> np.ndarray:
        """Return the normalisation table, see `limelight.imaging.feeds.levels`."""
        moved = self.moved(size)
        return levels(self.normalisation, moved.contrast, moved.brightness)

    def _move(self, size: Size) -> TrainingPicture:
        decoded = self.decoded
        if self.drawn is None and decoded.size != size:
            decoded = stretched(decoded, size)
        picture = _picture(decoded, self.sample.modality, self.lend)
        return picture if self.drawn is None else augmentation.apply(picture, self.drawn, size)


def _picture(
    decoded: DecodedSample, modality: str = "rgb", lend: Callable[[float], TrainingPicture] | None = None
) -> TrainingPicture:
    parts = (decoded.image_HW3, decoded.mask_HW, decoded.companion_HW, decoded.labels_HW, decoded.teacher_HW)
    return TrainingPicture(*parts, void=VOID, modality=modality, lend=lend)


def _classes(sample: Sample) -> Vocabulary:
    return vocabulary(sample.dataset) if sample.labels == "classes" else NO_CLASSES


def _common_size(samples: Sequence[Sample], decoded: Sequence[DecodedSample]) -> Size:
    """Return the common size of a window's frames, whose augmentation is drawn once for all.

    Raises:
        UserError: they differ.
    """
    size = decoded[0].size
    for sample, each in zip(samples, decoded, strict=True):
        if each.size != size:
            raise UserError(
                f"sample {sample.sample_id} is {each.size[1]}x{each.size[0]} and {samples[0].sample_id} of its clip "
                f"{size[1]}x{size[0]}; bring the frames of a clip to one size"
            )
    return size


def stretched(decoded: DecodedSample, size: Size) -> DecodedSample:
    return decoded.map(partial(stretch, size=size), partial(nearest, size=size))
