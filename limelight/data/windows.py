"""Windows of clips: which frames a network sees together.

A window holds `frames` frames of one clip, `stride` apart, in their order. Frames missing from the dataset
do not count: the next one takes their place. A still is a clip of one frame.
"""

from collections.abc import Sequence

from limelight.data.manifest import Sample

Window = tuple[int, ...]
"""Indices of samples."""


def training_windows(samples: Sequence[Sample], frames: int = 1, stride: int = 1) -> list[Window]:
    """List all overlapping windows of `frames` frames.

    A clip that is too short is played to and fro until it is long enough; a still stands still.

    Returns:
        Ordered by first frame; with one frame each, the samples in their order.
    """
    if frames == 1:
        return [(index,) for index in range(len(samples))]
    reach = (frames - 1) * stride + 1
    clips = [_lengthened(clip, reach) for clip in _clips(samples)]
    return [tuple(clip[first : first + reach : stride]) for clip in clips for first in range(len(clip) - reach + 1)]


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


def _lengthened(clip: list[int], length: int) -> list[int]:
    """Play a clip to and fro up to `length` frames; a longer one stays as it is."""
    round_trip = clip + clip[-2:0:-1]
    return clip if len(clip) >= length else [round_trip[at % len(round_trip)] for at in range(length)]
