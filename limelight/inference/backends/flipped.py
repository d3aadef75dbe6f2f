"""Test-time flip: each picture is also looked at as its mirror image, and the two maps are averaged."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from limelight.imaging.feeds import Feeds
from limelight.inference.backends.backend import Backend, Maps
from limelight.models.inputs import Input, Size

_LEAST = np.float32(1e-6)
"""Where one map is sure of the object and the other of the background, they cancel."""


class FlippedBackend:
    """A backend whose maps are the mean, as logits, of the network's for a picture and for its mirror image.

    Args:
        inputs: what the network declares.
    """

    def __init__(self, backend: Backend, inputs: Sequence[Input]) -> None:
        self._backend = backend
        self._seen = {each.name for each in inputs if each.source in ("image", "clip", "companion")}
        self.takes, self.concurrent = backend.takes, backend.concurrent
        self.streams, self.windows = backend.streams, backend.windows

    def run(self, feeds: Feeds, seeds: Sequence[int] | None = None) -> Maps:
        mirrored = {name: _mirrored(array) if name in self._seen else array for name, array in feeds.items()}
        return _mean(self._backend.run(feeds, seeds), self._backend.run(mirrored, seeds))

    def step(self, image_13HW: np.ndarray, state: Any) -> tuple[Maps, Any]:
        before, mirrored_before = state or (None, None)
        maps, after = self._backend.step(image_13HW, before)
        mirrored, mirrored_after = self._backend.step(_mirrored(image_13HW), mirrored_before)
        return _mean(maps, mirrored), (after, mirrored_after)

    def encode(self, image_13HW: np.ndarray) -> Any:
        return self._backend.encode(image_13HW), self._backend.encode(_mirrored(image_13HW))

    def decode(self, window: Sequence[Any], place: int, size: Size) -> Maps:
        return _mean(*(self._backend.decode(part, place, size) for part in zip(*window, strict=True)))

    def encode_prompts(self, texts: Sequence[str]) -> np.ndarray:
        return self._backend.encode_prompts(texts)

    def choose_batch_size(self, batch_size: int, size: Size, *, prompts: int, companion: bool, option: str) -> int:
        return self._backend.choose_batch_size(batch_size, size, prompts=prompts, companion=companion, option=option)


def _mirrored(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array[..., ::-1])


def _mean(maps: Maps, mirrored: Maps) -> Maps:
    """The mean of two maps' logits, which needs no logarithm, and of their uncertainties."""
    p, q = maps.probability_BKhw, mirrored.probability_BKhw[..., ::-1]
    salient, background = np.sqrt(p * q) + _LEAST, np.sqrt((1 - p) * (1 - q)) + _LEAST
    uncertainty = maps.uncertainty_BKhw
    if uncertainty is not None and mirrored.uncertainty_BKhw is not None:
        uncertainty = (uncertainty + mirrored.uncertainty_BKhw[..., ::-1]) / 2
    return Maps(salient / (salient + background), uncertainty)
