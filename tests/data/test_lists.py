import json
from dataclasses import replace
from pathlib import Path

import pytest
import trees

from limelight.config import DatasetRequest
from limelight.data.hashes import HashCache
from limelight.data.index import Entry
from limelight.data.lists import Listed, read_parallel_lists, read_prompts, write_lists
from limelight.data.manifest import Sample
from limelight.data.prepare import prepare_dataset
from limelight.foundation.errors import UserError


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def samples_of(root: Path, sensor: str = "rgb", labels: str = "mask", **more: object) -> list[Sample]:
    request = DatasetRequest(name="set", path=str(root), sensor=sensor, labels=labels, **more)
    entry = Entry(str(root), 0, "", "local", "", sensor, labels, None)
    return prepare_dataset(request, entry, 0, HashCache()).samples


def listed(sample: Sample) -> Listed:
    return Listed(sample.image, sample.companion, sample.mask, sample.classes)


def test_stills_with_depth(here):
    samples = samples_of(
        trees.stills(here / "set", ["a/1", "b/1", "mit Leer"], companion="depth"), "rgbd", split="train"
    )
    write_lists(samples, here / "lists")
    assert read_parallel_lists(here / "lists") == [listed(sample) for sample in samples]
    assert (here / "lists/train.txt").read_text() == "a/1\nb/1\nmit Leer\n"
    assert (here / "lists/sdnet.txt").read_text() == (
        "set/images/a/1.jpg set/masks/a/1.png\n"
        "set/images/b/1.jpg set/masks/b/1.png\n"
        "'set/images/mit Leer.jpg' 'set/masks/mit Leer.png'\n"
    )


def test_plain_rgb_repeats_the_image(here):
    samples = samples_of(trees.stills(here / "set", ["1"]), "rgb", split="train")
    write_lists(samples, here / "lists")
    assert (here / "lists/x_list.txt").read_text() == (here / "lists/img_list.txt").read_text()
    assert read_parallel_lists(here / "lists") == [listed(sample) for sample in samples]


def test_unlabelled_has_no_masks(here):
    root = trees.stills(here / "set", ["1", "2"], target=None)
    samples = samples_of(root, "rgb", split="unlabelled", layout={"image": "images", "mask": None})
    write_lists(samples, here / "lists")
    assert not (here / "lists/gt_list.txt").exists() and not (here / "lists/sdnet.txt").exists()
    assert read_parallel_lists(here / "lists") == [listed(sample) for sample in samples]
    labelled = replace(samples[0], mask="set/masks/1.png")
    write_lists([labelled, samples[1]], here / "mixed")
    assert read_parallel_lists(here / "mixed") == [listed(labelled)], "parallel lists cannot leave a line out"


@pytest.mark.parametrize(
    ("image", "target"),
    [("{}/Imgs", "{}/ground-truth"), ("JPEGImages/{}", "Annotations/{}"), ("{}/frames", "{}/masks")],
)
def test_clips(here, image, target):
    for clip in ("bear", "two words"):
        for frame in (5, 9, 100):
            trees.picture(here / "set" / image.format(clip) / f"{clip}_{frame:04}.png", frame)
            trees.mask(here / "set" / target.format(clip) / f"{clip}_{frame:04}.png")
    samples = samples_of(here / "set", split="test")
    write_lists(samples, here / "lists")
    lines = (here / "lists/sdnet.txt").read_text().splitlines()
    assert len(lines) == 2 and lines[0] == f"set/{image.format('bear')} png set/{target.format('bear')} png"
    assert [sample.frame for sample in samples[:3]] == [5, 9, 100]


def test_prompts(here):
    root = trees.stills(here / "set", ["a/1", "b/1", "2"], target="labels")
    for name, level in (("a/1", 1), ("b/1", 2), ("2", 2)):
        trees.mask(root / "labels" / f"{name}.png", level=level)
    (root / "classes.json").write_text('{"1": "cat", "2": "tv/monitor"}')
    samples = samples_of(root, labels="classes", split="val")
    write_lists(samples, here / "lists")
    assert json.loads((here / "lists/val_text.json").read_text()) == {
        "2.jpg": ["a photo of a tv/monitor"],
        "set/images/a/1.jpg": ["a photo of a cat"],
        "set/images/b/1.jpg": ["a photo of a tv/monitor"],
    }
    assert read_parallel_lists(here / "lists") == [listed(sample) for sample in samples]
    (here / "bare.json").write_text('{"1.jpg": "a photo of a cat"}')
    with pytest.raises(UserError, match="give a list of prompts"):
        read_prompts(here / "bare.json")


def test_a_folder_of_lists_is_a_dataset(here):
    samples = samples_of(trees.stills(here / "set", ["a/1", "b/1"], companion="depth"), "rgbd", split="train")
    write_lists(samples, here / "lists")
    again = samples_of(here / "lists", "rgbd", split="train")
    assert [listed(sample) for sample in again] == [listed(sample) for sample in samples]
    assert [sample.sample_id for sample in again] == ["set/a/1", "set/b/1"]


def test_every_table_of_prompts_is_read(here):
    """Seg-diffusion keeps those of training and validation side by side; its label maps need a table of classes."""
    root = trees.stills(here / "set", ["1", "2"], target="labels")
    for number, split in enumerate(("train", "val"), 1):
        trees.mask(root / f"labels/{number}.png", level=number)
        (root / f"{split}_text.json").write_text(json.dumps({f"{number}.jpg": [f"a photo of a thing {number}"]}))
    (root / "img_list.txt").write_text("images/1.jpg\nimages/2.jpg\n")
    (root / "gt_list.txt").write_text("labels/1.png\nlabels/2.png\n")
    assert [line.classes for line in read_parallel_lists(root)] == [("thing 1",), ("thing 2",)]
    samples = samples_of(root, labels="classes", split="train", classes={1: "thing 1", 2: "thing 2"})
    assert [sample.classes for sample in samples] == [("thing 1",), ("thing 2",)]


def test_prompts_and_label_maps_must_agree(here):
    root = trees.stills(here / "set", [f"{number:02}" for number in range(30)], target="labels")
    for path in (root / "labels").iterdir():
        trees.mask(path, level=1)
    names = [f"{number:02}" for number in range(30)]
    (root / "img_list.txt").write_text("".join(f"images/{name}.jpg\n" for name in names))
    (root / "gt_list.txt").write_text("".join(f"labels/{name}.png\n" for name in names))
    prompts = {f"{name}.jpg": ["a photo of a Traffic  Light"] for name in names}
    prompts["07.jpg"] = ["a photo of a traffic light", "a photo of a dog"]
    (root / "train_text.json").write_text(json.dumps(prompts))
    request = DatasetRequest(
        name="set", path=str(root), labels="classes", split="train", classes={1: "traffic light", 2: "dog"}
    )
    entry = Entry(str(root), 0, "", "local", "", "rgb", "classes", None)
    prepared = prepare_dataset(request, entry, 0, HashCache())
    (problem,) = prepared.problems
    assert len(prepared.samples) == 29 and problem.path.endswith("images/07.jpg")
    assert "labels/07.png does not show 'dog', which a *_text.json names" in problem.reason
    swapped = request.model_copy(update={"classes": {2: "traffic light", 1: "dog"}})
    with pytest.raises(UserError, match=r"30 of 30 samples .*'Traffic  Light', .*, but 'dog'; correct"):
        prepare_dataset(swapped, entry, 0, HashCache())


def test_an_image_that_two_tables_name_differently_has_no_prompts(here):
    """Both folders have a 1.jpg; the list holds one of them."""
    (here / "img_list.txt").write_text("train/1.jpg\ntrain/2.jpg\n")
    (here / "train_text.json").write_text('{"1.jpg": ["a photo of a cat"], "2.jpg": ["a photo of a cat"]}')
    (here / "val_text.json").write_text('{"1.jpg": ["a photo of a dog"], "2.jpg": ["a photo of a cat"]}')
    assert [line.classes for line in read_parallel_lists(here)] == [(), ("cat",)]


def test_wrong_lists(here):
    (here / "img_list.txt").write_text("1.jpg\n2.jpg\n")
    (here / "gt_list.txt").write_text("1.png\n")
    with pytest.raises(UserError, match=r"gt_list.txt has 1 lines and img_list.txt 2"):
        read_parallel_lists(here)
    with pytest.raises(UserError, match=r"none/img_list.txt does not exist"):
        read_parallel_lists(here / "none")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("img_list.txt", b"\n", "img_list.txt names no image; write one path a line"),
        ("img_list.txt", b"/a/1.jpg\nimages/2.jpg\n", "absolute paths, such as /a/1.jpg, and relative ones"),
        ("img_list.txt", "images/grün.jpg\n".encode("latin-1"), "img_list.txt is not UTF-8 text .*; save it as UTF-8"),
        ("train_text.json", b'["a"]', r'train_text.json holds \["a"\]; give a table of image names'),
        ("train_text.json", b"3", "train_text.json holds 3; give a table of image names"),
    ],
)
def test_a_list_that_is_none_is_one_clear_line(here, name, content, message):
    root = trees.stills(here / "set", ["1"])
    (root / "img_list.txt").write_text("images/1.jpg\n")
    (root / "gt_list.txt").write_text("masks/1.png\n")
    (root / name).write_bytes(content)
    if name == "img_list.txt":
        (root / "gt_list.txt").unlink()
    with pytest.raises(UserError, match=message) as caught:
        samples_of(root, "rgb", split="train")
    assert "\n" not in str(caught.value)


def test_a_list_of_members_in_another_encoding_is_named(here):
    root = trees.stills(here / "set", ["1"], "image", "mask")
    (root / "train.txt").write_bytes("grün\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"train.txt is not UTF-8 text"):
        samples_of(root, "rgb")
