"""Where STDNet's temporal layers find a frame's neighbours: in a clip, in a stream, or in a window of frames.

Of a window, whose first and last frame are repeated in time, one frame's map is asked for. Each temporal layer looks
one frame further, so that the map depends on fewer frames the finer the level is: of the finest on 2 frames before and
after, of the coarsest on 8.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from limelight.models.inputs import BEGUN
from limelight.models.sdnet.video.temporal import stack_frames

LAYERS = 2
"""Temporal layers of a level."""
Span = tuple[int, int]
"""First and last frame of a window."""
State = dict[str, Tensor]
"""Of a stream: 'layer0' and so on, counted from the finest level -> what the two frames before gave it, (B, 2 C, h, w).
With 'begun', (B, 1, 1, 1), where a row is 0, its stream has not begun, and the rest of its state is of no account."""


def layer_name(level: int, place: int) -> str:
    """The key of a temporal layer in a `State`."""
    return f"layer{LAYERS * level + place}"


@dataclass(frozen=True)
class OfClips:
    """Every so many rows are a clip, and every frame is computed."""

    frames: int
    causal: bool

    def around(self, features_BCHW: Tensor, place: int) -> Tensor:
        return stack_frames(features_BCHW, self.frames, causal=self.causal)

    def kept(self, features_BCHW: Tensor, place: int) -> Tensor:
        return features_BCHW


@dataclass(frozen=True)
class OfStream:
    """Each row is the next frame of a stream, whose layers look at the two frames before."""

    level: int
    before: State
    """At the first frame of a stream, empty: it stands for the frames before it."""
    after: State
    """What the frame after this one will need; filled here."""

    def around(self, features_BCHW: Tensor, place: int) -> Tensor:
        layer = layer_name(self.level, place)
        if BEGUN in self.before:
            alike = torch.cat([features_BCHW, features_BCHW], 1)
            earlier = torch.where(self.before[BEGUN] > 0, self.before[layer], alike)
        else:
            earlier = self.before[layer] if self.before else torch.cat([features_BCHW, features_BCHW], 1)
        stack_B3CHW = torch.cat([earlier, features_BCHW], 1)
        self.after[layer] = stack_B3CHW[:, features_BCHW.shape[1] :]
        return stack_B3CHW

    def kept(self, features_BCHW: Tensor, place: int) -> Tensor:
        return features_BCHW


@dataclass(frozen=True)
class OfWindow:
    """Rows are the frames of `spans[0]`; each layer is computed for those of the span after it.

    Args:
        frames: of the window.
        spans: what goes into the first layer, comes out of it, and comes out of the second.
    """

    frames: int
    spans: Sequence[Span]

    def around(self, features_BCHW: Tensor, place: int) -> Tensor:
        (begin, _), (first, last) = self.spans[place], self.spans[place + 1]
        frames_TBCHW = self._by_frame(features_BCHW, place)
        wanted = [
            [min(max(frame + offset, 0), self.frames - 1) - begin for frame in range(first, last + 1)]
            for offset in (-1, 0, 1)
        ]
        return torch.cat([torch.cat([frames_TBCHW[index] for index in row]) for row in wanted], 1)

    def kept(self, features_BCHW: Tensor, place: int) -> Tensor:
        (begin, _), (first, last) = self.spans[place], self.spans[place + 1]
        return self._by_frame(features_BCHW, place)[first - begin : last + 1 - begin].flatten(0, 1)

    def _by_frame(self, features_BCHW: Tensor, place: int) -> Tensor:
        begin, end = self.spans[place]
        return features_BCHW.unflatten(0, (end + 1 - begin, -1))


def spans_of(place: int, frames: int, levels: int) -> list[list[Span]]:
    """For each level, finest first, the frames of a window that the map of one of them depends on: see `OfWindow`."""
    wanted, found = (place, place), []
    for _ in range(levels):
        spans = [wanted]
        for _ in range(LAYERS):
            first, last = spans[0]
            spans.insert(0, (max(first - 1, 0), min(last + 1, frames - 1)))
        found.append(spans)
        wanted = spans[0]
    return found
