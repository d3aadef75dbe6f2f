"""One set of weights in one runtime, ready to be timed; what the process of a row runs."""

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from limelight.imaging.feeds import Feeds
from limelight.imaging.geometry import network_size
from limelight.inference.backends import open_backend
from limelight.inference.backends.backend import Backend, check_size
from limelight.inference.plan import Plan, Request, plan
from limelight.inference.saliency import SaliencyPredictor
from limelight.models.inputs import Size, clip_frames
from limelight.models.weights import read_card

Protocol = Literal["pictures", "authors"]
PROTOCOLS: tuple[Protocol, ...] = ("pictures", "authors")
AUTHORS_SIDE, AUTHORS_CLIP_SIDE = 320, 256
"""Sides of the random pictures, and of the random clips' frames, that SDNet's and STDNet's authors time on."""


@dataclass(frozen=True)
class Job:
    """What a process is to load."""

    folder: Path
    runtime: str
    device: Literal["cpu", "cuda"] = "cpu"
    threads: int = 1
    size: int | None = None
    """Side that pictures are stretched to; None = as on the card, in `authors` theirs."""
    protocol: Protocol = "pictures"
    unmerged: bool = False
    """The training form in eager PyTorch, branch by branch, as it was published."""
    pictures: Sequence[np.ndarray] = ()
    clip: Sequence[np.ndarray] = ()
    """As many frames as the network takes, if it takes clips."""


@dataclass(frozen=True)
class Timing:
    """One call. The processor's time is that of all threads of the process."""

    total_ms: float
    network_ms: float
    cpu_ms: float


@dataclass(frozen=True)
class Subject:
    """A loaded network."""

    call: Callable[[], float]
    """Run once; returns the milliseconds of the network alone."""
    frames: int
    """Pictures or frames of a call."""
    is_video: bool
    size: Size
    """Height and width of the network's input; where pictures keep their proportions, of the one that is timed."""
    description: str = field(default="")

    def timed(self) -> Timing:
        """Call it once."""
        cpu, started = time.process_time(), time.perf_counter()
        network_ms = self.call()
        total_ms = 1000 * (time.perf_counter() - started)
        return Timing(total_ms, network_ms, 1000 * (time.process_time() - cpu))


def open_subject(job: Job) -> Subject:
    """Load what is to be timed.

    Raises:
        UserError: the weights, the runtime or the machine do not allow it.
    """
    card = read_card(job.folder)
    frames = clip_frames(card.architecture.inputs)
    size = job.size
    if size is None and job.protocol == "authors":
        size = AUTHORS_CLIP_SIDE if frames else AUTHORS_SIDE
    planned = plan(job.folder, card, Request(job.runtime, job.device, job.threads, size))
    backend = _backend(planned, unmerged=job.unmerged)
    check_size(backend.takes, planned.fixed)
    if job.protocol == "authors":
        return _of_noise(planned, backend, frames)
    predictor = SaliencyPredictor(planned, backend)
    return _of_clips(predictor, job.clip) if frames else _of_pictures(predictor, job.pictures)


def _backend(planned: Plan, *, unmerged: bool) -> Backend:
    if not unmerged:
        return open_backend(planned)
    from limelight.bench.unmerged import UnmergedBackend

    return UnmergedBackend(planned)


def _of_pictures(predictor: SaliencyPredictor, pictures: Sequence[np.ndarray]) -> Subject:
    """From pixels to a map of the picture's size, one picture at a time."""
    planned = predictor.plan
    # Runtimes prepare themselves for each size of input: a mean over sizes would be nobody's.
    shown = pictures if planned.fixed else pictures[:1]
    turn = itertools.cycle(shown)
    size = planned.fixed or network_size((shown[0].shape[0], shown[0].shape[1]), planned.card.prepare)
    return Subject(
        lambda: predictor.predict([next(turn)])[0].milliseconds["net"], 1, False, size, predictor.description
    )


def _of_clips(predictor: SaliencyPredictor, clip: Sequence[np.ndarray]) -> Subject:
    """From pixels to maps, a window of frames at a time, or frame by frame where the network and the runtime can."""
    planned = predictor.plan
    size = planned.fixed or network_size((clip[0].shape[0], clip[0].shape[1]), planned.card.prepare)
    if not predictor.streams:
        return Subject(
            lambda: sum(each.milliseconds["net"] for each in predictor.predict_clip(clip)),
            len(clip),
            True,
            size,
            predictor.description,
        )
    turn, state = itertools.cycle(clip), [None]

    def call() -> float:
        prediction, state[0] = predictor.predict_next(next(turn), state[0])
        return prediction.milliseconds["net"]

    return Subject(call, 1, True, size, predictor.description)


def _of_noise(planned: Plan, backend: Backend, frames: int | None) -> Subject:
    """Random numbers through the network alone."""
    assert planned.fixed is not None  # both protocols' sizes are given
    size, inputs = planned.fixed, planned.card.architecture.inputs
    generator = np.random.default_rng(0)
    feeds: Feeds = {
        each.name: generator.standard_normal(each.dimensions(1, size), np.float32)
        for each in inputs
        if not each.optional
    }
    streams = bool(frames) and backend.streams
    state: list[Any] = [None]

    def call() -> float:
        started = time.perf_counter()
        if streams:
            _, state[0] = backend.step(feeds[inputs[0].name][:, 0], state[0])
        else:
            backend.run(feeds)
        return 1000 * (time.perf_counter() - started)

    return Subject(call, 1 if streams else frames or 1, bool(frames), size, planned.description)
