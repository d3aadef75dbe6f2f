"""Label maps: what their pixel values mean, and that no resizing invents a class."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from limelight.config import DatasetRequest, Run
from limelight.data.augmentation import apply
from limelight.data.augmentation.crop import CropEffect
from limelight.data.augmentation.flip import FlipEffect
from limelight.data.augmentation.picture import TrainingPicture
from limelight.data.augmentation.resize import ResizeEffect
from limelight.data.augmentation.warp import WarpEffect
from limelight.data.catalogue import ClassSource, class_source
from limelight.data.classes import BACKGROUND, VOID, Vocabulary, vocabulary, vocabulary_tree
from limelight.data.loader import epoch_batches, evaluation_batches
from limelight.data.manifest import Sample
from limelight.data.samples import decode, shrink
from limelight.foundation.errors import UserError
from limelight.foundation.files import write_json
from limelight.imaging.encoding import write_png
from limelight.imaging.geometry import nearest

NAMES = {2: "cat", 4: "dog", 200: "кошка"}
VALUES = (0, 2, 4, 200, 255)
EXPECTED = {0: BACKGROUND, 2: 1, 4: 2, 200: 3, 255: VOID}
AUGMENT = [
    {"name": "crop", "share": 0.2},
    {"name": "flip", "vertical": 0.5},
    {"name": "photometric", "blur": 0.5, "contrast": 0.3, "brightness": 0.1},
    {"name": "rotate", "degrees": 20},
]


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    table("pets", NAMES)


def table(dataset: str, names: dict[int, str], ignore: tuple[int, ...] = (255,)) -> None:
    write_json(Path("data/lists", dataset, "classes.json"), vocabulary_tree(names, ClassSource(ignore=ignore)))


def make_sample(number: int = 0, *, labels: str = "classes", split: str = "train", side: int = 40) -> Sample:
    """Blocks of one value each, and an image whose grey is that of its label."""
    blocks = np.random.default_rng(number).choice(VALUES, (5, 6)).astype(np.uint8)
    values = np.kron(blocks, np.ones((side // 5, side // 5), np.uint8))
    write_png(f"{number}.label.png", values)
    write_png(f"{number}.image.png", np.repeat(values[..., None], 3, axis=-1))
    height, width = values.shape
    paths = (f"{number}.image.png", None, f"{number}.label.png")
    names = tuple(NAMES[value] for value in sorted(set(values.ravel().tolist()) & NAMES.keys()))
    return Sample(f"pets/{number}", "pets", split, "rgb", labels, *paths, None, None, names, width, height, "")


# -------------------------------------------------------------------------------------------------------------- meaning
def test_pixel_values_become_labels() -> None:
    known = vocabulary("pets")
    assert known.names == ("cat", "dog", "кошка")
    assert known.labels(np.array(list(EXPECTED))).tolist() == list(EXPECTED.values())
    assert known.labels(np.array([70_000, 3, -1], np.int32)).tolist() == [VOID] * 3


def test_a_class_may_have_pixel_value_0() -> None:
    table("streets", {0: "sky", 1: "road"})
    known = vocabulary("streets")
    assert not known.background
    assert known.labels(np.array([0, 1, 11])).tolist() == [1, 2, VOID]


@pytest.mark.parametrize(
    ("name", "ignore", "expected"),
    [
        ("ADE20K", None, VOID),
        ("PASCAL-Context", None, VOID),
        ("PASCAL-VOC", None, BACKGROUND),
        ("own", None, BACKGROUND),
        ("own", [0, 9], VOID),
        ("ADE20K", [255], BACKGROUND),
    ],
)
def test_what_0_means_depends_on_the_dataset(name: str, ignore: list[int] | None, expected: int) -> None:
    source = class_source(DatasetRequest(name=name, ignore=ignore))
    table(name, {1: "person"}, source.ignore)
    assert vocabulary(name).labels(np.zeros(1, np.uint8)).tolist() == [expected]


def test_a_table_written_anew_is_read_anew() -> None:
    assert vocabulary("pets").names[0] == "cat"
    table("pets", {1: "fox"})
    assert vocabulary("pets").names == ("fox",)


def test_a_missing_table_is_named() -> None:
    with pytest.raises(UserError, match=r"data/lists/zoo/classes\.json does not exist; run the prepare stage"):
        vocabulary("zoo")


# ------------------------------------------------------------------------------------------------------------- geometry
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 5))
def test_resizing_invents_no_label(width: int, height: int, seed: int) -> None:
    labels = np.random.default_rng(seed).choice(np.array([-1, 0, 2, 9], np.int16), (13, 17))
    resized = nearest(labels, (height, width))
    assert resized.shape == (height, width) and resized.dtype == np.int16
    assert set(resized.ravel().tolist()) <= {-1, 0, 2, 9}


def test_labels_stay_where_their_pixels_are() -> None:
    """Halving and doubling keep blocks in place; rounding down would shift them."""
    labels = np.kron(np.array([[1, 2], [3, 0]], np.int16), np.ones((4, 4), np.int16))
    assert np.array_equal(nearest(nearest(labels, (4, 4)), (8, 8)), labels)
    tripled = nearest(np.array([[5, 6]], np.int16), (3, 6))
    assert tripled.tolist() == [[5, 5, 5, 6, 6, 6]] * 3


def test_whatever_moves_the_image_moves_its_labels() -> None:
    decoded = decode(make_sample(1, side=80))
    picture = TrainingPicture(decoded.image_HW3, decoded.mask_HW, labels_HW=decoded.labels_HW, void=VOID)
    crop = CropEffect((10, 70), (7, decoded.size[0]), decoded.size)
    for effects in (
        [crop, ResizeEffect(), FlipEffect(mirror=True)],
        [ResizeEffect(), FlipEffect(upside_down=True)],
        [WarpEffect(angle=17.0), ResizeEffect()],
    ):
        moved = apply(picture, effects, (64, 64))
        label_of_grey = vocabulary("pets").labels(moved.image_HW3[..., 0])
        flat = np.isin(moved.image_HW3[..., 0], VALUES)  # not on an edge between two blocks
        if WarpEffect(angle=17.0) in effects:
            flat &= moved.image_HW3[..., 0] > 0
            assert (moved.labels_HW[[0, 0, -1, -1], [0, -1, 0, -1]] == VOID).all()
        agree = (moved.labels_HW == label_of_grey)[flat].mean()
        assert flat.mean() > 0.4 and agree > 0.97


def test_averaging_down_averages_no_labels() -> None:
    small = shrink(decode(make_sample(2, side=80)), 20)
    assert small.labels_HW.shape == small.image_HW3.shape[:2] == small.mask_HW.shape
    assert set(np.unique(small.labels_HW)) <= set(EXPECTED.values())


# -------------------------------------------------------------------------------------------------------------- batches
def test_batches_carry_labels_and_their_names() -> None:
    samples = [make_sample(number) for number in range(4)]
    (batch,) = evaluation_batches(samples, 40, 4)
    assert batch.labels_BHW.shape == (4, 40, 40) and batch.labels_BHW.dtype == torch.int64
    assert batch.classes == (vocabulary("pets"),) * 4
    expected = nearest(decode(samples[2]).labels_HW, (40, 40))
    assert np.array_equal(batch.labels_BHW[2].numpy(), expected)
    # The mask, resized softly, says what is any of the classes.
    inside = batch.mask_B1HW[:, 0] == 1
    assert (batch.labels_BHW[inside] > 0).all() and (batch.labels_BHW[batch.mask_B1HW[:, 0] == 0] <= 0).all()
    moved = batch.to("cpu")
    assert torch.equal(moved.labels_BHW, batch.labels_BHW) and moved.classes == batch.classes


@pytest.mark.filterwarnings("ignore:This DataLoader will create 2 worker processes")
def test_training_batches_are_equal_whoever_makes_them() -> None:
    samples = [make_sample(number) for number in range(6)]
    settings = {"model": "sdnet", "batch": {"size": 2}, "size": {"input": 32}, "augment": AUGMENT}
    first, again, by_workers = (
        list(epoch_batches(samples, Run(**settings, compute={"workers": workers}), seed=1, epoch=0))
        for workers in (0, 0, 2)
    )
    for one, two, three in zip(first, again, by_workers, strict=True):
        assert torch.equal(one.labels_BHW, two.labels_BHW) and torch.equal(one.labels_BHW, three.labels_BHW)
        assert one.classes == two.classes == three.classes
        assert set(one.labels_BHW.unique().tolist()) <= set(EXPECTED.values())


def test_labels_of_splits_that_are_not_to_be_seen_are_void() -> None:
    samples = [make_sample(0), make_sample(1, split="unlabelled")]
    seen = {"samples": {"unlabelled": ["unlabelled"]}, "objective": {"name": "distilled"}}
    run = Run(model="sdnet", batch={"size": 2}, size={"input": 32}, **seen)
    (batch,) = epoch_batches(samples, run, seed=0, epoch=0)
    hidden = batch.ids.index("pets/1")
    assert (batch.labels_BHW[hidden] == VOID).all() and (batch.labels_BHW[1 - hidden] != VOID).any()


def test_pictures_without_labels_have_none() -> None:
    samples = [make_sample(0), replace(make_sample(1), labels="mask")]
    (batch,) = evaluation_batches(samples, 32, 2)
    assert (batch.labels_BHW[1] == VOID).all() and batch.classes[1].names == ()
    (alone,) = evaluation_batches(samples[1:], 32, 2)
    assert alone.labels_BHW is None and alone.classes == ()


# ------------------------------------------------------------------------------------------------------------ real data
def test_real_label_maps(shared: Path) -> None:
    """CamVid: its class 0 is sky, and 11 is unlabelled."""
    folder = shared / "realdata/semantic"
    streets = json.loads((folder / "classes.json").read_text())["sources"]["camvid"]
    table("camvid", {int(value): name for value, name in streets["classes"].items()})
    image = sorted((folder / "images").glob("camvid_*"))[0]
    mask = folder / "labels" / f"{image.stem}.png"
    sample = Sample(
        "camvid/0", "camvid", "test", "rgb", "classes", str(image), None, str(mask), None, None, (), 0, 0, ""
    )
    (batch,) = evaluation_batches([sample], 96, 1)
    assert vocabulary("camvid").names[0] == "sky"
    assert set(batch.labels_BHW.unique().tolist()) <= {VOID, *range(1, 12)}
    top = batch.labels_BHW[0, :10]
    assert (top == 1).float().mean() > 0.2  # the sky is above


def test_a_vocabulary_of_many_classes() -> None:
    many = Vocabulary(tuple(map(str, range(300))), tuple(range(300)), background=False)
    assert many.labels(np.arange(300, dtype=np.uint16)).tolist() == list(range(1, 301))
