"""A teacher's maps of a pool: computed once, kept by content, written as a dataset."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from limelight.data.hashes import list_files
from limelight.data.layouts import known_layouts, require
from limelight.foundation.errors import UserError
from limelight.imaging.masks import read_mask
from limelight.inference.loading import load
from limelight.media.sources import find_sources
from limelight.predict.labelling import MARKER, Teacher, add_maps, map_path, stores_below, write_dataset

PHOTOS = Path(__file__).parents[1] / "photos"


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    """Three photos, one of them twice, and a file that is none."""
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    for photo in PHOTOS.glob("*.jpg"):
        shutil.copy(photo, folder)
    shutil.copy(PHOTOS / "cat.jpg", folder / "sub/again.jpg")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    return folder


def labelled(untrained: Path, pool: Path, store: Path) -> list[tuple[Path, str]]:
    paths = [path for path in sorted(pool.rglob("*")) if path.is_file()]
    return add_maps(Teacher(str(untrained), "torch"), store, paths)


def test_maps_are_the_teachers_and_made_once(untrained: Path, pool: Path, tmp_path: Path) -> None:
    store = Teacher(str(untrained), "torch").store(tmp_path / "store")
    ((broken, reason),) = labelled(untrained, pool, store)
    assert broken.name == "broken.png" and "cannot read" in reason
    assert len(list(store.rglob("*.png"))) == 3  # the copy's map is the same file
    cat_HW3 = cv2.cvtColor(cv2.imread(str(pool / "cat.jpg")), cv2.COLOR_BGR2RGB)
    expected = load(untrained, device="cpu", threads=1).predict([cat_HW3])[0].saliency_HW
    np.testing.assert_allclose(read_mask(map_path(store, pool / "cat.jpg")), expected, atol=0.51 / 255)
    before = {path: path.stat().st_mtime_ns for path in store.rglob("*.png")}
    labelled(untrained, pool, store)
    assert before == {path: path.stat().st_mtime_ns for path in store.rglob("*.png")}


def test_other_settings_have_another_place(untrained: Path, tmp_path: Path) -> None:
    teachers = [
        Teacher(str(untrained), "torch"),
        Teacher(str(untrained), "torch-bf16"),
        Teacher(str(untrained), "torch", size=96),
    ]
    assert len({teacher.store(tmp_path) for teacher in teachers}) == 3


def test_the_dataset_has_what_has_a_map(untrained: Path, pool: Path, tmp_path: Path) -> None:
    store = Teacher(str(untrained), "torch").store(tmp_path / "store")
    labelled(untrained, pool, store)
    (pool / "broken.png").unlink()
    sources = find_sources([pool])
    for _ in range(2):  # the second replaces the first
        assert write_dataset(store, sources, tmp_path / "set") == 4
    images = sorted(
        path.relative_to(tmp_path / "set/images").as_posix() for path in (tmp_path / "set/images").rglob("*.jpg")
    )
    assert images == ["cat.jpg", "coffee.jpg", "rocket.jpg", "sub/again.jpg"]
    assert (tmp_path / "set/masks/sub/again.png").read_bytes() == map_path(store, pool / "cat.jpg").read_bytes()
    kept = [pool / "cat.jpg", map_path(store, pool / "cat.jpg")]
    before = [path.read_bytes() for path in kept]
    for name in ("images/cat.jpg", "masks/cat.png"):  # a dataset may be edited in place
        with (tmp_path / "set" / name).open("r+b") as file:
            file.write(b"another")
    assert [path.read_bytes() for path in kept] == before
    assert json.loads((tmp_path / "set" / MARKER).read_text())["maps"] == store.name
    assert {Path(name).parts[0] for name in list_files(tmp_path / "set")} == {"images", "masks"}  # for `prepare`
    assert require(tmp_path / "set", known_layouts("rgb", "mask"), "set")[1][0].mask == "masks"


def test_stores_are_told_from_other_folders(untrained: Path, tmp_path: Path) -> None:
    stores = [Teacher(str(untrained), "torch", size=size).store(tmp_path) for size in (64, 96)]
    for place in (*stores, tmp_path / "photos"):
        place.mkdir()
    assert sorted(stores_below(tmp_path)) == sorted(stores) and stores_below(tmp_path / "none") == []


def test_what_cannot_be_a_dataset(untrained: Path, pool: Path, tmp_path: Path) -> None:
    store = Teacher(str(untrained), "torch").store(tmp_path / "store")
    (pool / "broken.png").unlink()
    (tmp_path / "full").mkdir()
    (tmp_path / "full/notes.txt").write_text("mine")
    with pytest.raises(UserError, match="is not empty, and no dataset of maps"):
        write_dataset(store, find_sources([pool]), tmp_path / "full")
    labelled(untrained, pool, store)
    own = tmp_path / "own"
    for name in ("images/a.jpg", "masks/a.png", "classes.json"):
        (own / name).parent.mkdir(parents=True, exist_ok=True)
        (own / name).write_text("mine")
    with pytest.raises(UserError, match="own is not empty, and no dataset of maps"):
        write_dataset(store, find_sources([pool]), own)
    assert len([path for path in own.rglob("*") if path.is_file()]) == 3
    cv2.imwrite(str(pool / "cat.png"), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(UserError, match="would have the same map; rename one"):
        write_dataset(store, find_sources([pool]), tmp_path / "set")
    assert not (tmp_path / "set").exists()
