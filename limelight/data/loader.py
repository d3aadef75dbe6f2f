"""Batches for training and validation: a pure function of (seed, epoch, index), whatever the number of workers.

One epoch is one permutation of all samples, labelled and unlabelled together; with `size: {order: passes}` it is one
permutation at each training size. An epoch is cut into whole batches: what is left over at its end waits for another
epoch's permutation, except where the whole set is smaller than one batch. The processes of a parallel training take
equally many, disjoint samples of each permutation, and train at the same size in the same step.

The units that are permuted and counted are windows of clips (`limelight.data.windows`); by default a window is one
frame, that is, one sample. All frames of a window are augmented alike.
"""

import math
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from limelight.config import Run
from limelight.config.augmentation import Step
from limelight.data import augmentation
from limelight.data.augmentation.picture import Effect, Picture
from limelight.data.classes import NO_CLASSES, VOID, Vocabulary, vocabulary
from limelight.data.manifest import Sample
from limelight.data.samples import Batch, Decoded, SampleStore, resize_labels, shrink
from limelight.data.windows import Window, evaluation_windows, training_windows
from limelight.foundation.errors import UserError
from limelight.imaging.feeds import Pixels, levels, stack
from limelight.imaging.geometry import stretch
from limelight.models.card import IMAGENET_MEAN, IMAGENET_STD, MODALITIES, Triple
from limelight.models.inputs import WITH_COMPANION, Input, Size, as_stills

PREFETCHED_BATCHES = 3
"""Batches prefetched."""
OVERSIZE = 1.25
"""Shorter side of a cached image / largest training size: leaves room for crops without losing detail."""


@dataclass(frozen=True)
class Plan:
    """The windows of one batch, and the seeds of all its randomness."""

    indices: tuple[int, ...]
    """Of windows; with one frame per window, of samples."""
    size: int
    key: tuple[int, ...]
    """Seeds every window's generator, together with the window's index and, if it is repeated, its round."""
    rounds: tuple[int, ...] = ()
    """How often each window was already used in this pass; irrelevant without augmentation."""


def batches_per_epoch(windows: int, run: Run, world: int = 1) -> int:
    """Return how many batches each of `world` processes sees in an epoch.

    Args:
        windows: number of windows, labelled and unlabelled; of stills, of samples.

    Raises:
        UserError: there are fewer samples than processes.
    """
    return _passes(run) * _whole_batches(windows, run, world)[0]


def epoch_batches(
    samples: Sequence[Sample],
    run: Run,
    *,
    seed: int,
    epoch: int,
    rank: int = 0,
    world: int = 1,
    start: int = 0,
    device: torch.device | str = "cpu",
    mean: Triple = IMAGENET_MEAN,
    std: Triple = IMAGENET_STD,
    inputs: Sequence[Input] = WITH_COMPANION,
    frames: int = 1,
    stride: int = 1,
    maps: Path | None = None,
) -> Generator[Batch]:
    """Yield one epoch's augmented training batches, prefetched by a thread (`compute.workers` = 0) or by processes.

    Equal arguments give equal batches. Decoded images are cached for the next epoch, up to `compute.cache_mb`; large
    ones are downsampled by averaging first, to 1.25 times the largest training size.

    Args:
        samples: all of them. Those with a mask count as labelled unless their split is one of `samples.unlabelled`.
        epoch: from 0.
        rank, world: this process's rank, and the number of processes.
        start: batches of this epoch to skip, since they are done already.
        device: where the batches will be used; for a GPU they are in pinned memory.
        mean, std: the model card's normalisation, per channel of RGB in [0, 1].
        inputs: what the batches must hold, see `Learner.inputs`.
        frames, stride: of windows, see `limelight.data.windows`; a batch has `batch.size` windows.
        maps: folder of a teacher's maps, which are augmented as the masks are.

    Raises:
        UserError: a file is missing or damaged (names the sample), there are fewer windows than processes, or frames of
            one clip differ in size.
    """
    samples = tuple(samples)
    windows = training_windows(samples, frames, stride)
    firsts = [samples[window[0]] for window in windows]
    plans = islice(_plans(_groups(firsts, run), run, seed, epoch, rank, world), start, None)
    workers = run.compute.workers
    share = max(workers, 1)  # each worker has its own cache
    store = _store(samples, round(OVERSIZE * max(_sizes(run))), (run.compute.cache_mb << 20) // share, maps)
    unlabelled = frozenset(run.samples.unlabelled)
    maker = BatchMaker(store, tuple(windows), unlabelled, mean, std, tuple(inputs), tuple(run.augment))
    pin = torch.device(device).type == "cuda"
    return _from_workers(maker, plans, workers, pin) if workers else _from_thread(maker, plans, pin)


def evaluation_batches(
    samples: Sequence[Sample],
    size: int,
    batch_size: int,
    *,
    rank: int = 0,
    world: int = 1,
    device: torch.device | str = "cpu",
    cache_mb: int = 512,
    mean: Triple = IMAGENET_MEAN,
    std: Triple = IMAGENET_STD,
    inputs: Sequence[Input] = WITH_COMPANION,
    frames: int = 1,
    stride: int = 1,
) -> Generator[Batch]:
    """Yield every sample once, in order, stretched to size x size as in inference, without augmentation.

    The last batch may be short.

    Args:
        batch_size: windows in a batch, all of one length; the last window of a clip may have another.
        rank, world: process `rank` of `world` takes every `world`-th window.
        cache_mb: limit of the resized images cached for the next call with the same samples and size.
        device, mean, std, inputs, frames, stride: as in `epoch_batches`.

    Raises:
        UserError: a file is missing or damaged; names the sample.
    """
    # An input at another scale is resized from the original picture, as in inference; then the original is cached.
    cached_size = size if all(each.scaled((size, size)) == (size, size) for each in inputs) else None
    windows = evaluation_windows(samples, frames, stride)[rank::world]
    own = sorted(index for window in windows for index in window)
    place = {index: at for at, index in enumerate(own)}
    store = _evaluation_store(tuple(samples[index] for index in own), cached_size, cache_mb << 20)
    moved = tuple(tuple(place[index] for index in window) for window in windows)
    maker = BatchMaker(store, moved, frozenset(), mean, std, tuple(inputs))
    alike = (list(group) for _, group in groupby(range(len(windows)), key=lambda at: len(windows[at])))
    parts = (group[at : at + batch_size] for group in alike for at in range(0, len(group), batch_size))
    plans = (Plan(tuple(part), size, ()) for part in parts)
    return _from_thread(maker, plans, torch.device(device).type == "cuda")


# ------------------------------------------------------------------------------------------------------------- planning
def _sizes(run: Run) -> list[int]:
    return run.size.training or [run.size.input]


def _passes(run: Run) -> int:
    return len(_sizes(run)) if run.size.order == "passes" else 1


def _whole_batches(samples: int, run: Run, world: int) -> tuple[int, int]:
    """Return the batches per process and pass, and the samples per batch."""
    share = samples // world
    if share == 0:
        raise UserError(f"{samples} samples cannot be shared by {world} processes; add data or use fewer processes")
    batch_size = min(run.batch.size, share)
    return share // batch_size, batch_size


def _groups(samples: Sequence[Sample], run: Run) -> list[np.ndarray]:
    """Group the windows' indices: all in one group, or one group per modality if batches are to be balanced.

    Args:
        samples: the first of each window.
    """
    if not run.samples.balance_modalities:
        return [np.arange(len(samples))]
    modalities = [sample.modality for sample in samples]
    return [np.flatnonzero([each == modality for each in modalities]) for modality in sorted(set(modalities))]


def _turns(groups: Sequence[np.ndarray], generator: np.random.Generator, world: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw indices and their rounds, both (turns, groups): each turn has one index per group, each group is shuffled.

    There are enough turns to cover the number of all samples; smaller groups repeat, in a new order each round.
    """
    total = sum(map(len, groups))
    turns = total if len(groups) == 1 else world * math.ceil(total / (len(groups) * world))
    rounds = [math.ceil(turns / len(group)) for group in groups]
    columns = [
        np.concatenate([generator.permutation(group) for _ in range(count)])[:turns]
        for group, count in zip(groups, rounds, strict=True)
    ]
    return np.stack(columns, axis=1), np.arange(turns)[:, None] // [len(group) for group in groups]


def _plans(groups: Sequence[np.ndarray], run: Run, seed: int, epoch: int, rank: int, world: int) -> Iterator[Plan]:
    """Yield the plans of an epoch's batches, in order."""
    count, batch_size = _whole_batches(sum(map(len, groups)), run, world)
    sizes = _sizes(run)
    for number in range(_passes(run)):
        generator = np.random.default_rng((seed, epoch, number))
        shuffled, rounds = (turns[rank::world].ravel() for turns in _turns(groups, generator, world))
        drawn = generator.choice(sizes, count)
        for batch in range(count):
            part = slice(batch * batch_size, (batch + 1) * batch_size)
            size = sizes[number] if run.size.order == "passes" else int(drawn[batch])
            yield Plan(tuple(shuffled[part].tolist()), size, (seed, epoch, number), tuple(rounds[part].tolist()))


# --------------------------------------------------------------------------------------------------------------- making
@dataclass(frozen=True)
class BatchMaker:
    """Makes the batch of a plan."""

    store: SampleStore
    windows: tuple[Window, ...]
    """Indices into the store's samples."""
    unlabelled: frozenset[str]
    """Splits whose masks, if any, must not be used."""
    mean: Triple
    std: Triple
    inputs: tuple[Input, ...] = WITH_COMPANION
    """The inputs that the networks declare."""
    augment: tuple[Step, ...] | None = None
    """None = no augmentation: the store's pixels, stretched to the batch's size if they have another."""

    def __call__(self, plan: Plan) -> Batch:
        size = (plan.size, plan.size)
        rows = [row for at in range(len(plan.indices)) for row in self._rows(at, plan)]
        samples = [row.sample for row in rows]
        labelled = [sample.mask is not None and sample.split not in self.unlabelled for sample in samples]
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

    def _rows(self, at: int, plan: Plan) -> list["_Row"]:
        """Build the rows of one window's frames, all with the same augmentation."""
        window = self.windows[plan.indices[at]]
        samples, decoded = [self.store.samples[index] for index in window], [self.store[index] for index in window]
        drawn = None
        if self.augment is not None:
            repeat = plan.rounds[at : at + 1] if plan.rounds[at] else ()
            generator = np.random.default_rng((*plan.key, plan.indices[at], *repeat))
            drawn = augmentation.draw(self.augment, _common_size(samples, decoded), generator)
        lend = self._lent if self._lenders else None
        return [_Row(*each, drawn, self.mean, self.std, lend) for each in zip(samples, decoded, strict=True)]

    @cached_property
    def _lenders(self) -> list[int]:
        """Indices of the samples whose objects may be pasted into others: photos with a mask, and nothing beside it."""
        return [
            index
            for index, each in enumerate(self.store.samples)
            if each.mask and each.labels == "mask" and each.modality == "rgb" and each.split not in self.unlabelled
        ]

    def _lent(self, at: float) -> Picture:
        """Return one of the lenders' pictures, as it is stored.

        Args:
            at: in [0, 1).
        """
        return _picture(self.store[self._lenders[int(at * len(self._lenders))]])


@dataclass
class _Row:
    """One sample of a batch on its way to the network's inputs."""

    sample: Sample
    decoded: Decoded
    drawn: tuple[Effect, ...] | None
    """None = no augmentation."""
    mean: Triple
    std: Triple
    lend: Callable[[float], Picture] | None = None
    """See `Picture.lend`."""
    _moved: dict[Size, Picture] = field(default_factory=dict)

    def moved(self, size: Size) -> Picture:
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
        return levels(self.mean, self.std, moved.contrast, moved.brightness)

    def _move(self, size: Size) -> Picture:
        decoded = self.decoded
        if self.drawn is None and decoded.size != size:
            decoded = _stretched(decoded, size)
        picture = _picture(decoded, self.sample.modality, self.lend)
        return picture if self.drawn is None else augmentation.apply(picture, self.drawn, size)


def _picture(decoded: Decoded, modality: str = "rgb", lend: Callable[[float], Picture] | None = None) -> Picture:
    parts = (decoded.image_HW3, decoded.mask_HW, decoded.companion_HW, decoded.labels_HW, decoded.teacher_HW)
    return Picture(*parts, void=VOID, modality=modality, lend=lend)


def _classes(sample: Sample) -> Vocabulary:
    return vocabulary(sample.dataset) if sample.labels == "classes" else NO_CLASSES


def _common_size(samples: Sequence[Sample], decoded: Sequence[Decoded]) -> Size:
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


# One training and one validation set at a time; an older set's images are released.
@lru_cache(maxsize=1)
def _store(samples: tuple[Sample, ...], shorter_side: int, capacity: int, maps: Path | None = None) -> SampleStore:
    return SampleStore(samples, partial(shrink, shorter_side=shorter_side), capacity, maps)


@lru_cache(maxsize=1)
def _evaluation_store(samples: tuple[Sample, ...], size: int | None, capacity: int) -> SampleStore:
    """Return the cached store of a set to evaluate.

    Args:
        size: side that samples are stored at, pixels; None = their own size.
    """
    return SampleStore(samples, _as_decoded if size is None else partial(_stretched, size=(size, size)), capacity)


def _as_decoded(decoded: Decoded) -> Decoded:
    return decoded


def _stretched(decoded: Decoded, size: Size) -> Decoded:
    return decoded.map(partial(stretch, size=size), partial(resize_labels, size=size))


# ---------------------------------------------------------------------------------------------------- thread, processes
def _from_thread(maker: Callable[[Plan], Batch], plans: Iterable[Plan], pin: bool) -> Generator[Batch]:
    """Make batches in a thread, up to `PREFETCHED_BATCHES` before their use.

    OpenCV and torch let it run in parallel with the training.
    """

    def make(plan: Plan) -> Batch:
        return maker(plan).pin() if pin else maker(plan)

    pool = ThreadPoolExecutor(1, "batches")
    pending: deque[Future[Batch]] = deque()
    try:
        for plan in plans:
            pending.append(pool.submit(make, plan))
            if len(pending) > PREFETCHED_BATCHES:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)  # waits for the batch in progress


def _from_workers(maker: BatchMaker, plans: Iterable[Plan], workers: int, pin: bool) -> Generator[Batch]:
    """Make batches in worker processes, which persist for the next epoch."""
    for batch in _epoch(maker, plans, workers, pin):
        if isinstance(batch, UserError):
            raise UserError(*batch.args)  # a new one: raising a local makes a reference cycle with its frame
        yield batch


def _epoch(maker: BatchMaker, plans: Iterable[Plan], workers: int, pin: bool) -> Iterator[Batch | UserError]:
    """Yield the workers' batches; apart from `_from_workers`, whose frame an exception keeps alive."""
    loader = _workers(maker, workers, pin)
    sampler = loader.sampler
    assert isinstance(sampler, _PlanSampler)
    sampler.plans = list(plans)
    return iter(loader)


_running: dict[tuple[BatchMaker, int, bool], DataLoader[Batch | UserError]] = {}
"""The loader whose processes wait for the next epoch, if any."""


def _workers(maker: BatchMaker, workers: int, pin: bool) -> DataLoader[Batch | UserError]:
    """Return the loader of these batches, made if it is not the last one; the processes of another one end first.

    They are told to: a loader that something still refers to would end them whenever the garbage collector frees it, in
    any thread, and close file descriptors that belong to others by then.
    """
    wanted = (maker, workers, pin)
    if wanted not in _running:
        while _running:
            _end(_running.popitem()[1])
        _running[wanted] = DataLoader(
            _PlanDataset(maker),
            batch_size=None,
            sampler=_PlanSampler(),
            num_workers=workers,
            collate_fn=_as_it_is,
            worker_init_fn=_start_worker,
            multiprocessing_context="fork",  # the sample store is inherited, not pickled
            pin_memory=pin,
            persistent_workers=True,
            generator=torch.Generator(),  # not torch's own, which dropout draws from: resuming is exact for any workers
        )
    return _running[wanted]


def _end(loader: DataLoader[Batch | UserError]) -> None:
    """End a loader's processes, which torch does by itself only when the loader is freed."""
    if isinstance(loader._iterator, _MultiProcessingDataLoaderIter):
        loader._iterator._shutdown_workers()


class _PlanDataset(Dataset[Batch | UserError]):
    """Maps plans (the keys) to batches (the items)."""

    def __init__(self, maker: BatchMaker) -> None:
        self.maker = maker

    def __getitem__(self, plan: Plan) -> Batch | UserError:
        try:
            return self.maker(plan)
        except UserError as error:  # raised here, it would arrive wrapped in the worker's traceback
            return error


class _PlanSampler(Sampler[Plan]):
    """The plans of the current epoch."""

    plans: Sequence[Plan] = ()

    def __iter__(self) -> Iterator[Plan]:
        return iter(self.plans)

    def __len__(self) -> int:
        return len(self.plans)


def _as_it_is(batch: Any) -> Any:
    return batch


def _start_worker(_: int) -> None:
    cv2.setNumThreads(0)  # OpenCV's threads do not survive the fork
    os.setpgrp()  # a signal to the training's process group must reach only the training, which ends its workers itself
