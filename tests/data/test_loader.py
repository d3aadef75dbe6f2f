import hashlib
import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limelight.config import Run
from limelight.data import loader
from limelight.data.batches import ahead
from limelight.data.batches import plans as planning
from limelight.data.batches.plans import batches_per_epoch
from limelight.data.loader import epoch_batches, evaluation_batches
from limelight.data.manifest import Sample
from limelight.foundation.errors import UserError
from limelight.imaging.encoding import write_png
from limelight.imaging.feeds import picture_feeds
from limelight.imaging.images import read_image
from limelight.models.card import Card, Normalisation

AUGMENT = [
    {"name": "crop", "share": 0.125},
    {"name": "flip", "vertical": 0.2},
    {"name": "photometric", "blur": 0.3, "contrast": 0.5, "brightness": 0.05},
    {"name": "rotate", "degrees": 10},
]


def make_sample(folder, number: int, *, mask=True, companion=False, side=40, split="train", sensor="rgb") -> Sample:
    """A noisy picture with a square object, on disk."""
    generator = np.random.default_rng(number)
    image = generator.integers(0, 256, (side, side + number % 5, 3), np.uint8)
    salient = np.zeros(image.shape[:2], np.uint8)
    salient[8:24, 8:24] = 255
    paths = {kind: f"{folder}/{number}.{kind}.png" for kind in ("image", "mask", "companion")}
    write_png(paths["image"], image)
    write_png(paths["mask"], salient)
    write_png(paths["companion"], salient.astype(np.uint16) * 257)
    return Sample(
        sample_id=f"toy/{number}",
        dataset="toy",
        split=split,
        sensor=sensor,
        labels="mask" if mask else "none",
        image=paths["image"],
        companion=paths["companion"] if companion else None,
        mask=paths["mask"] if mask else None,
        clip=None,
        frame=None,
        classes=(),
        width=image.shape[1],
        height=side,
        sha256="",
    )


@pytest.fixture(scope="module")
def samples(tmp_path_factory) -> list[Sample]:
    folder = tmp_path_factory.mktemp("samples")
    return [make_sample(folder, number, mask=number % 3 > 0) for number in range(22)]


def make_run(batch=4, sizes=(32, 48), order="random", workers=0, cache_mb=512, augment=AUGMENT, **samples) -> Run:
    """Sizes and order of training, and `samples`, see `Splits`."""
    settings = {"size": {"training": list(sizes), "order": order}, "batch": {"size": batch}, "augment": augment}
    settings["compute"] = {"workers": workers, "cache_mb": cache_mb}
    settings["objective"] = {"name": "distilled" if "unlabelled" in samples else "supervised"}
    return Run.model_validate({"model": "sdnet", "samples": samples, **settings})


def assert_equal(left, right) -> None:
    left, right = list(left), list(right)
    assert len(left) == len(right)
    for a, b in zip(left, right, strict=True):
        assert a.ids == b.ids
        for name in ("image_B3HW", "mask_B1HW", "labelled_B", "modality_B"):
            assert torch.equal(getattr(a, name), getattr(b, name)), name


def as_inference(images: list[np.ndarray], side: int) -> torch.Tensor:
    """What a network of images is fed with of these pictures."""
    card = Card(architecture={"model": "sdnet", "family": "sdnet"}, prepare={"size": (side, side)})
    feeds = picture_feeds(images, [None] * len(images), ["rgb"] * len(images), card, (side, side))
    return torch.from_numpy(feeds["image"])


def ids(batches) -> list[str]:
    return [sample_id for batch in batches for sample_id in batch.ids]


@pytest.fixture(scope="module")
def reference(samples):
    return list(epoch_batches(samples, make_run(), seed=1, epoch=2))


# ---------------------------------------------------------------------------------------------------- equal whatever
@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker processes")
@pytest.mark.parametrize("workers", [1, 4])
def test_workers_change_nothing(samples, reference, workers):
    assert_equal(epoch_batches(samples, make_run(workers=workers), seed=1, epoch=2), reference)


def test_processes_live_on_and_serve_the_next_epoch(samples):
    run = make_run(workers=2)
    epochs, serving = [], []
    for epoch in range(3):
        epochs.append(list(epoch_batches(samples, run, seed=1, epoch=epoch)))
        serving.append({child.pid for child in multiprocessing.active_children()})
    assert len(serving[0]) >= 2 and serving[0] == serving[1] == serving[2]
    for epoch, batches in enumerate(epochs):
        assert_equal(batches, epoch_batches(samples, make_run(), seed=1, epoch=epoch))


def test_cache_changes_nothing(samples, reference):
    assert_equal(epoch_batches(samples, make_run(cache_mb=0), seed=1, epoch=2), reference)
    assert_equal(epoch_batches(samples, make_run(), seed=1, epoch=2), reference)  # the images now come from memory


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("size_order", ["random", "passes"])
def test_resuming_in_the_middle_is_exact(samples, workers, size_order):
    run = make_run(workers=workers, order=size_order)
    whole = list(epoch_batches(samples, run, seed=5, epoch=1))
    for start in (0, 1, 3, len(whole)):
        assert_equal(epoch_batches(samples, run, seed=5, epoch=1, start=start), whole[start:])


def test_loading_leaves_the_global_random_states_alone(samples):
    """Dropout draws from torch's; it must not depend on the number of workers."""
    torch.manual_seed(3)
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    for workers in (0, 2):
        list(epoch_batches(samples, make_run(workers=workers), seed=0, epoch=0))
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_before)


def test_seed_and_epoch_change_order_and_augmentation(samples, reference):
    for other in (
        epoch_batches(samples, make_run(), seed=1, epoch=3),
        epoch_batches(samples, make_run(), seed=2, epoch=2),
    ):
        other = list(other)
        assert ids(other) != ids(reference)
    fixed = make_run(sizes=[32], batch=22)
    a, b = (next(iter(epoch_batches(samples, fixed, seed=1, epoch=epoch))) for epoch in (0, 1))
    at, bt = a.ids.index("toy/7"), b.ids.index("toy/7")
    assert not torch.equal(a.image_B3HW[at], b.image_B3HW[bt])


# ------------------------------------------------------------------------------------------------------------ the plan
def test_an_epoch_is_one_permutation_in_whole_batches(samples, reference):
    seen = ids(reference)
    assert len(reference) == batches_per_epoch(len(samples), make_run()) == 5
    assert len(seen) == len(set(seen)) == 20  # two samples wait for another epoch


def test_a_set_smaller_than_a_batch_is_one_short_batch(samples):
    (batch,) = epoch_batches(samples[:3], make_run(batch=16), seed=0, epoch=0)
    assert len(batch) == 3 and batches_per_epoch(3, make_run(batch=16)) == 1


def test_passes_run_the_whole_set_at_each_size_in_order(samples):
    run = make_run(sizes=[48, 32, 40], order="passes", batch=11)
    batches = list(epoch_batches(samples, run, seed=0, epoch=0))
    assert [batch.image_B3HW.shape[-1] for batch in batches] == [48, 48, 32, 32, 40, 40]
    assert len(batches) == batches_per_epoch(len(samples), run)
    orders = [ids(batches[at : at + 2]) for at in (0, 2, 4)]
    assert all(set(order) == {sample.sample_id for sample in samples} for order in orders)
    assert orders[0] != orders[1] != orders[2]


def test_random_sizes_are_drawn_per_batch(samples):
    run = make_run(batch=2, sizes=[32, 40, 48])
    sizes = [
        batch.image_B3HW.shape[-2:] for epoch in range(3) for batch in epoch_batches(samples, run, seed=0, epoch=epoch)
    ]
    assert set(sizes) == {(32, 32), (40, 40), (48, 48)}
    assert {
        tuple(batch.mask_B1HW.shape[1:]) for batch in epoch_batches(samples, make_run(sizes=[]), seed=0, epoch=0)
    } == {(1, 320, 320)}


@settings(max_examples=60)
@given(
    st.integers(1, 60), st.integers(1, 8), st.integers(1, 9), st.sampled_from(["random", "passes"]), st.integers(0, 9)
)
def test_ranks_share_an_epoch_without_overlap(count, world, batch_size, size_order, epoch):
    run = make_run(batch=batch_size, order=size_order)
    if count < world:
        with pytest.raises(UserError, match=f"{count} samples cannot be shared by {world}"):
            batches_per_epoch(count, run, world)
        return
    ranks = [list(planning.plans([np.arange(count)], run, 0, epoch, rank, world)) for rank in range(world)]
    assert {len(plans) for plans in ranks} == {batches_per_epoch(count, run, world)}
    passes = 2 if size_order == "passes" else 1
    for number in range(passes):
        indices = [index for plans in ranks for plan in plans if plan.key[2] == number for index in plan.indices]
        assert len(indices) == len(set(indices)) and set(indices) <= set(range(count))
        left_over = count - len(indices)
        assert left_over < world * (batch_size + 1)
    for step in zip(*ranks, strict=True):
        assert len({plan.size for plan in step}) == 1 and len({len(plan.indices) for plan in step}) == 1


@settings(max_examples=60)
@given(st.lists(st.integers(1, 12), min_size=2, max_size=3), st.integers(1, 4), st.integers(1, 9), st.integers(0, 9))
def test_balanced_batches_take_turns_between_the_groups(sizes, world, batch_size, epoch):
    edges = np.cumsum([0, *sizes])
    groups = [np.arange(start, end) for start, end in itertools.pairwise(edges)]
    if edges[-1] < world:
        return
    run = make_run(batch=batch_size, balance_modalities=True)
    ranks = [list(planning.plans(groups, run, 0, epoch, rank, world)) for rank in range(world)]
    assert {len(plans) for plans in ranks} == {batches_per_epoch(int(edges[-1]), run, world)}
    for plans in ranks:
        for plan in plans:
            counts = [sum(index in group for index in plan.indices) for group in groups]
            assert sum(counts) == min(batch_size, edges[-1] // world) and max(counts) - min(counts) <= 1
    taken = [index for plans in ranks for plan in plans for index in plan.indices]
    for group in groups:  # nothing comes round again before everything has come once, but for what ranks leave over
        seen = sorted(taken.count(index) for index in group)
        assert seen[-1] - seen[0] <= 1 + world


def test_a_companion_is_inverted_and_nothing_else(tmp_path):
    samples = [make_sample(tmp_path, number, companion=True, sensor="rgbt") for number in range(4)]
    plain, turned = (
        list(
            epoch_batches(
                samples,
                make_run(augment=[{"name": "flip"}, {"name": "invert-companion", "probability": share}]),
                seed=0,
                epoch=0,
            )
        )
        for share in (0, 1)
    )
    assert_equal(plain, turned)
    for one, other in zip(plain, turned, strict=True):
        torch.testing.assert_close(one.companion_B1HW, 1 - other.companion_B1HW)


def test_balanced_batches_of_three_modalities(tmp_path):
    modalities = ["rgb"] * 8 + ["rgbd"] * 3 + ["rgbt"] * 1
    mixed = [
        make_sample(tmp_path, number, companion=modality != "rgb", sensor=modality)
        for number, modality in enumerate(modalities)
    ]
    for batch in epoch_batches(mixed, make_run(batch=6, balance_modalities=True), seed=0, epoch=0):
        assert batch.modality_B.tolist() == [0, 1, 2, 0, 1, 2]
        absent = batch.modality_B == 0
        assert batch.companion_B1HW[absent].max() == 0 and batch.companion_B1HW[~absent].max() > 0


@pytest.mark.parametrize("world", [1, 2])
def test_a_sample_that_comes_again_is_augmented_anew(tmp_path, world):
    modalities = ["rgb"] * 16 + ["rgbd"] * 2
    mixed = [
        make_sample(tmp_path, number, companion=modality != "rgb", sensor=modality)
        for number, modality in enumerate(modalities)
    ]
    run = make_run(batch=3, sizes=[32], balance_modalities=True)
    batches = [
        batch for rank in range(world) for batch in epoch_batches(mixed, run, seed=0, epoch=0, rank=rank, world=world)
    ]
    for name in ("toy/16", "toy/17"):
        pictures = [batch.image_B3HW[at] for batch in batches for at, each in enumerate(batch.ids) if each == name]
        assert len(pictures) >= 4
        assert not any(torch.equal(one, other) for one, other in itertools.combinations(pictures, 2))


def test_ranks_serve_what_one_process_would(samples):
    run = make_run(batch=3)
    shards = [ids(epoch_batches(samples, run, seed=0, epoch=0, rank=rank, world=2)) for rank in (0, 1)]
    assert len(shards[0]) == len(shards[1]) == 9 and not set(shards[0]) & set(shards[1])


@pytest.mark.parametrize(
    ("more", "digest", "means"),
    [
        (
            {"order": "random"},
            "e9ce0690b1f3acd4",
            [[0.338, 0.1205, 0.0], [-0.1045, 0.0814, 0.0834], [0.9851, 0.0795, 0.1686], [-0.1654, 0.1311, 0.0456]],
        ),
        (
            {"order": "passes"},
            "d94ec63fa9e4eca0",
            [
                [0.3381, 0.1203, 0.0],
                [-0.104, 0.0818, 0.0842],
                [0.5273, 0.0862, 0.0853],
                [-0.0593, 0.1266, 0.1264],
                [0.9902, 0.0786, 0.1673],
                [-0.1652, 0.1308, 0.0453],
                [0.5202, 0.085, 0.0],
                [0.7662, 0.1254, 0.0844],
            ],
        ),
        (
            {"balance_modalities": True},
            "b97a15d469b35a87",
            [[0.6479, 0.0878, 0.0888], [0.4441, 0.1276, 0.1276], [0.2183, 0.1135, 0.0786], [0.3848, 0.0866, 0.1349]],
        ),
    ],
)
def test_batches_are_those_of_earlier_versions(tmp_path, more, digest, means):
    """Which samples at which size, as a hash; what was drawn for them, as means of image, mask and companion."""
    sensors = ["rgb"] * 9 + ["rgbd"] * 4 + ["rgbt"] * 3
    mixed = [
        make_sample(tmp_path, number, mask=number % 3 > 0, companion=sensor != "rgb", sensor=sensor)
        for number, sensor in enumerate(sensors)
    ]
    plain = [
        {"name": "crop", "share": 0.125},
        {"name": "flip", "vertical": 0.2},
        {"name": "photometric", "contrast": 0.5, "brightness": 0.05},
    ]
    batches = [
        batch
        for rank in range(2)
        for batch in epoch_batches(mixed, make_run(**more, augment=plain), seed=3, epoch=1, rank=rank, world=2)
    ]
    order = " ".join(text for batch in batches for text in (*batch.ids, str(batch.image_B3HW.shape[-1])))
    assert hashlib.sha256(order.encode()).hexdigest().startswith(digest)
    for batch, expected in zip(batches, means, strict=True):
        tensors = (batch.image_B3HW, batch.mask_B1HW, batch.companion_B1HW)
        seen_means = [0.0 if tensor is None else float(tensor.mean()) for tensor in tensors]
        assert seen_means == pytest.approx(expected, abs=5e-4)


# --------------------------------------------------------------------------------------------------------- the content
def test_values_and_formats(samples):
    for batch in epoch_batches(samples, make_run(), seed=0, epoch=0):
        side = batch.image_B3HW.shape[-1]
        assert batch.image_B3HW.shape == (4, 3, side, side) and batch.image_B3HW.dtype == torch.float32
        assert batch.image_B3HW.is_contiguous(memory_format=torch.channels_last)
        assert -2.12 < batch.image_B3HW.min() < -1 and 0 < batch.image_B3HW.max() < 2.65
        assert batch.mask_B1HW.shape == (4, 1, side, side) and batch.mask_B1HW.min() >= 0
        assert batch.companion_B1HW is None and len(batch) == 4


def test_masks_are_soft_and_only_where_labelled(samples, reference):
    labelled = {sample.sample_id: sample.mask is not None for sample in samples}
    for batch in reference:
        assert batch.labelled_B.tolist() == [labelled[sample_id] for sample_id in batch.ids]
        present = batch.mask_B1HW.flatten(1).amax(1) > 0
        assert torch.equal(present, batch.labelled_B)
    values = torch.cat([batch.mask_B1HW.flatten() for batch in reference])
    assert values.max() == 1 and ((values > 0.01) & (values < 0.99)).any()


def test_masks_of_unlabelled_splits_are_not_seen(tmp_path):
    both = [make_sample(tmp_path, 0, split="train"), make_sample(tmp_path, 1, split="extra")]
    (batch,) = epoch_batches(both, make_run(unlabelled=["extra"]), seed=0, epoch=0)
    seen = dict(zip(batch.ids, batch.labelled_B.tolist(), strict=True))
    assert seen == {"toy/0": True, "toy/1": False}
    assert batch.mask_B1HW[batch.ids.index("toy/1")].max() == 0


def test_masks_of_unlabelled_splits_move_no_picture(tmp_path):
    """`background` would take their objects out."""
    augment = [{"name": "background", "probability": 1, "crop": 0.5}]
    with_masks, without = (
        [make_sample(tmp_path, number, mask=mask, split="extra") for number in range(4)] for mask in (True, False)
    )
    run = make_run(unlabelled=["extra"], augment=augment)
    (seen,), (expected,) = (epoch_batches(given, run, seed=0, epoch=0) for given in (with_masks, without))
    assert torch.equal(seen.image_B3HW, expected.image_B3HW)


def test_objects_are_lent_by_labelled_photos_alone_and_pasted_alike_by_all_workers(tmp_path):
    kinds = [("train", {}), ("train", {"mask": False}), ("train", {"companion": True, "sensor": "rgbd"}), ("extra", {})]
    samples = [make_sample(tmp_path, 5 * number, split=split, **more) for number, (split, more) in enumerate(kinds * 2)]
    paste = [{"name": "paste", "probability": 1, "least": 1, "most": 1}]

    def masks(workers=0, augment=paste) -> torch.Tensor:
        run = make_run(len(samples), sizes=[40], workers=workers, augment=augment, unlabelled=["extra"])
        (batch,) = epoch_batches(samples, run, seed=0, epoch=0)
        assert batch.labelled_B.sum() == 4
        return dict(zip(batch.ids, zip(batch.image_B3HW, batch.mask_B1HW, strict=True), strict=True))

    pasted, plain, elsewhere = masks(), masks(augment=[]), masks(workers=2)
    lenders = {"toy/0", "toy/20"}
    for name, (image, mask) in pasted.items():
        torch.testing.assert_close(elsewhere[name], (image, mask), rtol=0, atol=0)
        changed = not torch.equal(image, plain[name][0])
        kind = kinds[int(name.split("/")[1]) // 5 % 4]
        assert changed == (kind[1].get("sensor") is None), (
            "an object as large as the picture covers it, if it has no companion"
        )
        assert bool(mask.all()) == (name in lenders)


def test_companions_move_with_the_mask(tmp_path):
    mixed = [make_sample(tmp_path, number, companion=number < 3, sensor="rgbd") for number in range(4)]
    for epoch in range(5):
        (batch,) = epoch_batches(mixed, make_run(), seed=0, epoch=epoch)
        for at, sample_id in enumerate(batch.ids):
            if sample_id == "toy/3":
                assert batch.companion_B1HW[at].max() == 0
            else:
                torch.testing.assert_close(batch.companion_B1HW[at], batch.mask_B1HW[at], atol=0.01, rtol=0)


def test_no_augmentation_is_the_input_of_inference(samples):
    (batch,) = epoch_batches(samples, make_run(augment=[], sizes=[33], batch=22), seed=0, epoch=0)
    by_id = {sample.sample_id: sample for sample in samples}
    expected = as_inference([read_image(by_id[sample_id].image) for sample_id in batch.ids], 33)
    assert torch.equal(batch.image_B3HW, expected)


def test_evaluation_is_every_sample_once_as_inference_sees_it(samples):
    batches = list(evaluation_batches(samples, 24, 4))
    assert [len(batch) for batch in batches] == [4, 4, 4, 4, 4, 2]
    assert ids(batches) == [sample.sample_id for sample in samples]
    expected = as_inference([read_image(sample.image) for sample in samples], 24)
    assert torch.equal(torch.cat([batch.image_B3HW for batch in batches]), expected)
    shards = [ids(evaluation_batches(samples, 24, 4, rank=rank, world=3)) for rank in range(3)]
    assert sorted(chain(*shards)) == sorted(ids(batches))


def test_own_mean_and_std(samples):
    (batch,) = evaluation_batches(samples[:1], 32, 1, normalisation=Normalisation((0, 0, 0), (1, 1, 1)))
    assert batch.image_B3HW.min() >= 0 and 0.9 < batch.image_B3HW.max() <= 1


def test_large_photos_are_kept_small(tmp_path):
    large = [make_sample(tmp_path, 0, side=400)]
    store = loader._store(tuple(large), 60, 1 << 20)
    assert store[0].size == (60, 60) and store._used == 60 * 60 * 4


def test_memory_stays_within_its_bound(tmp_path):
    some = tuple(make_sample(tmp_path, number, side=64) for number in range(6))
    store = loader._store(some, 64, 40_000)
    decoded = [store[number] for number in range(6)]
    kept = [number for number in range(6) if store[number] is decoded[number]]
    assert kept == [0, 1] and store._used <= 40_000


def test_to_and_pin(samples):
    (batch,) = evaluation_batches(samples[:2], 32, 2)
    moved = batch.to("cpu", channels_last=False)
    assert moved.image_B3HW.is_contiguous() and torch.equal(moved.image_B3HW, batch.image_B3HW)
    if torch.cuda.is_available():
        assert batch.pin().mask_B1HW.is_pinned()


# -------------------------------------------------------------------------------------------------- when it goes wrong
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("damage", ["vanished", "cut", "other mask"])
def test_a_bad_file_is_one_clear_line(tmp_path, workers, damage):
    some = [make_sample(tmp_path, number) for number in range(4)]
    if damage == "vanished":
        Path(some[2].image).unlink()
    elif damage == "cut":
        os.truncate(some[2].image, 900)
    else:
        write_png(some[2].mask, np.zeros((40, 90), np.uint8))
    with pytest.raises(UserError, match=r"sample toy/2: ") as caught:
        list(epoch_batches(some, make_run(workers=workers), seed=0, epoch=0))
    assert "\n" not in str(caught.value) and ("2.image.png" in str(caught.value) or "2.mask.png" in str(caught.value))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_file_that_vanishes_between_epochs(tmp_path, workers):
    some = [make_sample(tmp_path, number) for number in range(4)]
    run = make_run(workers=workers, cache_mb=0)
    list(epoch_batches(some, run, seed=0, epoch=0))
    Path(some[1].mask).unlink()
    with pytest.raises(UserError, match=r"sample toy/1: .*1\.mask\.png"):
        list(epoch_batches(some, run, seed=0, epoch=1))


def test_processes_end_before_others_begin_though_somebody_holds_them(tmp_path, samples):
    """They are told to; the garbage collector would end them in any thread."""
    some = [make_sample(tmp_path, number) for number in range(4)]
    Path(some[1].image).unlink()
    before = set(multiprocessing.active_children())
    with pytest.raises(UserError) as kept:
        list(epoch_batches(some, make_run(workers=1), seed=0, epoch=0))
    held = list(ahead._running.values())
    ended = set(multiprocessing.active_children()) - before
    list(epoch_batches(samples, make_run(workers=1), seed=0, epoch=0))
    for child in ended:
        child.join(60)  # told to end by then; a loaded machine takes its time
    assert ended and not any(child.is_alive() for child in ended), (kept, held)


@pytest.mark.parametrize("workers", [0, 2])
def test_stopping_early_leaves_nothing_behind(samples, reference, workers):
    run = make_run(workers=workers)
    batches = epoch_batches(samples, run, seed=1, epoch=0)
    next(batches)
    batches.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches")]
    assert_equal(epoch_batches(samples, run, seed=1, epoch=2), reference)


SCRIPT = """
import sys
import time
from limelight.config import Run
from limelight.data.loader import epoch_batches
from limelight.data.manifest import Sample
rest = (sys.argv[1], None, None, None, None, (), 1, 1, "")
samples = [Sample(f"{n}", "toy", "train", "rgb", "none", *rest) for n in range(64)]
run = Run(model="sdnet", batch={"size": 2}, size={"training": [64]}, compute={"workers": int(sys.argv[2])})
batches = epoch_batches(samples, run, seed=0, epoch=0)
next(batches)
print("ready", flush=True)
if sys.argv[3] == "wait":
    time.sleep(600)
"""


@pytest.mark.slow
def test_a_process_ends_when_told(samples):
    """By a signal or its own end, with batches still in the making; its workers end with it."""
    ends = [("0", signal.SIGINT), ("0", None), ("2", signal.SIGTERM), ("2", None)]
    running = []
    for workers, stop in ends:
        command = [sys.executable, "-c", SCRIPT, samples[0].image, workers, "wait" if stop else "leave"]
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "start_new_session": True}
        # A job in the background of a script ignores SIGINT, and so would its children.
        running.append(
            subprocess.Popen(command, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), **options)
        )
    for process, (_, stop) in zip(running, ends, strict=True):
        assert process.stdout.readline() == b"ready\n"
        if stop:
            process.send_signal(stop)
    for process, (_, stop) in zip(running, ends, strict=True):
        assert (process.wait(timeout=240) == 0) == (stop is None)
        deadline = time.monotonic() + 60  # torch's workers look for their parent every five seconds
        while _alive(process.pid):
            assert time.monotonic() < deadline, "workers outlived their parent"
            time.sleep(0.1)


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
