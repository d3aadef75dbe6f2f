"""Predictions of frames that come one after another."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from limelight.foundation.errors import UserError
from limelight.inference.predictor import Prediction, SaliencyPredictor
from limelight.models.inputs import clip_frames

_CUT = 0.2
"""Mean difference of two frames, of 1, from which they are of different scenes."""
_GLANCE = 32
"""Side that frames are compared at, pixels."""


class Stream:
    """Frames in, predictions out, in the same order.

    A network of stills answers each frame at once, and so does a causal one of clips in PyTorch, in memory that does
    not grow. Another network of clips answers as many frames at a time as it was trained on; its look-ahead is one
    less.

    Args:
        smoothing: share of the map before in each map, in [0, 1): less flicker of networks of stills, and more delay.
            It ends at a change of scene.

    Example:
        stream = Stream(load("artifacts/stdnet-deploy"))
        for frame_HW3 in frames:
            for prediction in stream.push(frame_HW3):
                ...
        for prediction in stream.flush():
            ...

    Raises:
        UserError: `smoothing` is not in [0, 1).
    """

    def __init__(self, predictor: SaliencyPredictor, *, smoothing: float = 0.0) -> None:
        if not 0 <= smoothing < 1:
            raise UserError(f"smoothing must be at least 0 and below 1, got {smoothing:g}")
        self._predictor, self._smoothing = predictor, smoothing
        self._together = 1 if predictor.streams else clip_frames(predictor.card.architecture.inputs) or 1
        self._state: Any = None
        self._waiting: list[np.ndarray] = []
        self._before: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def look_ahead(self) -> int:
        """How many later frames a frame may wait for."""
        return self._together - 1

    def push(self, frame_HW3: np.ndarray) -> list[Prediction]:
        """Take the next frame, and return the predictions that are ready.

        Args:
            frame_HW3: uint8 RGB; frames of a network of clips have one size.

        Raises:
            UserError: as `SaliencyPredictor.predict_clip`.
        """
        self._waiting.append(frame_HW3)
        return self.flush() if len(self._waiting) == self._together else []

    def flush(self) -> list[Prediction]:
        """Return the predictions of all frames that wait."""
        frames, self._waiting = self._waiting, []
        if not frames:
            return []
        if self._predictor.streams:
            prediction, self._state = self._predictor.predict_next(frames[0], self._state)
            predictions = [prediction]
        else:
            predictions = self._predictor.predict_clip(frames)
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
