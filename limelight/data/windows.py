"""Windows of clips: which frames a network sees together.

A window holds `frames` frames of one clip, `stride` apart, in their order. Frames missing from the dataset
do not count: the next one takes their place. A still is a window of one frame.
"""

from collections.abc import Sequence

from limelight.data.manifest import Sample
from limelight.foundation.errors import UserError

Window = tuple[int, ...]
"""Indices of samples."""


def training_windows(samples: Sequence[Sample], frames: int = 1, stride: int = 1) -> list[Window]:
    """List all overlapping windows of `frames` frames; clips that are too short have none.

    Returns:
        Ordered by first frame; with one frame each, the samples in their order.

    Raises:
        UserError: `frames` is more than 1, and a sample is a still or no clip is long enough.
    """
    if frames == 1:
        return [(index,) for index in range(len(samples))]
    if still := next((sample for sample in samples if sample.clip is None), None):
        raise UserError(
            f"sample {still.sample_id} is not a frame of a clip, and windows have {frames} frames; leave its dataset "
            "out, or train on 1 frame"
        )
    reach = (frames - 1) * stride
    clips = _clips(samples)
    windows = [tuple(clip[first : first + reach + 1 : stride]) for clip in clips for first in range(len(clip) - reach)]
    if not windows:
        raise UserError(
            f"no clip has {reach + 1} frames, the longest of {len(clips)} has {max(map(len, clips), default=0)}; give "
            f"fewer than {frames} frames, or a smaller stride than {stride}"
        )
    return windows


def evaluation_windows(samples: Sequence[Sample], frames: int = 1, stride: int = 1) -> list[Window]:
    """Put every sample in exactly one window, clip after clip; the last windows of a clip may be shorter.

    Returns:
        In the order of the clips' first samples; with one frame each, the samples in their order.
    """
    if frames == 1:
        return [(index,) for index in range(len(samples))]
    length = frames * stride
    blocks = [clip[start : start + length] for clip in _clips(samples) for start in range(0, len(clip), length)]
    return [tuple(block[first::stride]) for block in blocks for first in range(min(stride, len(block)))]


def _clips(samples: Sequence[Sample]) -> list[list[int]]:
    """List the indices of each clip's frames in their order; a still is a clip of its own."""
    clips: dict[tuple[str, ...], list[int]] = {}
    for index, sample in enumerate(samples):
        key = (sample.sample_id,) if sample.clip is None else (sample.dataset, sample.split, sample.clip)
        clips.setdefault(key, []).append(index)
    return [sorted(clip, key=lambda index: samples[index].frame or 0) for clip in clips.values()]
