"""Which windows make which batch of an epoch, at what size: a pure function of (seed, epoch).

One epoch is one permutation of all samples, labelled and unlabelled together; with `size: {order: passes}` it is one
permutation at each training size. An epoch is cut into whole batches: what is left over at its end waits for another
epoch's permutation, except where the whole set is smaller than one batch. The processes of a parallel training take
equally many, disjoint samples of each permutation, and train at the same size in the same step.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from limelight.config import Run
from limelight.data.manifest import Sample
from limelight.foundation.errors import UserError


@dataclass(frozen=True)
class BatchPlan:
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


def training_sizes(run: Run) -> list[int]:
    """Return the sides that a run trains at, pixels."""
    return run.size.training or [run.size.input]


def _passes(run: Run) -> int:
    return len(training_sizes(run)) if run.size.order == "passes" else 1


def _whole_batches(samples: int, run: Run, world: int) -> tuple[int, int]:
    """Return the batches per process and pass, and the samples per batch."""
    share = samples // world
    if share == 0:
        raise UserError(f"{samples} samples cannot be shared by {world} processes; add data or use fewer processes")
    batch_size = min(run.batch.size, share)
    return share // batch_size, batch_size


def groups_of(samples: Sequence[Sample], run: Run) -> list[np.ndarray]:
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


def plans(groups: Sequence[np.ndarray], run: Run, seed: int, epoch: int, rank: int, world: int) -> Iterator[BatchPlan]:
    """Yield the plans of an epoch's batches, in order."""
    count, batch_size = _whole_batches(sum(map(len, groups)), run, world)
    sizes = training_sizes(run)
    for number in range(_passes(run)):
        generator = np.random.default_rng((seed, epoch, number))
        shuffled, rounds = (turns[rank::world].ravel() for turns in _turns(groups, generator, world))
        drawn = generator.choice(sizes, count)
        for batch in range(count):
            part = slice(batch * batch_size, (batch + 1) * batch_size)
            size = sizes[number] if run.size.order == "passes" else int(drawn[batch])
            yield BatchPlan(tuple(shuffled[part].tolist()), size, (seed, epoch, number), tuple(rounds[part].tolist()))
