"""Batches for training and validation: a pure function of (seed, epoch, index), whatever the number of workers.

Which samples make a batch is planned in `limelight.data.batches.plans`, made in `maker` and made ahead of its use in
`ahead`. The units that are permuted and counted are windows of clips (`limelight.data.windows`); by default a window is
one frame, that is, one sample. All frames of a window are augmented alike.
"""

from collections.abc import Generator, Sequence
from functools import lru_cache, partial
from itertools import groupby, islice
from pathlib import Path

import torch

from limelight.config import Run
from limelight.data.batches.ahead import from_thread, from_workers
from limelight.data.batches.maker import BatchMaker, stretched
from limelight.data.batches.plans import BatchPlan, groups_of, plans, training_sizes
from limelight.data.manifest import Sample
from limelight.data.samples import Batch, DecodedSample, SampleStore, shrink
from limelight.data.windows import evaluation_windows, training_windows
from limelight.models.card import IMAGENET, Normalisation
from limelight.models.inputs import WITH_COMPANION, Input

OVERSIZE = 1.25
"""Shorter side of a cached image / largest training size: leaves room for crops without losing detail."""


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
    normalisation: Normalisation = IMAGENET,
    inputs: Sequence[Input] = WITH_COMPANION,
    maps: Path | None = None,
) -> Generator[Batch]:
    """Yield one epoch's augmented training batches, prefetched by a thread (`compute.workers` = 0) or by processes.

    Equal arguments give equal batches. Decoded images are cached for the next epoch, up to `compute.cache_mb`; large
    ones are downsampled by averaging first, to 1.25 times the largest training size.

    Args:
        samples: all of them. Those with a mask count as labelled unless their split is one of `samples.unlabelled`.
        run: its settings; a batch has `batch.size` windows of `samples.frames`.
        epoch: from 0.
        rank, world: this process's rank, and the number of processes.
        start: batches of this epoch to skip, since they are done already.
        device: where the batches will be used; for a GPU they are in pinned memory.
        normalisation: the model card's.
        inputs: what the batches must hold, see `Learner.inputs`.
        maps: folder of a teacher's maps, which are augmented as the masks are.

    Raises:
        UserError: a file is missing or damaged (names the sample), there are fewer windows than processes, or frames of
            one clip differ in size.
    """
    samples = tuple(samples)
    windows = training_windows(samples, run.samples.frames, run.samples.stride)
    firsts = [samples[window[0]] for window in windows]
    planned = islice(plans(groups_of(firsts, run), run, seed, epoch, rank, world), start, None)
    workers = run.compute.workers
    share = max(workers, 1)  # each worker has its own cache
    store = _store(samples, round(OVERSIZE * max(training_sizes(run))), (run.compute.cache_mb << 20) // share, maps)
    unlabelled = frozenset(run.samples.unlabelled)
    maker = BatchMaker(store, tuple(windows), unlabelled, normalisation, tuple(inputs), tuple(run.augment))
    pin = torch.device(device).type == "cuda"
    return from_workers(maker, planned, workers, pin) if workers else from_thread(maker, planned, pin)


def evaluation_batches(
    samples: Sequence[Sample],
    size: int,
    batch_size: int,
    *,
    rank: int = 0,
    world: int = 1,
    device: torch.device | str = "cpu",
    cache_mb: int = 512,
    normalisation: Normalisation = IMAGENET,
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
        device, normalisation, inputs: as in `epoch_batches`.
        frames, stride: of windows, see `limelight.data.windows`.

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
    maker = BatchMaker(store, moved, frozenset(), normalisation, tuple(inputs))
    alike = (list(group) for _, group in groupby(range(len(windows)), key=lambda at: len(windows[at])))
    parts = (group[at : at + batch_size] for group in alike for at in range(0, len(group), batch_size))
    planned = (BatchPlan(tuple(part), size, ()) for part in parts)
    return from_thread(maker, planned, torch.device(device).type == "cuda")


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
    return SampleStore(samples, _as_decoded if size is None else partial(stretched, size=(size, size)), capacity)


def _as_decoded(decoded: DecodedSample) -> DecodedSample:
    return decoded
