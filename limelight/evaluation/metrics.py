"""Score many saliency maps in worker processes; results come back in order.

The result does not depend on the number of workers: images are scored separately and summed in the given order.
Except for IoU at one threshold, boundary IoU, thin IoU and mBA, which PySODMetrics lacks, it equals a single-process
run of PySODMetrics bit for bit.
"""

import multiprocessing
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from limelight.config import SlowMeasure
from limelight.evaluation.averages import ERROR, standard_error
from limelight.evaluation.worker import Outcome, Source, prepare_process, score_all, score_one
from limelight.foundation.errors import UserError
from limelight.foundation.this_process import cores

PER_IMAGE = ("Sm", "mae", "adpEm", "adpFm", "wFm", "iou", "mba")
SLOW = ("adpMSIoU", "hce")
"""The same of slow measures, only in scores for which these were requested."""
QUOTED = ("Sm", "mae", "wFm", "iou", "mba", *SLOW)
"""Metrics that are reported with standard errors."""
CURVES = ("precision", "recall", "f", "e", "iou", "biou", "tiou", "msiou")
"""The last is only in scores for which it was requested."""
SUMMARISED = {"e": "Em", "f": "Fm", "iou": "IoU", "biou": "BIoU", "tiou": "TIoU", "msiou": "MSIoU"}
"""Curve -> its name in the metrics max<name> and avg<name>."""
_PAIRS_PER_PARCEL, _PARCEL_BYTES = 4, 64 << 10
"""Images sent to a worker at a time, since a hand-over costs this process a tenth of what scoring an image costs the
worker; fewer if they are arrays larger than a pipe holds, as sending would block while the worker is busy."""
_PARCELS_IN_FLIGHT = 4
"""Parcels in flight per worker: enough to hide the hand-over, few enough to bound the memory."""

Pair = tuple[str, Source | UserError, Source]
"""An image's id, its 8-bit map and its ground truth. An error in the map's place becomes the image's failure."""


@dataclass(frozen=True)
class SaliencyScores:
    """Metrics over a set of images."""

    metrics: dict[str, float]
    """All of the task's metrics. max and avg are over the mean curve's 256 thresholds, as in PySODMetrics."""
    curves: dict[str, NDArray[np.float64]]
    """By name in CURVES: means over the images per threshold; index j is the 8-bit threshold 255 - j."""
    per_image: dict[str, dict[str, float]]
    """id -> the metrics in PER_IMAGE and SLOW, and the maximum and mean of the image's own curves in SUMMARISED."""
    failures: dict[str, str]
    """id -> why this image has no score."""
    empty: list[str]
    """Images whose ground truth has no salient pixel: their F, wF and curves of IoU are 0, their mBA is undefined."""
    full: list[str]
    """Images whose ground truth is entirely salient."""
    undefined: list[str]
    """Images where PySODMetrics' S is NaN (object centroid on the last row or column); excluded from mean S."""
    resized: list[str]
    """Images whose map was resized (bilinear) to the ground truth's size."""
    clips: dict[str, list[str]] = field(default_factory=dict)
    """Clip -> its images. Where there are any, metrics, curves and errors are over the clips' own means, not over
    images (see `limelight.evaluation.clips`); images without a clip are one each."""

    @property
    def figures(self) -> dict[str, float]:
        """The metrics, and standard errors '<metric>_se' of those in QUOTED; undefined ones are omitted."""
        quoted = [name for name in QUOTED if name in self.metrics]
        groups = list(self.clips.values()) or [[name] for name in self.per_image]
        errors = {
            name + ERROR: standard_error([_mean(self.per_image, group, name) for group in groups]) for name in quoted
        }
        return {name: value for name, value in (self.metrics | errors).items() if not np.isnan(value)}

    @property
    def counts(self) -> dict[str, int]:
        """Numbers of images: 'scored', 'failed', 'empty', 'full', 'undefined'."""
        return {
            "scored": len(self.per_image),
            "failed": len(self.failures),
            "empty": len(self.empty),
            "full": len(self.full),
            "undefined": len(self.undefined),
        }


class Scorer:
    """A pool of worker processes, reusable for several sets of images. A context manager.

    Workers come from a fork server that has imported only the metrics: forking this process would copy threads of torch
    or OpenVINO in an unknown state, and spawning would import everything anew for each worker.

    Args:
        workers: number of processes; None = one per core, 0 = score in this process.
        slow: the slow measures to compute too.
    """

    def __init__(self, workers: int | None = None, slow: Collection[SlowMeasure] = ()) -> None:
        self.workers = cores() if workers is None else workers
        self._slow = tuple(slow)
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> "Scorer":
        if self.workers:
            context = multiprocessing.get_context("forkserver")
            context.set_forkserver_preload(["limelight.evaluation.worker", "limelight.config"])
            self._pool = ProcessPoolExecutor(self.workers, context, prepare_process)
        return self

    def __exit__(self, *error: object) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def score(self, pairs: Iterable[Pair], clips: Mapping[str, str] | None = None) -> SaliencyScores:
        """Score maps against ground truths.

        Args:
            pairs: (id, map, ground truth) of each image; both uint8 (H, W) or a file. May be a generator: it is read
                ahead by a few images per worker, so that a network can predict the next map while earlier ones are
                scored.
            clips: id -> clip of images that are frames; may be filled while `pairs` are made.

        Raises:
            UserError: no image could be scored, an id is not unique, or a worker was killed.
        """
        totals = _Totals({} if clips is None else clips)
        try:
            for name, outcome in self._outcomes(pairs):
                totals.add(name, outcome)
        except BrokenProcessPool as error:
            raise UserError(
                f"one of {self.workers} metrics workers was killed, most likely out of memory; lower evaluate.workers"
            ) from error
        return totals.scores()

    def _outcomes(self, pairs: Iterable[Pair]) -> Iterator[tuple[str, Outcome]]:
        if self._pool is None:
            yield from ((name, score_one(saliency, truth, self._slow)) for name, saliency, truth in pairs)
            return
        waiting: deque[tuple[list[str], Future[list[Outcome]]]] = deque()
        for parcel in _parcels(pairs):
            names = [name for name, _, _ in parcel]
            maps = [(saliency, truth) for _, saliency, truth in parcel]
            waiting.append((names, self._pool.submit(score_all, maps, self._slow)))
            if len(waiting) > _PARCELS_IN_FLIGHT * self.workers:
                yield from _unpack(*waiting.popleft())
        for names, future in waiting:
            yield from _unpack(names, future)


def _parcels(pairs: Iterable[Pair]) -> Iterator[list[Pair]]:
    parcel: list[Pair] = []
    size = 0
    for pair in pairs:
        parcel.append(pair)
        size += sum(source.nbytes for source in pair[1:] if isinstance(source, np.ndarray))
        if len(parcel) == _PAIRS_PER_PARCEL or size >= _PARCEL_BYTES:
            yield parcel
            parcel, size = [], 0
    if parcel:
        yield parcel


def _unpack(names: list[str], future: "Future[list[Outcome]]") -> Iterator[tuple[str, Outcome]]:
    return zip(names, future.result(), strict=True)


@dataclass
class _Totals:
    """Running sums. Curves are summed row by row, which is how NumPy averages a stack of rows."""

    clips: Mapping[str, str]
    per_image: dict[str, dict[str, float]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    marked: dict[str, list[str]] = field(
        default_factory=lambda: {"empty": [], "full": [], "undefined": [], "resized": []}
    )
    groups: dict[str, list[str]] = field(default_factory=dict)
    """Clip -> its images; '' holds all stills."""
    curves: dict[str, dict[str, NDArray[np.float64]]] = field(default_factory=dict)
    """Group -> the sums of its images' curves."""

    def add(self, name: str, outcome: Outcome) -> None:
        if name in self.per_image or name in self.failures:
            raise UserError(f"two images are both called {name!r}; ids must be unique")
        scores = outcome.scores
        if scores is None:
            self.failures[name] = outcome.error
            return
        curves = {curve: own for curve in CURVES if (own := getattr(scores, f"{curve}_256")) is not None}
        group = self.clips.get(name, "")
        self.groups.setdefault(group, []).append(name)
        before = self.curves.get(group)
        self.curves[group] = {curve: before[curve] + own for curve, own in curves.items()} if before else curves
        row = {name: own for name in (*PER_IMAGE, *SLOW) if (own := getattr(scores, name)) is not None}
        self.per_image[name] = row | _summaries(curves)
        facts = {"empty": scores.empty, "full": scores.full, "resized": outcome.resized}
        for fact, is_true in {**facts, "undefined": bool(np.isnan(scores.Sm))}.items():
            if is_true:
                self.marked[fact].append(name)

    def scores(self) -> SaliencyScores:
        if not self.per_image:
            reason = next(iter(self.failures.values()), "there were none")
            raise UserError(f"none of {len(self.failures)} images could be scored; the first: {reason}")
        measured, groups = next(iter(self.per_image.values())), dict(self.groups)
        sums = [(self.curves[group], len(names)) for group, names in groups.items()]
        if self.clips and (stills := groups.pop("", [])):  # beside clips, each still counts as much as a clip
            groups |= {name: [name] for name in stills}
            sums = [(own, 1 if own is self.curves[""] else count) for own, count in sums]
        curves = {
            curve: _mean_of([own[curve] / count for own, count in sums], len(groups))
            for curve in next(iter(self.curves.values()))
        }
        metrics = {
            metric: _defined_mean([_mean(self.per_image, names, metric) for names in groups.values()])
            for metric in measured
        } | _summaries(curves)
        clips = groups if self.clips else {}
        return SaliencyScores(metrics, curves, self.per_image, self.failures, **self.marked, clips=clips)


def _mean_of(curves: Sequence[NDArray[np.float64]], count: int) -> NDArray[np.float64]:
    """The mean of several curves, some of which may be sums; of one, that curve."""
    mean: NDArray[np.float64] = sum(curves[1:], start=curves[0]) / count
    return mean


def _mean(per_image: Mapping[str, Mapping[str, float]], names: Iterable[str], metric: str) -> float:
    return _defined_mean([per_image[name][metric] for name in names])


def _defined_mean(values: Sequence[float]) -> float:
    """The mean of those that are defined; NaN if none is."""
    known = np.array(values)
    defined = known[~np.isnan(known)]
    return float(np.mean(defined)) if len(defined) else float("nan")


def _summaries(curves: Mapping[str, NDArray[np.float64]]) -> dict[str, float]:
    """Return the maximum and the mean of those curves that are in SUMMARISED."""
    figures: dict[str, float] = {}
    for curve, name in SUMMARISED.items():
        if curve in curves:
            figures |= {f"max{name}": float(curves[curve].max()), f"avg{name}": float(curves[curve].mean())}
    return figures
