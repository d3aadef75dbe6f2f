"""Windows of clips, on clips of the embedded renderer, and what the loader makes of them."""

import hashlib
import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from limelight.config import DatasetRequest, Layout, Renderer, Run
from limelight.data.batches import plans as planning
from limelight.data.batches.plans import batches_per_epoch
from limelight.data.hashes import HashCache
from limelight.data.index import Entry
from limelight.data.loader import epoch_batches, evaluation_batches
from limelight.data.manifest import Sample
from limelight.data.prepare import prepare_dataset
from limelight.data.renderer import render_dataset
from limelight.data.samples import Batch
from limelight.data.windows import evaluation_windows, training_windows
from limelight.foundation.errors import UserError
from limelight.imaging.encoding import write_png

FRAMES = 6
AUGMENT = [
    {"name": "crop", "share": 0.2},
    {"name": "flip", "horizontal": 0.5},
    {"name": "photometric", "contrast": 0.5, "brightness": 0.1},
]


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> list[Sample]:
    """Four clips of six frames in one split, prepared like any dataset of the user."""
    root = tmp_path_factory.mktemp("drawn") / "set"
    render_dataset(root, Renderer(scenes=4, size=40, clip_frames=FRAMES), {"train": 0}, clips={"train": 4})
    layout = Layout(image="{split}/clips/{clip}/frames", mask="{split}/clips/{clip}/masks")
    request = DatasetRequest(name="drawn", path=str(root), layout=layout)
    entry = Entry(str(root), 0, "", "local", "", "rgb", "mask", None)
    return prepare_dataset(request, entry, 0, HashCache()).samples


def make_run(
    batch: int = 3,
    sizes: tuple[int, ...] = (32,),
    order: str = "random",
    frames: int = 1,
    stride: int = 1,
    **compute: object,
) -> Run:
    size = {"training": sizes, "order": order}
    return Run.model_validate(
        {
            "model": "sdnet",
            "batch": {"size": batch},
            "size": size,
            "augment": AUGMENT,
            "compute": compute,
            "samples": {"frames": frames, "stride": stride},
        }
    )


def equal(left: Batch, right: Batch) -> bool:
    same = left.ids == right.ids and left.frames == right.frames
    return same and all(torch.equal(getattr(left, name), getattr(right, name)) for name in ("image_B3HW", "mask_B1HW"))


def places(samples: list[Sample], ids: list[str]) -> list[tuple[str | None, int | None]]:
    by_id = {sample.sample_id: sample for sample in samples}
    return [(by_id[name].clip, by_id[name].frame) for name in ids]


# ------------------------------------------------------------------------------------------------------------- windows
def test_clips_are_clips_of_the_dataset(clips: list[Sample]) -> None:
    assert len(clips) == 4 * FRAMES and len({sample.clip for sample in clips}) == 4
    assert {(sample.sensor, sample.labels, sample.modality) for sample in clips} == {("rgb", "mask", "rgb")}


@pytest.mark.parametrize(("frames", "stride", "each"), [(1, 1, 6), (2, 1, 5), (3, 1, 4), (3, 2, 2), (6, 1, 1)])
def test_training_windows_hold_frames_of_one_clip_in_order(
    clips: list[Sample], frames: int, stride: int, each: int
) -> None:
    mixed = [clips[index] for index in np.random.default_rng(0).permutation(len(clips))]
    windows = training_windows(mixed, frames, stride)
    assert len(windows) == len(set(windows)) == 4 * each
    for window in windows:
        clip_frames = [(mixed[index].clip, mixed[index].frame) for index in window]
        first = clip_frames[0][1] or 0
        assert clip_frames == [(clip_frames[0][0], first + number * stride) for number in range(frames)]


def test_clips_of_one_name_in_two_splits_are_two(clips: list[Sample]) -> None:
    both = [*clips[:2], *(replace(sample, split="val", frame=(sample.frame or 0) + 2) for sample in clips[2:4])]
    assert len(training_windows(both, 2)) == 2


def test_short_clips_go_to_and_fro_and_stills_stand_still(clips: list[Sample]) -> None:
    still = replace(clips[0], sample_id="set/still", clip=None, frame=None)
    samples = [*clips[:3], still]
    assert training_windows(samples, 8) == [(0, 1, 2, 1, 0, 1, 2, 1), (3,) * 8]
    assert training_windows(samples, 3, 2) == [(0, 2, 0), (3, 3, 3)]
    assert evaluation_windows([*clips[:2], still], 2) == [(0, 1), (2,)]


@pytest.mark.parametrize(("frames", "stride"), [(1, 1), (2, 1), (4, 1), (2, 2), (4, 3), (9, 1)])
def test_evaluation_windows_hold_every_sample_once(clips: list[Sample], frames: int, stride: int) -> None:
    windows = evaluation_windows(clips, frames, stride)
    assert sorted(index for window in windows for index in window) == list(range(len(clips)))
    assert [clips[window[0]].clip for window in windows] == sorted(clips[window[0]].clip or "" for window in windows)
    for window in windows:
        assert len(window) <= frames and len({clips[index].clip for index in window}) == 1
        assert all(later - earlier == stride for earlier, later in itertools.pairwise(window))
    if stride == 1:
        assert [index for window in windows for index in window] == list(range(len(clips)))


# ------------------------------------------------------------------------------------------------------------- batches
def test_a_batch_holds_whole_windows(clips: list[Sample]) -> None:
    run, windows = make_run(frames=3), training_windows(clips, 3)
    batches = list(epoch_batches(clips, run, seed=0, epoch=0))
    assert len(batches) == batches_per_epoch(len(windows), run) == 5
    seen = []
    for batch in batches:
        assert batch.frames == 3 and len(batch) == 9 and batch.image_B3HW.shape == (9, 3, 32, 32)
        for at in range(0, 9, 3):
            batch_places = places(clips, batch.ids[at : at + 3])
            assert {clip for clip, _ in batch_places} == {batch_places[0][0]}
            assert [frame for _, frame in batch_places] == list(
                range(batch_places[0][1] or 0, (batch_places[0][1] or 0) + 3)
            )
            seen.append(batch_places[0])
    assert len(seen) == len(set(seen)) == 15 and seen != sorted(seen, key=str)  # one window waits for another epoch
    assert batch.to("cpu").frames == 3


def test_all_frames_of_a_window_are_augmented_alike(tmp_path: Path) -> None:
    """Equal pictures as frames: equal within a window, unlike another window's of the same pictures."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 44, 3), np.uint8)
    write_png(tmp_path / "a.png", pixels)
    paths = (str(tmp_path / "a.png"), None, str(tmp_path / "a.png"))
    still = [
        Sample(f"set/{clip}/{frame}", "set", "train", "rgb", "mask", *paths, str(clip), frame, (), 44, 40, "")
        for clip in range(4)
        for frame in range(3)
    ]
    (batch,) = epoch_batches(still, make_run(4, frames=3), seed=0, epoch=0)
    windows = batch.image_B3HW.unflatten(0, (4, 3))
    assert (windows == windows[:, :1]).all() and (batch.mask_B1HW.unflatten(0, (4, 3)).diff(dim=1) == 0).all()
    for one, other in itertools.combinations(windows, 2):
        assert not torch.equal(one, other)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_equal_arguments_give_equal_batches(clips: list[Sample]) -> None:
    def made(start: int = 0, epoch: int = 0, **changes: object) -> list[Batch]:
        return list(epoch_batches(clips, make_run(frames=2, stride=2, **changes), seed=0, epoch=epoch, start=start))

    first = made()
    for again in (made(), made(workers=2), made(cache_mb=0)):
        assert all(map(equal, first, again)) and len(first) == len(again)
    assert all(map(equal, first[2:], made(start=2)))
    assert not any(map(equal, first, made(epoch=1)))


def test_ranks_share_the_windows(clips: list[Sample]) -> None:
    shares = [
        [tuple(batch.ids[at : at + 2]) for batch in batches for at in range(0, len(batch), 2)]
        for batches in (
            epoch_batches(clips, make_run(frames=2), seed=0, epoch=0, rank=rank, world=2) for rank in (0, 1)
        )
    ]
    assert len(shares[0]) == len(shares[1]) == 9 and not set(shares[0]) & set(shares[1])


def test_evaluation_keeps_clips_together_in_order(clips: list[Sample]) -> None:
    batches = list(evaluation_batches(clips, 24, 2, frames=4))
    assert [(batch.frames, len(batch)) for batch in batches] == [(4, 4), (2, 2)] * 4
    assert [name for batch in batches for name in batch.ids] == [sample.sample_id for sample in clips]
    stills = torch.cat([batch.image_B3HW for batch in evaluation_batches(clips, 24, 5)])
    assert torch.equal(torch.cat([batch.image_B3HW for batch in batches]), stills)
    whole = list(evaluation_batches(clips, 24, 3, frames=3))
    assert [(batch.frames, len(batch)) for batch in whole] == [(3, 9), (3, 9), (3, 6)]
    shares = [
        [name for batch in evaluation_batches(clips, 24, 3, rank=rank, world=3, frames=4) for name in batch.ids]
        for rank in range(3)
    ]
    assert sorted(itertools.chain(*shares)) == sorted(sample.sample_id for sample in clips)


def test_frames_of_a_clip_have_one_size(clips: list[Sample], tmp_path: Path) -> None:
    write_png(tmp_path / "wide.png", np.zeros((40, 50, 3), np.uint8))
    odd = [clips[0], replace(clips[1], image=str(tmp_path / "wide.png"), mask=None, labels="none")]
    with pytest.raises(UserError, match=r"sample .*001 is 50x40 and .*000 of its clip 40x40; bring"):
        list(epoch_batches(odd, make_run(frames=2), seed=0, epoch=0))


# ------------------------------------------------------------------------------------------- stills are what they were
def test_plans_of_stills_are_those_before_windows() -> None:
    """Trainings draw by index: another plan would be another training. Hash of plans made before there were windows."""
    groups = [np.arange(9), np.arange(9, 31)]
    plans = [
        [plan.indices, plan.size, plan.key, plan.rounds]
        for size, order, epoch, rank in itertools.product((1, 4, 6), ("random", "passes"), (0, 5), (0, 1))
        for plan in planning.plans(groups, make_run(size, (32, 48), order), 3, epoch, rank, 2)
    ]
    assert hashlib.sha256(json.dumps(plans).encode()).hexdigest().startswith("24df38f3c14b5b00")
