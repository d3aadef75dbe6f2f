"""Predictions of frames that come one after another."""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import cv2
import numpy as np

from limelight.foundation.errors import UserError
from limelight.inference.prediction import Prediction
from limelight.inference.saliency import SaliencyPredictor
from limelight.models.inputs import clip_frames

_CUT = 0.2
"""Mean difference of two frames, of 1, from which they are of different scenes."""
_GLANCE = 32
"""Side that frames are compared at, pixels."""


class Stream:
    """Frames in, predictions out, in the same order, in memory that does not grow.

    A network of stills answers each frame at once, and so does a causal one of clips. Another network of clips answers
    as many frames at a time as it was trained on: each window begins after the one before. With a `look_ahead` each
    frame has a window of its own, of the latest frames, and waits for that many later ones: all frames but the first
    and last then see equally far, which costs more time. What windows share is computed once in PyTorch; exports,
    which take whole windows, compute it anew.

    Args:
        smoothing: share of the map before in each map, in [0, 1): less flicker of networks of stills, and more delay.
            It ends at a change of scene.
        look_ahead: later frames that each frame waits for, 0 to `frames` - 1 of the network's clips; None = windows one
            after another. For networks that need no later frames, None or 0.
        together: frames that a network of stills answers at a time, which is faster; they wait for the last of them.
        overlapped: work on two windows at a time, in threads, so that one can be prepared or finished while the other
            is in the network. Predictions come a window later; `close` ends the threads. Of no effect where windows
            overlap, and for causal networks.

    Example:
        stream = Stream(load("artifacts/stdnet-deploy"))
        for frame_HW3 in frames:
            for prediction in stream.push(frame_HW3):
                ...
        for prediction in stream.flush():
            ...

    Raises:
        UserError: `smoothing` is not in [0, 1), or the network has no such look-ahead.
    """

    def __init__(
        self,
        predictor: SaliencyPredictor,
        *,
        smoothing: float = 0.0,
        look_ahead: int | None = None,
        together: int = 1,
        overlapped: bool = False,
    ) -> None:
        if not 0 <= smoothing < 1:
            raise UserError(f"smoothing must be at least 0 and below 1, got {smoothing:g}")
        frames = 1 if predictor.streams else clip_frames(predictor.card.architecture.inputs) or 1
        if look_ahead is not None and not 0 <= look_ahead < frames:
            model = predictor.card.architecture.model
            if frames == 1:
                raise UserError(
                    f"a look-ahead (--look-ahead {look_ahead}) is for networks of clips; {model} sees one frame at a "
                    "time; leave it out"
                )
            raise UserError(
                f"the look-ahead (--look-ahead) of {model} is 0 to {frames - 1} frames, got {look_ahead}; change it or "
                "leave it out"
            )
        self._smoothing = smoothing
        self._windows: _Windows
        if predictor.streams:
            self._windows = _Steps(predictor)
        elif look_ahead is None or frames == 1:
            in_turn = _Overlapped if overlapped else _OneAfterAnother
            self._windows = in_turn(predictor, together if frames == 1 else frames)
        else:
            self._windows = _Sliding(predictor, frames, look_ahead)
        self._waiting: deque[np.ndarray] = deque()
        self._before: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def look_ahead(self) -> int:
        """How many later frames a frame may wait for."""
        return self._windows.look_ahead

    def push(self, frame_HW3: np.ndarray) -> list[Prediction]:
        """Take the next frame, and return the predictions that are ready.

        Args:
            frame_HW3: uint8 RGB; frames of a network of clips have one size.

        Raises:
            UserError: as `SaliencyPredictor.predict_clip`.
        """
        self._waiting.append(frame_HW3)
        return self._answered(self._windows.push(frame_HW3))

    def flush(self) -> list[Prediction]:
        """Return the predictions of all frames that wait. The stream goes on after it with the next frame."""
        return self._answered(self._windows.flush())

    def close(self) -> None:
        """Drop the frames that wait, and return once no thread works on any."""
        self._windows.close()
        self._waiting.clear()

    def _answered(self, predictions: list[Prediction]) -> list[Prediction]:
        frames = [self._waiting.popleft() for _ in predictions]
        return self._smoothed(frames, predictions) if self._smoothing else predictions

    def _smoothed(self, frames: Sequence[np.ndarray], predictions: Sequence[Prediction]) -> list[Prediction]:
        smoothed = []
        for frame_HW3, prediction in zip(frames, predictions, strict=True):
            glance = cv2.resize(frame_HW3, (_GLANCE, _GLANCE), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
            map_HW = prediction.saliency_HW
            if self._before is not None:
                glance_before, map_before_HW = self._before
                if map_before_HW.shape == map_HW.shape and np.abs(glance - glance_before).mean() < _CUT:
                    map_HW = self._smoothing * map_before_HW + (1 - self._smoothing) * map_HW
            self._before = glance, map_HW
            smoothed.append(Prediction(map_HW, prediction.milliseconds, prediction.uncertainty_HW))
        return smoothed


class _Windows(Protocol):
    """Which frames the network sees together, and when."""

    look_ahead: int

    def push(self, frame_HW3: np.ndarray) -> list[Prediction]: ...

    def flush(self) -> list[Prediction]: ...

    def close(self) -> None: ...


class _Steps:
    """Each frame as it comes, with what the network keeps of those before."""

    look_ahead = 0

    def __init__(self, predictor: SaliencyPredictor) -> None:
        self._predictor = predictor
        self._state: Any = None

    def push(self, frame_HW3: np.ndarray) -> list[Prediction]:
        prediction, self._state = self._predictor.predict_next(frame_HW3, self._state)
        return [prediction]

    def flush(self) -> list[Prediction]:
        return []

    def close(self) -> None:
        self._state = None


class _OneAfterAnother:
    """Windows that share no frame."""

    def __init__(self, predictor: SaliencyPredictor, frames: int) -> None:
        self._predictor, self.look_ahead = predictor, frames - 1
        self._frames: list[np.ndarray] = []

    def push(self, frame_HW3: np.ndarray) -> list[Prediction]:
        self._frames.append(frame_HW3)
        return self.flush() if len(self._frames) > self.look_ahead else []

    def flush(self) -> list[Prediction]:
        frames, self._frames = self._frames, []
        return self._predictor.predict_clip(frames) if frames else []

    def close(self) -> None:
        self._frames.clear()


class _Overlapped:
    """Windows that share no frame, two at a time: one is prepared or finished while the other is in the network."""

    def __init__(self, predictor: SaliencyPredictor, frames: int) -> None:
        self._predictor, self.look_ahead = predictor, 2 * frames - 1
        self._frames: list[np.ndarray] = []
        self._pool, self._begun = ThreadPoolExecutor(2, "window"), deque[Future[list[Prediction]]]()

    def push(self, frame_HW3: np.ndarray) -> list[Prediction]:
        self._frames.append(frame_HW3)
        if 2 * len(self._frames) <= self.look_ahead:
            return []
        self._begin()
        return self._begun.popleft().result() if len(self._begun) > 1 else []

    def flush(self) -> list[Prediction]:
        if self._frames:
            self._begin()
        begun, self._begun = self._begun, deque()
        return [prediction for each in begun for prediction in each.result()]

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._frames.clear()
        self._begun.clear()

    def _begin(self) -> None:
        frames, self._frames = self._frames, []
        self._begun.append(self._pool.submit(self._predictor.predict_clip, frames))


class _Sliding:
    """A window for each frame, of the latest ones; the map is that of the frame `look_ahead` before its last."""

    def __init__(self, predictor: SaliencyPredictor, frames: int, look_ahead: int) -> None:
        self._predictor, self.look_ahead = predictor, look_ahead
        self._window: deque[Any] = deque(maxlen=frames)
        self._open = 0
        """How many of the latest frames wait for their map."""

    def push(self, frame_HW3: np.ndarray) -> list[Prediction]:
        self._window.append(self._predictor.encode_frame(frame_HW3) if self._predictor.windows else frame_HW3)
        self._open += 1
        return self._answer(1) if self._open > self.look_ahead else []

    def flush(self) -> list[Prediction]:
        return self._answer(self._open)

    def close(self) -> None:
        self._window.clear()
        self._open = 0

    def _answer(self, count: int) -> list[Prediction]:
        """The maps of the first `count` frames that wait."""
        window, first = list(self._window), len(self._window) - self._open
        self._open -= count
        places = range(first, first + count)
        if self._predictor.windows:
            return [self._predictor.decode_frame(window, place) for place in places]
        predictions = self._predictor.predict_clip(window) if window else []
        return [predictions[place] for place in places]
