"""The video protocol: means over clips, without their ends, and how much errors change."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from limelight.data.manifest import Sample
from limelight.evaluation.clips import Changes, Found, _scored, score_with_clips
from limelight.evaluation.metrics import Scorer
from limelight.evaluation.worker import read_truth
from limelight.foundation.errors import UserError
from limelight.imaging.encoding import write_png


@pytest.fixture
def found(tmp_path: Path) -> list[Found]:
    """A clip of five frames, one of two, and a still, with maps of noise."""
    random, made = np.random.default_rng(0), []
    for clip, count in (("long", 5), ("short", 2), (None, 1)):
        for frame in range(count):
            name = f"set/{clip}/{frame}"
            truth = np.zeros((20, 30), np.uint8)
            truth[5:15, 3 + 2 * frame : 15 + 2 * frame] = 255
            path = tmp_path / f"{clip}-{frame}.png"
            write_png(path, truth)
            rest = (str(path), None, str(path), clip, None if clip is None else frame, (), 30, 20, "")
            made.append(
                (Sample(name, "set", "test", "rgb", "mask", *rest), random.integers(0, 256, (20, 30), np.uint8))
            )
    return made


def test_figures_are_means_over_clips_without_their_ends(found: list[Found]) -> None:
    with Scorer(0) as scorer:
        scores = score_with_clips(scorer, found)
        each = scorer.score((sample.sample_id, saliency, sample.mask or "") for sample, saliency in found)
    assert list(scores.per_image) == [f"set/long/{at}" for at in (1, 2, 3)] + [f"set/short/{at}" for at in (0, 1)] + [
        "set/None/0"
    ]
    groups = [[f"set/long/{at}" for at in (1, 2, 3)], [f"set/short/{at}" for at in (0, 1)], ["set/None/0"]]
    for metric in ("mae", "Sm", "wFm"):
        means = [np.mean([each.per_image[name][metric] for name in group]) for group in groups]
        assert scores.metrics[metric] == pytest.approx(np.mean(means))
        assert scores.figures[f"{metric}_se"] == pytest.approx(np.std(means, ddof=1) / np.sqrt(3))
    assert scores.clips == dict(zip(("test/long", "test/short", "set/None/0"), groups, strict=True))


def test_stills_may_come_first_and_clips_of_two_splits_have_one_name(found: list[Found]) -> None:
    again = [
        (replace(sample, sample_id=f"val/{sample.sample_id}", split="val"), saliency)
        for sample, saliency in found
        if sample.clip == "long"
    ]
    with Scorer(0) as scorer:
        scores = score_with_clips(scorer, [*found[-1:], *found[:-1], *again])
    assert {name: len(frames) for name, frames in scores.clips.items()} == {
        "test/long": 3,
        "test/short": 2,
        "val/long": 3,
        "set/None/0": 1,
    }
    means = [np.mean([scores.per_image[name]["mae"] for name in frames]) for frames in scores.clips.values()]
    assert scores.metrics["mae"] == pytest.approx(np.mean(means))
    at_most = [np.mean([scores.per_image[name]["maxFm"] for name in frames]) for frames in scores.clips.values()]
    assert scores.metrics["maxFm"] <= np.mean(at_most) + 1e-9  # that of the mean curve


def test_no_change_is_measured_across_a_missing_frame(found: list[Found]) -> None:
    gap = list(found[:5])
    gap[2] = gap[2][0], UserError("damaged")
    with Scorer(0) as scorer:
        scores = score_with_clips(scorer, gap)
    changes = Changes()
    for clip, (sample, saliency) in zip("aabcc", found[:5], strict=True):
        assert isinstance(saliency, np.ndarray)
        changes.add(clip, saliency, read_truth(sample.mask or ""))
    both = [change for steps in changes.by_clip.values() for _, change in steps]
    assert scores.metrics["dtssd"] == pytest.approx(np.mean(both))


@pytest.mark.parametrize("spacing", [1, 5])
def test_no_change_is_measured_across_a_gap_in_the_numbers(found: list[Found], spacing: int) -> None:
    numbers = [spacing * number for number in (0, 1, 10, 11, 12)]
    gap = [
        (replace(sample, frame=number), saliency) for number, (sample, saliency) in zip(numbers, found, strict=False)
    ]
    changes = Changes()
    for clip, (sample, saliency) in zip("aabbb", gap, strict=True):
        assert isinstance(saliency, np.ndarray)
        changes.add(clip, saliency, read_truth(sample.mask or ""))
    each = [change for steps in changes.by_clip.values() for _, change in steps]
    with Scorer(0) as scorer:
        assert score_with_clips(scorer, gap).metrics["dtssd"] == pytest.approx(np.mean(each))


def test_sets_of_stills_are_scored_as_ever(found: list[Found]) -> None:
    stills = [(sample, saliency) for sample, saliency in found if sample.clip is None]
    with Scorer(0) as scorer:
        scores = score_with_clips(scorer, stills)
        expected = scorer.score((sample.sample_id, saliency, sample.mask or "") for sample, saliency in stills)
    assert scores.metrics == expected.metrics and scores.clips == {} and "dtssd" not in scores.metrics


def test_clips_are_scored_while_they_are_read(found: list[Found]) -> None:
    """A long one's maps do not pile up."""
    read = list[int]()

    def frames() -> Iterator[Found]:
        for place, (sample, saliency) in enumerate(found[:5] * 20):
            read.append(place)
            yield replace(sample, frame=place), saliency

    scored = _scored(frames(), {}, Changes())
    next(scored)
    assert len(read) == 3
    assert 1 + sum(1 for _ in scored) == 98


def test_the_change_of_errors(found: list[Found]) -> None:
    """Zero for maps that are wrong in the same way in each frame; as written down otherwise."""
    changes, errors = Changes(), []
    for sample, saliency in found[:5]:
        truth = read_truth(sample.mask or "")
        changes.add("long", saliency, truth)
        errors.append(saliency / 255 - truth / 255)
    expected = [np.sqrt(np.mean((later - before) ** 2)) for before, later in itertools.pairwise(errors)]
    assert changes.metrics()["dtssd"] == pytest.approx(np.mean(expected), rel=1e-5)
    same = Changes()
    for _ in range(3):
        same.add("a", np.full((4, 4), 90, np.uint8), np.zeros((4, 4), np.uint8))
    assert same.metrics() == {"dtssd": 0.0} and Changes().metrics() == {}
    for value in (90, 190):
        same.add("b", np.full((4, 4), value, np.uint8), np.zeros((4, 4), np.uint8))
    half = 100 / 255 / 2
    assert same.metrics() == pytest.approx({"dtssd": half, "dtssd_se": half}, rel=1e-5)
    apart = Changes()
    for clip in ("a", "b"):
        apart.add(clip, np.full((4, 4), 90, np.uint8), np.zeros((4, 4), np.uint8))
    assert apart.metrics() == {}  # the first frames of two clips
