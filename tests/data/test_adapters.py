import json
import unicodedata
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import trees
from PIL import Image

from limelight.config import DatasetRequest, Layout, load_params
from limelight.data.catalogue import catalogue, labels_of, sensor_of
from limelight.data.classes import read_label_map
from limelight.data.hashes import HashCache
from limelight.data.index import Entry
from limelight.data.layouts import Part, split_name
from limelight.data.manifest import Sample
from limelight.data.names import frame_numbers
from limelight.data.prepare import Prepared, describe, prepare_dataset
from limelight.foundation.errors import UserError

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def prepare(root: Path, name: str = "set", **more: object) -> Prepared:
    request = DatasetRequest(name=name, path=str(root), **more)
    return prepare_dataset(request, entry_of(request), 0, HashCache())


def entry_of(request: DatasetRequest) -> Entry:
    return Entry(request.path or "", 0, "", "local", "", sensor_of(request), labels_of(request), None)


def ids(prepared: Prepared) -> list[str]:
    return [sample.sample_id for sample in prepared.samples]


def fill(root: Path, part: Part, stems: list[str]) -> None:
    """Make what a layout describes, with two clips where it has clips and two splits where it has `{split}`."""
    splits = ("train", "test") if "{split}" in part.image else ("",)
    clips = ("bear", "car") if part.clips else ("",)
    for split, clip, stem in product(splits, clips, stems):
        image, *others = [
            folder and root / folder.replace("{split}", split).replace("{clip}", clip)
            for folder in (part.image, part.mask, part.companion)
        ]
        trees.picture(image / f"{stem}.jpg")
        for folder in filter(None, others):
            trees.mask(folder / f"{stem}.png", level=1)
    if part.members:
        listing = root / part.members
        listing.parent.mkdir(parents=True, exist_ok=True)
        listing.write_text("".join(f"{name}\n" for name in (clips if part.clips else stems)))


# ------------------------------------------------------------------------------------------------------- the catalogue
LAYOUTS = [(entry.name, position) for entry in catalogue().values() for position in range(len(entry.layouts))]


@pytest.mark.parametrize(("name", "position"), LAYOUTS)
def test_every_layout_of_the_catalogue(here, name, position):
    entry = catalogue()[name]
    parts = entry.layouts[position]
    for number, part in enumerate(parts):
        fill(here / "root", part, [f"{number}_00001", f"{number}_00002"])
    if entry.labels == "classes":
        (here / "root/classes.json").write_text(json.dumps({"0": "background", "1": "cat"}))
    more = {"split": "test"} if name == "VOS" else {}  # two clips cannot be divided by three
    prepared = prepare(here / "root", name, **more)
    assert not prepared.problems
    named = {part.split for part in parts if part.split}
    expected = {"train", "test"} if "{split}" in parts[0].image else named or {more.get("split", entry.split)}
    assert {sample.split for sample in prepared.samples} == expected
    sample = prepared.samples[0]
    assert (sample.sensor, sample.labels) == (entry.sensor, entry.labels) and Path(sample.image).is_file()
    assert (sample.companion is not None) == (entry.sensor != "rgb")
    assert (sample.mask is not None) == (name != "KD-SOD80K")
    assert (sample.clip is not None) == (name in ("embedded-video", "DAVIS", "DAVSOD", "VOS")) == entry.clips
    assert sample.classes[-1:] == (("cat",) if entry.labels == "classes" else ())
    assert "published" in describe(prepared, name) or not entry.expected


# ------------------------------------------------------------------------------------------------------ pairs of stills
@pytest.mark.parametrize(
    ("image", "target"), [("images", "GT"), ("images", "masks"), ("Imgs", "gt"), ("IMAGE", "Mask")]
)
def test_layouts_are_recognised(here, image, target):
    trees.stills(here / "set", ["1", "2"], image, target)
    prepared = prepare(here / "set", split="test")
    assert ids(prepared) == ["set/1", "set/2"]
    assert prepared.samples[0] == Sample(
        "set/1", "set", "test", "rgb", "mask", f"set/{image}/1.jpg", None, f"set/{target}/1.png", None, None, (),
        24, 20, HashCache().sha256([here / "set" / image / "1.jpg"])[0],
    )  # fmt: skip


def test_kd_scfnet_list_names_the_members(here):
    trees.stills(here / "set", ["a b", "2", "3"], "image", "mask")
    (here / "set/train.txt").write_text("a b\n3.jpg\n\n")
    prepared = prepare(here / "set")
    assert ids(prepared) == ["set/3", "set/a b"] and {sample.split for sample in prepared.samples} == {"train"}


def test_kd_scfnet_lists_of_other_splits(here):
    """Each list that is there is a split; what none names, though it has a mask, is listed as left out."""
    root = trees.stills(here / "set", ["1", "2", "3", "4"], "image", "mask")
    trees.picture(root / "image/unlabelled.jpg")
    for split, name in (("train", "1"), ("test", "2")):
        (root / f"{split}.txt").write_text(f"{name}\n")
    prepared = prepare(root)
    assert {sample.sample_id: sample.split for sample in prepared.samples} == {"set/1": "train", "set/2": "test"}
    assert [(Path(problem.path).name, problem.reason) for problem in prepared.problems] == [
        (f"{number}.jpg", "named in no list (train.txt, test.txt)") for number in (3, 4)
    ]
    (root / "val.txt").write_text("3\n4\n")
    prepared = prepare(root)
    assert [sample.split for sample in prepared.samples] == ["test", "train", "val", "val"]
    assert not prepared.problems


def test_an_archive_beside_its_folder_hides_nothing(here):
    root = here / "set"
    trees.stills(root / "DUTS-TR", ["1", "2"], "DUTS-TR-Image", "DUTS-TR-Mask")
    (root / "DUTS-TR.zip").write_bytes(b"PK")
    assert len(prepare(root, "DUTS-TR").samples) == 2
    other = here / "other"
    for name in ("a", "more/b"):  # pictures beside a folder are the dataset's too
        trees.picture(other / f"{name}.jpg")
        trees.mask(other / f"{name}_mask.png")
    assert ids(prepare(other, split="test")) == ["set/a", "set/more/b"]


@pytest.mark.parametrize(
    ("folder", "split"), [("Easy-35", "test"), ("DAVSOD_Test_Set_Easy_35", "test"), ("DAVSOD_Validation_Set", "val")]
)
def test_davsod_may_be_there_in_part(here, folder, split):
    fill(here / "set" / folder, Part("{clip}/Imgs", "{clip}/GT_object_level"), ["0001", "0002"])
    assert {sample.split for sample in prepare(here / "set", "DAVSOD").samples} == {split}


def test_same_name_in_two_folders_not_lost(here):
    trees.stills(here / "set", ["a/1", "b/1", "1"])
    prepared = prepare(here / "set", split="test")
    assert ids(prepared) == ["set/1", "set/a/1", "set/b/1"]
    assert [sample.mask for sample in prepared.samples] == [
        "set/masks/1.png",
        "set/masks/a/1.png",
        "set/masks/b/1.png",
    ]


def test_names_with_spaces_dots_and_other_scripts(here):
    names = ["ein Bild", "v1.2 final", "лампа", "灯", unicodedata.normalize("NFD", "é")]
    for number, name in enumerate(names):
        trees.picture(here / "set/images" / f"{name}.jpg", number)
        trees.mask(here / "set/masks" / f"{unicodedata.normalize('NFC', name)}.png")
    prepared = prepare(here / "set", split="test")
    assert sorted(ids(prepared)) == sorted(f"set/{unicodedata.normalize('NFC', name)}" for name in names)


def test_every_kind_of_picture(here):
    for suffix in (".jpg", ".png", ".webp", ".bmp", ".tif", ".JPEG"):
        picture = trees.picture(here / f"set/images/a{suffix[1:]}{suffix.lower()}")
        picture.rename(picture.with_suffix(suffix))
        trees.mask(here / f"set/masks/a{suffix[1:]}.png")
    (here / "set/images/Thumbs.db").write_bytes(b"")
    (here / "set/images/notes.txt").write_text("not a picture")
    prepared = prepare(here / "set", split="test")
    assert len(prepared.samples) == 6 and not prepared.problems


def test_unpaired_files_are_listed(here):
    root = trees.stills(here / "set", [f"{number:03}" for number in range(60)])
    trees.picture(root / "images/alone.jpg")
    trees.picture(root / "images/000.png")
    trees.mask(root / "masks/orphan.png")
    prepared = prepare(root, split="test")
    assert len(prepared.samples) == 60
    assert sorted(Path(problem.path).name for problem in prepared.problems) == ["000.png", "alone.jpg", "orphan.png"]
    assert "3 files left out" in describe(prepared, "set")


def test_a_wrong_layout_is_an_error(here):
    root = trees.stills(here / "set", ["1", "2"])
    for path in (root / "masks").iterdir():
        path.rename(path.with_name(f"gt_{path.name}"))
    with pytest.raises(UserError, match=r"gives no sample \(.*no mask 1\.\* in"):
        prepare(root, split="test")
    trees.stills(here / "half", ["1", "2", "3"])
    (here / "half/masks/3.png").unlink()
    with pytest.raises(UserError, match="1 of 3 files have no partner"):
        prepare(here / "half", split="test")
    (here / "other/pictures").mkdir(parents=True)
    with pytest.raises(UserError, match=r"no known layout in .*other, which holds pictures; looked for .*images \+ GT"):
        prepare(here / "other", split="test")
    with pytest.raises(UserError, match="name no split"):
        prepare(trees.stills(here / "fine", ["1"]))


def test_layout_of_ones_own(here):
    trees.stills(here / "set/2024", ["1"], "photos/raw", "photos/cut", "heat")
    layout = Layout(image="2024/photos/raw", mask="2024/photos/cut", companion="2024/heat")
    prepared = prepare(here / "set", sensor="rgbt", layout=layout, split="test")
    assert ids(prepared) == ["set/1"] and prepared.samples[0].companion == "set/2024/heat/1.png"
    unlabelled = prepare(here / "set", layout=Layout(image="2024/photos/raw", mask=None), split="unlabelled")
    assert unlabelled.samples[0].mask is None
    with pytest.raises(UserError, match="names no companion"):
        prepare(here / "set", sensor="rgbt", layout=Layout(image="2024/heat", mask=None), split="test")


def test_broken_files_are_left_out(here):
    root = trees.stills(here / "set", [f"{number:03}" for number in range(80)])
    whole = (root / "images/000.jpg").read_bytes()
    (root / "images/000.jpg").write_bytes(whole[: len(whole) // 2])
    (root / "images/001.jpg").write_bytes(b"not a picture")
    trees.mask(root / "masks/002.png", size=(60, 20))
    (root / "images/003.jpg").write_bytes((root / "images/003.jpg").read_bytes() + b"a phone's trailing bytes" * 9)
    for name in ("080", "081"):
        trees.picture(root / f"images/{name}.png")
        trees.mask(root / f"masks/{name}.png")
    damaged = bytearray((root / "images/080.png").read_bytes())
    damaged[len(damaged) // 2] ^= 255  # and the end is whole
    (root / "images/080.png").write_bytes(damaged)
    prepared = prepare(root, split="test")
    assert len(prepared.samples) == 78
    names = [Path(problem.path).name for problem in prepared.problems]
    assert names == ["000.jpg", "001.jpg", "002.jpg", "080.png"]
    for number in range(4, 8):
        (root / f"images/{number:03}.jpg").write_bytes(b"")
    with pytest.raises(UserError, match="8 of 82 samples cannot be used"):
        prepare(root, split="test")


# ------------------------------------------------------------------------------------------- splits, clips and classes
def test_split_folders(here):
    for split in ("Training", "Test"):
        trees.stills(here / "set" / split, ["1"], "RGB", "GT", "T")
    (here / "set/Unlabelled/RGB").mkdir(parents=True)
    prepared = prepare(here / "set", sensor="rgbt")
    assert ids(prepared) == ["set/test/1", "set/train/1"], "a split without thermal images has no sample"
    assert split_name("Validation Set") == "val" and split_name("Easy-35") == "test"
    assert split_name("train2017") == "train" and split_name("val2017") == "val"


def test_the_embedded_layout(here):
    for split in ("train", "test"):
        trees.stills(here / "pack" / split, ["1"], companion="depth")
        trees.mask(here / "pack" / split / "labels/1.png", level=2)
    trees.stills(here / "pack/unlabelled", ["1", "2"], target=None)
    (here / "pack/classes.json").write_text('{"1": "kite", "2": "boat"}')
    assert ids(prepare(here / "pack", "embedded")) == [
        "embedded/test/1",
        "embedded/train/1",
        "embedded/unlabelled/1",
        "embedded/unlabelled/2",
    ]
    assert [sample.split for sample in prepare(here / "pack", "embedded-rgbd").samples] == ["test", "train"]
    text = prepare(here / "pack", "embedded-text")
    assert text.classes == {1: "kite", 2: "boat"}
    assert [sample.classes for sample in text.samples] == [("boat",), ("boat",), (), ()]
    shares = prepare(here / "pack", "embedded", split={"train": 0.5, "val": 0.5})
    assert [sample.split for sample in shares.samples if sample.mask is None] == ["unlabelled"] * 2


def test_clips_stay_whole_and_unlabelled_frames_are_skipped(here):
    for clip in range(5):
        for frame in range(0, 90, 15):
            trees.picture(here / f"VOS/JPEGImages/{clip}/{frame:05}.jpg", frame)
        trees.mask(here / f"VOS/Annotations/{clip}/00030.png")
        trees.mask(here / f"VOS/Annotations/{clip}/00075.png")
    prepared = prepare(here / "VOS", "VOS")
    assert len(prepared.samples) == 10 and not prepared.problems
    assert {(sample.clip, sample.split) for sample in prepared.samples} == {
        (sample.clip, sample.split) for sample in prepared.samples[::2]
    }, "both frames of a clip are in one split"
    splits = [sample.split for sample in prepared.samples[::2]]
    assert sorted(splits) == ["test", "train", "train", "train", "val"]
    assert [sample.frame for sample in prepared.samples[:2]] == [30, 75]


def test_davis_list_of_frames(here):
    for clip in ("bear", "camel", "car"):
        for frame in ("00000", "00001"):
            trees.picture(here / f"DAVIS/JPEGImages/480p/{clip}/{frame}.jpg")
            trees.mask(here / f"DAVIS/Annotations/480p/{clip}/{frame}.png")
    for name, clips in (("train", ("bear", "car")), ("val", ("camel",))):
        listing = here / f"DAVIS/ImageSets/480p/{name}.txt"
        listing.parent.mkdir(parents=True, exist_ok=True)
        lines = [
            f"/JPEGImages/480p/{clip}/{frame}.jpg /Annotations/480p/{clip}/{frame}.png"
            for clip in clips
            for frame in ("00000", "00001")
        ]
        listing.write_text("\n".join(lines))
    prepared = prepare(here / "DAVIS", "DAVIS")
    assert {(sample.clip, sample.split) for sample in prepared.samples} == {
        ("bear", "train"),
        ("car", "train"),
        ("camel", "test"),
    }
    assert ids(prepared)[0] == "DAVIS/camel/00000"


def test_frame_numbers():
    assert frame_numbers(["select_0064_0003", "select_0064_0010"]) == [3, 10]
    assert frame_numbers(["a", "b"]) == [0, 1]
    assert frame_numbers(["a1", "b1"]) == [0, 1], "numbers that repeat are no frame numbers"


def test_palette_label_maps(here):
    """PASCAL VOC's labels are palette images: the index is the class, the colour means nothing."""
    labels = np.zeros((20, 24), np.uint8)
    labels[:5], labels[5:7], labels[7:9] = 15, 255, 1
    image = Image.fromarray(labels, mode="P")
    image.putpalette([value for index in range(256) for value in (index * 37 % 256, index * 91 % 256, index)])
    root = here / "VOC/VOCdevkit/VOC2012"
    trees.picture(root / "JPEGImages/2007_1.jpg")
    (root / "SegmentationClass").mkdir()
    image.save(root / "SegmentationClass/2007_1.png")
    (root / "ImageSets/Segmentation").mkdir(parents=True)
    for split in ("train", "val"):
        (root / f"ImageSets/Segmentation/{split}.txt").write_text("2007_1\n")
    assert prepare(here / "VOC", "PASCAL-VOC").samples[0].classes == ("aeroplane", "person")


def test_class_tables(here):
    root = trees.stills(here / "ade", ["1"], "images/training", "annotations/training")
    trees.stills(root, ["2"], "images/validation", "annotations/validation")
    trees.mask(root / "annotations/training/1.png", level=2)
    trees.mask(root / "annotations/validation/2.png", level=2)
    (root / "objectInfo150.txt").write_text(
        "Idx\tRatio\tTrain\tVal\tName\n1\t0.15\t11\t9\twall\n2\t0.1\t6\t2\tbuilding, edifice\n"
    )
    assert prepare(root, "ADE20K").samples[0].classes == ("building",)
    trees.mask(root / "annotations/training/1.png", level=7)
    with pytest.raises(UserError, match=r"pixel values \[7\] that the table of classes does not name"):
        prepare(root, "ADE20K")


@pytest.mark.parametrize(
    ("name", "table", "dataset"),
    [("classes.json", '{"255": "kött"}', "set"), ("objectInfo150.txt", "Idx\tName\n255\tkött\n", "ADE20K")],
)
def test_tables_of_classes_by_other_editors(here, name, table, dataset):
    """Windows' editors write a mark at the start; old ones another encoding."""
    root = trees.stills(here / "set", ["1"], "images/training", "annotations/training")
    trees.stills(root, ["1"], "images/validation", "annotations/validation")
    more = {"labels": "classes", "ignore": [0]}
    (root / name).write_text(table, encoding="utf-8-sig")
    assert prepare(root, dataset, **more).samples[0].classes == ("kött",)
    (root / name).write_text(table, encoding="latin-1")
    with pytest.raises(UserError, match=f"{name} is not UTF-8 text"):
        prepare(root, dataset, **more)


def test_coco_stuff_counts_from_0_and_leaves_out_what_it_never_shows(here):
    coco = trees.stills(here / "coco", ["1"], "images/train2017", "annotations/train2017")
    trees.stills(coco, ["2"], "images/val2017", "annotations/val2017")
    for path in (coco / "annotations").rglob("*.png"):
        trees.mask(path, level=2)
    lines = {0: "unlabeled", 1: "person", 2: "bicycle", 3: "car", 12: "street sign", 91: "hair brush", 182: "wood"}
    names = {number: lines.get(number, f"class {number}") for number in range(183)}
    (coco / "labels.txt").write_text("".join(f"{number}: {name}\n" for number, name in names.items()))
    stuff = prepare(coco, "COCO-Stuff")
    assert stuff.samples[0].classes == ("person", "car"), "its pixel values count from 0"
    assert len(stuff.classes) == 171 and stuff.classes[181] == "wood"
    assert not {"unlabeled", "street sign", "hair brush"} & set(stuff.classes.values())
    (coco / "labels.txt").unlink()
    with pytest.raises(UserError, match=r"no labels.txt or classes.json"):
        prepare(coco, "COCO-Stuff")


@pytest.mark.parametrize(("image", "target"), [("images/val2017", "annotations"), ("val2017", "stuffthingmaps")])
def test_coco_stuff_may_be_there_in_part(here, image, target):
    coco = trees.stills(here / "coco", ["1"], image, f"{target}/val2017")
    trees.mask(coco / target / "val2017/1.png", level=1)
    (coco / "labels.txt").write_text("1: person\n2: bicycle\n")
    assert [sample.split for sample in prepare(coco, "COCO-Stuff").samples] == ["val"]


def test_pascal_context_counts_by_the_alphabet(here):
    """As MMSegmentation writes its label maps; the site's 59_labels.txt has another order."""
    root = trees.stills(here / "context", ["1", "2"], "JPEGImages", "SegmentationClassContext")
    for name, stem in (("train", "1"), ("val", "2")):
        trees.mask(root / f"SegmentationClassContext/{stem}.png", level=37)
        (root / f"ImageSets/SegmentationContext/{name}.txt").parent.mkdir(parents=True, exist_ok=True)
        (root / f"ImageSets/SegmentationContext/{name}.txt").write_text(stem)
    (root / "59_labels.txt").write_text("37: keyboard\n")
    prepared = prepare(root, "PASCAL-Context")
    assert [sample.classes for sample in prepared.samples] == [("person",)] * 2
    assert len(prepared.classes) == 59 and list(prepared.classes.values()) == sorted(prepared.classes.values())


def test_label_maps_of_16_bits(here):
    """ADE20K's full set has thousands of classes."""
    root = trees.stills(here / "set", ["1"], target="labels")
    trees.write(root / "labels/1.png", np.full((20, 24), 2978, np.uint16))
    prepared = prepare(root, labels="classes", split="test", classes={2978: "wall"})
    assert prepared.samples[0].classes == ("wall",)


def test_label_maps_of_three_channels_are_ids_or_colours(here):
    root = trees.stills(here / "set", [str(number) for number in range(24)], target="labels")
    levels = np.zeros((20, 24, 4), np.uint8)
    levels[:9, :, :3], levels[..., 3] = 1, 255
    for number in range(24):
        trees.write(root / f"labels/{number}.png", levels[..., : 3 + number % 2])
    more = {"labels": "classes", "split": "test", "classes": {1: "cat"}}
    prepared = prepare(root, **more)
    assert {sample.classes for sample in prepared.samples} == {("cat",)}
    assert read_label_map(root / "labels/0.png").tolist() == levels[..., 0].tolist()
    for wrong, reason in (
        (levels + np.uint8([1, 0, 0, 0]), "holds colours, not ids; convert them by the dataset's palette"),
        (levels - np.uint8([0, 0, 0, 55]), "holds colours, not ids; convert them by the dataset's palette"),
        (levels[..., :3].astype(np.uint16), "has channels of 16 bits; save it with one channel of class ids"),
    ):
        for number in range(24):
            trees.write(root / f"labels/{number}.png", wrong)
        message = rf"24 of 24 samples cannot be used: .*png {reason} \(and 23 more\)$"
        with pytest.raises(UserError, match=message) as caught:
            prepare(root, **more)
        assert str(caught.value).count(".png") == 1


# ------------------------------------------------------------------------------------------ a part of a folder, and how
def several(root: Path) -> Path:
    """Two sources in one folder, told apart by their names; one counts from 0 and leaves out 11."""
    trees.stills(root, ["street_1", "street_2", "office_1", "office_2"], target="labels")
    for name, level in (("street_1", 3), ("street_2", 11), ("office_1", 1), ("office_2", 1)):
        trees.mask(root / f"labels/{name}.png", level=level)
    (root / "classes.json").write_text(json.dumps({"sources": {"street": {"0": "sky"}}}))
    return root


def test_a_part_of_a_folder_with_classes_of_its_own(here):
    root = several(here / "set")
    street = {"classes": {0: "sky", 3: "road"}, "ignore": [11], "include": "street_*"}
    prepared = prepare(root, "street", labels="classes", split="test", **street)
    assert [(sample.sample_id, sample.classes) for sample in prepared.samples] == [
        ("street/street_1", ("sky", "road")),
        ("street/street_2", ("sky",)),
    ]
    assert not prepared.problems, "labels of other sources are no orphans"
    own = {0: "Background", 1: " a\n chair"}
    office = prepare(root, "office", labels="classes", split="test", classes=own, include="office_*")
    assert office.classes == {1: "a chair"}
    with pytest.raises(UserError, match=r"pixel values \[11\] .* list them under `ignore`"):
        prepare(root, "street", labels="classes", split="test", **{**street, "ignore": None})
    with pytest.raises(UserError, match=r"must map pixel values to names.*or give `classes` in params.yaml"):
        prepare(root, "street", labels="classes", split="test", include="street_*")
    with pytest.raises(UserError, match=r"no picture in .*set/images matches 'home_\*'"):
        prepare(root, "home", labels="classes", split="test", classes={1: "sofa"}, include="home_*")
    for wrong, message in (
        ({1: "cat", 2: "Cat"}, "dataset office: classes 'cat', 'Cat' are named more than once; name each once"),
        ({1: "dog", 2: "dog "}, "classes 'dog', 'dog' are named more than once"),
        ({1: "dog", 2: " "}, "dataset office: class 2 of 2 is empty"),
        ({1: ""}, "class 1 of 1 is empty"),
        ({0: "background "}, "name no class"),
    ):
        with pytest.raises(UserError, match=message):
            prepare(root, "office", labels="classes", split="test", classes=wrong, include="office_*")


def test_label_maps_that_show_no_class_are_refused(here):
    """Masks of 0 and 255 with a table for 0 and 1."""
    root = trees.stills(here / "set", ["1", "2"], target="labels")
    more = {"labels": "classes", "split": {"train": 0.5, "test": 0.5}}
    message = (
        r"dataset set: no label map shows any of the classes 1: car; values found: 0, 255 \(255 is under `ignore`\)"
    )
    with pytest.raises(UserError, match=message):
        prepare(root, classes={1: "car"}, **more)
    with pytest.raises(UserError, match=r"4: d, 5: e, \.\.\.; values found: 0, 255 \(0, 255 are under `ignore`\)"):
        prepare(root, classes=dict(enumerate("abcdef", 1)), ignore=[0, 255], **more)
    trees.mask(root / "labels/2.png", level=1)
    assert [sample.classes for sample in prepare(root, classes={1: "car"}, **more).samples].count(()) == 1
    unlabelled = Layout(image="images", mask=None)
    assert prepare(root, labels="classes", layout=unlabelled, classes={1: "car"}, split="unlabelled").samples


def test_a_class_is_not_dropped_for_its_pixel_value(here):
    root = trees.stills(here / "set", ["1"], target="labels")  # 255 on 0
    prepared = prepare(root, labels="classes", split="test", classes={1: "cat", 255: "car"})
    assert prepared.samples[0].classes == ("car",) and 255 not in prepared.source.ignore
    for value in (-1, 65536):
        with pytest.raises(UserError, match=f"give 'dog' pixel value {value}; label maps hold 0 to 65535"):
            prepare(root, labels="classes", split="test", classes={255: "car", value: "dog"})
    (root / "classes.json").write_text('{"1": "cat", "255": "car"}')
    with pytest.raises(UserError, match=r"value 255 'car', which is ignored .* set `ignore: \[\]` .* if it is a class"):
        prepare(root, labels="classes", split="test")
    assert prepare(root, labels="classes", split="test", ignore=[]).samples[0].classes == ("car",)


def test_clips_and_lists_are_divided_by_name_too(here):
    for clip in ("day_1", "night_1"):
        trees.stills(here / "set" / clip, ["0001", "0002"], "frames", "masks")
    clips = prepare(here / "set", include="night_*", split="test")
    assert {sample.clip for sample in clips.samples} == {"night_1"}
    listed = trees.stills(here / "listed", ["a/1", "b/1"])
    (listed / "img_list.txt").write_text("images/a/1.jpg\nimages/b/1.jpg\n")
    (listed / "gt_list.txt").write_text("masks/a/1.png\nmasks/b/1.png\n")
    assert ids(prepare(listed, include="b/*", split="test")) == ["set/b/1"]


# ----------------------------------------------------------------------------------------------------------- companions
@pytest.mark.parametrize(
    ("depth", "message"),
    [
        (np.random.default_rng(0).integers(0, 256, (20, 24, 3), np.uint8), "colour picture, and depth has one channel"),
        (np.zeros((20, 24), np.uint16), "holds no reading, every pixel is 0"),
        (np.linspace(0.4, 7, 480, dtype=np.float32).reshape(20, 24), "numbers from 0.4 to 7 without a known maximum"),
        (np.full((20, 24), np.nan, np.float32), "numbers from nan"),
        (np.eye(40, 24, dtype=np.uint8), "their proportions differ"),
    ],
)
def test_what_is_no_depth_is_left_out_and_named(here, depth, message):
    root = trees.stills(here / "set", [f"{number:02}" for number in range(30)], companion="depth")
    suffix = "tiff" if depth.dtype == np.float32 else "png"
    (root / "depth/07.png").unlink()
    trees.write(root / f"depth/07.{suffix}", depth)
    prepared = prepare(root, sensor="rgbd", split="test")
    assert len(prepared.samples) == 29
    (problem,) = prepared.problems
    assert problem.path.endswith("images/07.jpg") and message in problem.reason and "\n" not in problem.reason


def test_thermal_pictures_may_be_coloured_and_depth_grey_in_three_channels(here):
    root = trees.stills(here / "set", ["1", "2"], companion="heat")
    grey = np.repeat(np.random.default_rng(0).integers(0, 256, (20, 24, 1), np.uint8), 3, axis=-1)
    trees.write(root / "heat/1.png", grey)
    layout = Layout(companion="heat")
    assert len(prepare(root, sensor="rgbd", layout=layout, split="test").samples) == 2
    trees.picture(root / "heat/2.png")
    assert len(prepare(root, sensor="rgbt", layout=layout, split="test").samples) == 2


@pytest.mark.slow
def test_real_folders(shared):
    real = shared / "realdata"
    photos = prepare(real / "rgb", "photos", layout=Layout(), split={"train": 0.8, "val": 0.1, "test": 0.1})
    assert len(photos.samples) == 400 and not photos.problems
    assert [sum(one.split == split for one in photos.samples) for split in ("train", "val", "test")] == [320, 40, 40]
    assert all(sample.image.startswith(str(real)) for sample in photos.samples)
    video = prepare(real / "video", "clips", split="test")
    assert len({sample.clip for sample in video.samples}) == 6 and len(video.samples) == 144
    depth = prepare(real / "rgbd", "depth", sensor="rgbd", split="test")
    assert len(depth.samples) == 53 and all(sample.companion for sample in depth.samples)


PRESET_REQUESTS = [
    (path.stem, request)
    for path in sorted((ROOT / "presets").glob("*.yaml"))
    for request in load_params(path).active.data.datasets
    if not request.render and request.name in catalogue() and catalogue()[request.name].layouts
]


@pytest.mark.parametrize(
    ("preset", "expected"), PRESET_REQUESTS, ids=[f"{preset}-{expected.name}" for preset, expected in PRESET_REQUESTS]
)
def test_a_preset_takes_the_whole_folder_that_the_catalogue_asks_for(here, preset, expected):
    """Not only the part that it uses."""
    stem = expected.include.rstrip("*") if expected.include else "a_"
    for part in catalogue()[expected.name].layouts[0]:
        fill(here / "root", part, [f"{stem}1" if part.split in (None, expected.split or part.split) else "other_1"])
    if labels_of(expected) == "classes":
        (here / "root/classes.json").write_text(json.dumps({"0": "background", "1": "cat"}))
    whole = "train" if isinstance(expected.split, dict) else expected.split  # one picture has no shares
    expected = expected.model_copy(update={"path": str(here / "root"), "split": whole})
    prepared = prepare_dataset(expected, entry_of(expected), 0, HashCache())
    assert prepared.samples and not prepared.problems
    assert all(expected.include is None or Path(sample.image).stem == f"{stem}1" for sample in prepared.samples)


# ------------------------------------------------------------------------------------------- sensor, labels and clips
def test_sensor_labels_and_clips_go_together_in_any_way(here):
    """Each says its own: depth with class labels, thermal video, a video with class labels, images alone."""
    stills = trees.stills(here / "stills", ["1", "2"], target="labels", companion="depth")
    for name in ("1", "2"):
        trees.mask(stills / f"labels/{name}.png", level=1)
    depth = prepare(stills, sensor="rgbd", labels="classes", classes={1: "cat"}, split="test").samples
    assert [(one.modality, one.labels, one.clip, one.classes) for one in depth] == [
        ("rgbd", "classes", None, ("cat",))
    ] * 2
    for clip in ("bear", "car"):
        trees.stills(here / "heat" / clip, ["0001", "0002"], "frames", "masks", "thermal")
        trees.stills(here / "classes" / clip, ["0001", "0002"], "frames", "labels")
    heat = prepare(here / "heat", sensor="rgbt", split="test").samples
    assert [(one.modality, one.labels, one.clip, one.frame) for one in heat[:3]] == [
        ("rgbt", "mask", "bear", 1),
        ("rgbt", "mask", "bear", 2),
        ("rgbt", "mask", "car", 1),
    ]
    moving = prepare(here / "classes", labels="classes", classes={255: "cat"}, split="test").samples
    assert {(one.sensor, one.labels, one.clip) for one in moving} == {
        ("rgb", "classes", clip) for clip in ("bear", "car")
    }
    for root in ("heat", "classes"):
        alone = prepare(here / root, labels="none", split="unlabelled").samples
        assert {(one.modality, one.labels, one.mask) for one in alone} == {("rgb", "none", None)} and len(alone) == 4


def test_images_alone_of_a_dataset_with_labels(here):
    trees.stills(here / "set", ["1", "2"], "RGB", "GT")
    for root, more in (("set", {}), ("set/RGB", {}), ("set", {"layout": Layout(image="RGB", mask="GT")})):
        samples = prepare(here / root, labels="none", split="unlabelled", **more).samples
        assert [(one.sample_id, one.labels, one.mask) for one in samples] == [
            ("set/1", "none", None),
            ("set/2", "none", None),
        ]


def test_a_split_without_labels_says_so(here):
    trees.stills(here / "set/train", ["1"])
    trees.stills(here / "set/unlabelled", ["2"], target=None)
    assert [(one.split, one.labels) for one in prepare(here / "set").samples] == [
        ("train", "mask"),
        ("unlabelled", "none"),
    ]
