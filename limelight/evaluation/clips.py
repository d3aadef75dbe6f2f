"""Scoring of clips by the protocol of video salient object detection.

Without a clip's first and last frame, figures are averaged over its frames, then over the clips (Su et al., TPAMI 2025,
and their predecessors). Beside them stands dtSSD, how much the error changes from frame to frame.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain, groupby, islice
from statistics import multimode

import numpy as np
from numpy.typing import NDArray

from limelight.data.manifest import Sample
from limelight.evaluation.averages import ERROR, standard_error
from limelight.evaluation.metrics import Pair, SaliencyScores, Scorer
from limelight.evaluation.sod import is_salient
from limelight.evaluation.worker import Source, read_map, read_truth
from limelight.foundation.errors import UserError

Found = tuple[Sample, Source | UserError]
"""A sample with its map, or why it has none."""


def score_with_clips(scorer: Scorer, found: Iterable[Found]) -> SaliencyScores:
    """Score maps of stills and of clips' frames, each clip's one after another.

    Raises:
        UserError: as `Scorer.score`.
    """
    clips: dict[str, str] = {}
    changes = Changes()
    scores = scorer.score(_scored(found, clips, changes), clips)
    return replace(scores, metrics=scores.metrics | changes.metrics())


@dataclass
class Changes:
    """How much the error of maps changes from one frame of a clip to the next: dtSSD.

    The root mean square over the pixels of (p_t - p_(t-1)) - (g_t - g_(t-1)), maps and masks in [0, 1], a mean over a
    clip's frames, then over the clips. Frames further apart than is usual in their clip do not count.
    Erofeev et al., 'Perceptually motivated benchmark for video matting' (BMVC 2015).
    """

    by_clip: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    """Clip -> how many numbers two frames lie apart, and the change from one to the other."""
    _before: tuple[str, int, NDArray[np.float32]] | None = None

    def add(self, clip: str, saliency: NDArray[np.uint8], truth: NDArray[np.uint8], frame: int = 0) -> None:
        """Add the next frame of a clip; one whose map has another size than its mask counts as missing.

        Args:
            frame: its number within the clip; without numbers, frames are all alike far apart.
        """
        before, self._before = self._before, None
        if saliency.shape != truth.shape:
            return
        error_HW = saliency.astype(np.float32) / np.float32(255) - is_salient(truth).astype(np.float32)
        if before is not None and before[0] == clip and before[2].shape == error_HW.shape:
            change = float(np.sqrt(np.square(error_HW - before[2]).mean()))
            self.by_clip.setdefault(clip, []).append((frame - before[1], change))
        self._before = clip, frame, error_HW

    def miss(self) -> None:
        """Count the next frame as missing: no change is measured across it."""
        self._before = None

    def metrics(self) -> dict[str, float]:
        """'dtssd', and of several clips its standard error; nothing without clips."""
        if not self.by_clip:
            return {}
        clips = []
        for changes in self.by_clip.values():
            usual = min(multimode(apart for apart, _ in changes))
            clips.append(float(np.mean([change for apart, change in changes if apart <= usual])))
        error = {"dtssd" + ERROR: standard_error(clips)} if len(clips) > 1 else {}
        return {"dtssd": float(np.mean(clips)), **error}


def _scored(found: Iterable[Found], clips: dict[str, str], changes: Changes) -> Iterator[Pair]:
    """Yield what is scored; note which clip frames are of, and how their errors change."""
    for (split, name), group in groupby(found, lambda each: (each[0].split, each[0].clip)):
        if name is None:
            yield from ((sample.sample_id, saliency, sample.mask or "") for sample, saliency in group)
            continue
        clip = f"{split}/{name}"  # which is unique in a dataset
        for (sample, saliency), counts in _with_ends(group):
            mask = sample.mask or ""
            clips[sample.sample_id] = clip
            if isinstance(saliency, UserError):
                changes.miss()
            else:
                changes.add(clip, read_map(saliency), read_truth(mask), sample.frame or 0)
            if counts:
                yield sample.sample_id, saliency, mask


def _with_ends(frames: Iterator[Found]) -> Iterator[tuple[Found, bool]]:
    """Yield a clip's frames, and whether each counts: its first and last do only where there is no other."""
    held = list(islice(frames, 3))
    if len(held) < 3:
        yield from ((frame, True) for frame in held)
        return
    yield held[0], False
    before = held[1]
    for frame in chain(held[2:], frames):
        yield before, True
        before = frame
    yield before, False
