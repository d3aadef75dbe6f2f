"""Batches made ahead of their use, by a thread or by processes: the same batches in the same order."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import cv2
import torch
from torch.utils.data import DataLoader, Dataset, Sampler
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from limelight.data.batches.maker import BatchMaker
from limelight.data.batches.plans import BatchPlan
from limelight.data.samples import Batch
from limelight.foundation.errors import UserError

PREFETCHED_BATCHES = 3
"""Made before they are used."""


def from_thread(maker: Callable[[BatchPlan], Batch], plans: Iterable[BatchPlan], pin: bool) -> Generator[Batch]:
    """Make batches in a thread, up to `PREFETCHED_BATCHES` before their use.

    OpenCV and torch let it run in parallel with the training.
    """

    def make(plan: BatchPlan) -> Batch:
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


def from_workers(maker: BatchMaker, plans: Iterable[BatchPlan], workers: int, pin: bool) -> Generator[Batch]:
    """Make batches in worker processes, which persist for the next epoch."""
    for batch in _epoch(maker, plans, workers, pin):
        if isinstance(batch, UserError):
            raise UserError(*batch.args)  # a new one: raising a local makes a reference cycle with its frame
        yield batch


def _epoch(maker: BatchMaker, plans: Iterable[BatchPlan], workers: int, pin: bool) -> Iterator[Batch | UserError]:
    """Yield the workers' batches; apart from `from_workers`, whose frame an exception keeps alive."""
    loader = _workers(maker, workers, pin)
    sampler = loader.sampler
    assert isinstance(sampler, _PlanSampler)
    sampler.plans = list(plans)
    return iter(loader)


_running: dict[tuple[BatchMaker, int, bool], DataLoader[Batch | UserError]] = {}
"""The loader whose processes wait for the next epoch, if any."""


def _workers(maker: BatchMaker, workers: int, pin: bool) -> DataLoader[Batch | UserError]:
    """Return the loader of these batches, made if it is not the last one; the processes of another one end first.

    They are shut down explicitly: otherwise the garbage collector may end them later, in any thread, and close file
    descriptors that have been reused by then.
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

    def __getitem__(self, plan: BatchPlan) -> Batch | UserError:
        try:
            return self.maker(plan)
        except UserError as error:  # raised here, it would arrive wrapped in the worker's traceback
            return error


class _PlanSampler(Sampler[BatchPlan]):
    """The plans of the current epoch."""

    plans: Sequence[BatchPlan] = ()

    def __iter__(self) -> Iterator[BatchPlan]:
        return iter(self.plans)

    def __len__(self) -> int:
        return len(self.plans)


def _as_it_is(batch: Any) -> Any:
    return batch


def _start_worker(_: int) -> None:
    cv2.setNumThreads(0)  # OpenCV's threads do not survive the fork
    os.setpgrp()  # a signal to the training's process group must reach only the training, which ends its workers itself
