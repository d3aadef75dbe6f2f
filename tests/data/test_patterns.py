"""Layouts by file names: which file is whose mask, in one folder or several."""

from pathlib import Path

import pytest
import trees

from limelight.config import DatasetRequest, Layout
from limelight.data.catalogue import labels_of, sensor_of
from limelight.data.hashes import HashCache
from limelight.data.index import Entry
from limelight.data.prepare import Prepared, prepare_dataset
from limelight.foundation.errors import UserError


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make(root: Path, *names: str) -> Path:
    """Empty-named pictures of these names: masks where a name says so or is a PNG, else photos."""
    for number, name in enumerate(names):
        trees.mask(root / name, level=50 + number) if name.endswith("png") else trees.picture(root / name, number)
    return root


def prepare(root: Path, layout: dict[str, str | None] | None = None, **more: object) -> Prepared:
    request = DatasetRequest(
        name="set", path=str(root), layout=layout and Layout(**layout), **{"split": "test", **more}
    )
    return prepare_dataset(
        request, Entry(str(root), 0, "", "local", "", sensor_of(request), labels_of(request), None), 0, HashCache()
    )


def pairs(prepared: Prepared) -> dict[str, tuple[str, str | None]]:
    """Id -> image and mask, below the dataset's folder."""
    return {
        sample.sample_id.removeprefix("set/"): (
            sample.image.removeprefix("set/"),
            sample.mask and sample.mask.removeprefix("set/"),
        )
        for sample in prepared.samples
    }


@pytest.mark.parametrize(
    ("image", "mask", "files", "expected"),
    [
        ("{name}.jpg", "{name}_mask.png", ["x.jpg", "x_mask.png"], {"x": ("x.jpg", "x_mask.png")}),
        ("{name}", "{name}-matte", ["x.jpg", "x-matte.png"], {"x": ("x.jpg", "x-matte.png")}),
        ("{name}.*", "{name}_gt.*", ["x.jpg", "x_gt.png"], {"x": ("x.jpg", "x_gt.png")}),
        ("{name}", "mask_{name}", ["x.jpg", "mask_x.png"], {"x": ("x.jpg", "mask_x.png")}),
        ("{name}", "{name}.png", ["x.jpg", "x.png"], {"x": ("x.jpg", "x.png")}),
        ("{name}.png", "{name}_mask.png", ["x.png", "x_mask.png"], {"x": ("x.png", "x_mask.png")}),
        ("{name}.jpg", "{name}_mask.png", ["x.v2.JPG", "x.v2_MASK.PNG"], {"x.v2": ("x.v2.JPG", "x.v2_MASK.PNG")}),
        ("photos/{name}.jpg", "{name}_m", ["photos/a/x.jpg", "a/x_m.png"], {"a/x": ("photos/a/x.jpg", "a/x_m.png")}),
        ("photos/img_{name}", "cut", ["photos/img_1.jpg", "cut/1.png"], {"1": ("photos/img_1.jpg", "cut/1.png")}),
        ("{name}/photo", "{name}/mask", ["x/photo.jpg", "x/mask.png"], {"x": ("x/photo.jpg", "x/mask.png")}),
        ("{name}/{name}", "{name}/{name}_m", ["x/x.jpg", "x/x_m.png"], {"x": ("x/x.jpg", "x/x_m.png")}),
        ("{name}.jpg", None, ["x.jpg", "y.png"], {"x": ("x.jpg", None)}),
        # an image whose own name ends as masks do
        (
            "{name}",
            "{name}_mask",
            ["red_mask.jpg", "red_mask_mask.png"],
            {"red_mask": ("red_mask.jpg", "red_mask_mask.png")},
        ),
    ],
)
def test_names_pair(here: Path, image: str, mask: str | None, files: list[str], expected: dict[str, tuple[str, str]]):
    prepared = prepare(make(here / "set", *files), {"image": image, "mask": mask})
    assert pairs(prepared) == expected and not prepared.problems


def test_a_companion_beside(here: Path):
    root = make(here / "set", "x.jpg", "x.png", "x_depth.png", "y.jpg", "y.png", "y_depth.png")
    layout = {"image": "{name}.jpg", "mask": "{name}.png", "companion": "{name}_depth.png"}
    prepared = prepare(root, layout, sensor="rgbd")
    assert pairs(prepared) == {name: (f"{name}.jpg", f"{name}.png") for name in "xy"} and not prepared.problems
    assert [sample.companion for sample in prepared.samples] == ["set/x_depth.png", "set/y_depth.png"]


def test_folders_per_split_and_clip(here: Path):
    root = make(here / "set", "train/x.jpg", "train/x_gt.png", "test/y.jpg", "test/y_gt.png", "unlabelled/z.jpg")
    prepared = prepare(root, {"image": "{split}/{name}.jpg", "mask": "{split}/{name}_gt"}, split=None)
    paths = {sample.sample_id: (sample.split, sample.mask) for sample in prepared.samples}
    assert paths == {
        "set/test/y": ("test", "set/test/y_gt.png"),
        "set/train/x": ("train", "set/train/x_gt.png"),
        "set/unlabelled/z": ("unlabelled", None),
    }
    clips = make(here / "set2", *(f"{clip}/{n}{end}" for clip in "ab" for n in (1, 2) for end in (".jpg", "_m.png")))
    prepared = prepare(clips, {"image": "{clip}/{name}.jpg", "mask": "{clip}/{name}_m"})
    assert [(one.clip, one.frame) for one in prepared.samples] == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]


def test_what_has_no_partner_is_left_out_and_named(here: Path):
    files = [f"{number:02}{end}" for number in range(40) for end in (".jpg", "_mask.png")]
    root = make(here / "set", *files, "alone.jpg", "orphan_mask.png")
    prepared = prepare(root, {"image": "{name}", "mask": "{name}_mask"})
    assert len(prepared.samples) == 40
    assert {Path(one.path).name: one.reason.split(" in ")[0] for one in prepared.problems} == {
        "alone.jpg": f"no mask {root}/alone_mask",
        "orphan_mask.png": "no image of this name",
    }
    only = prepare(root, {"image": "{name}", "mask": "{name}_mask"}, include="0*")
    assert len(only.samples) == 10 and not only.problems


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["x.jpg", "x_mask.png", "x_mask.bmp"], r"x_mask\.bmp and .*x_mask\.png both fit '\{name\}_mask'"),
        (["x.jpg", "x.webp", "x_mask.png"], r"x\.jpg and .*x\.webp both fit '\{name\}'"),
        (["x.jpg", "y_mask.png"], r"gives no sample \(.*x\.jpg: no mask .*x_mask"),
        (["notes.txt"], r"no known layout in .*, which holds notes\.txt; looked for \{name\} \+ \{name\}_mask"),
    ],
)
def test_names_that_do_not_pair(here: Path, files: list[str], message: str):
    for name in files:
        if name.endswith("txt"):
            (here / "set").mkdir()
            (here / "set" / name).write_text("x")
        else:
            make(here / "set", name)
    with pytest.raises(UserError, match=message) as caught:
        prepare(here / "set", {"image": "{name}", "mask": "{name}_mask"})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ({"image": "{nmae}.jpg"}, r"\{nmae\} in '\{nmae\}\.jpg' is not one of \{name\}, \{split\}, \{clip\}"),
        ({"image": "{name}", "mask": "{Name}_mask"}, r"\{Name\} in"),
        ({"image": "{name.jpg"}, "a brace in"),
        ({"image": "{}.jpg"}, r"\{\} in"),
        ({"image": "{split}_{name}.jpg"}, "must be folders before"),
        ({"image": "{name}.jpg", "mask": "{split}/{name}.png"}, r"\{split\} is in .*, but not in image"),
        ({"image": "{name}", "mask": "{name}"}, "is used twice"),
    ],
)
def test_mistakes_in_patterns(layout: dict[str, str], message: str):
    with pytest.raises(ValueError, match=message):
        Layout(**layout)


@pytest.mark.parametrize("end", ["_mask", "-mask", "_gt", "-matte"])
def test_usual_names_are_recognised(here: Path, end: str):
    root = make(here / "set", "wrapped/a/x.jpg", f"wrapped/a/x{end}.png", "wrapped/y.jpg", f"wrapped/y{end}.png")
    prepared = prepare(root)
    assert pairs(prepared).keys() == {"a/x", "y"} and not prepared.problems
    with pytest.raises(UserError, match="have no partner"):
        prepare(make(here / "set", "wrapped/y_other.png"))


def test_known_folders_come_before_names(here: Path):
    root = make(here / "set", "images/x.jpg", "masks/x.png", "images/x_mask.png", "masks/x_mask.png")
    assert pairs(prepare(root)).keys() == {"x", "x_mask"}
