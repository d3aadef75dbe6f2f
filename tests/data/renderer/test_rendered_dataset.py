"""Rendered dataset folders: layout, independence of the workers, resuming."""

import json
from pathlib import Path

import cv2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limelight.config import Renderer
from limelight.data.renderer import CLASSES, dataset, render_dataset

SMALL = Renderer(scenes=8, size=32, seed=3)


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def drawn(monkeypatch) -> list[tuple[str, int]]:
    """The scenes drawn from here on, in this process; drawing stops with an interruption after the first three."""
    calls: list[tuple[str, int]] = []
    render = dataset.render_scene

    def interrupted(seed, split, index, size, draw):
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append((split, index))
        return render(seed, split, index, size, draw)

    monkeypatch.setattr(dataset, "render_scene", interrupted)
    return calls


def test_layout(tmp_path):
    settings = Renderer(scenes=1, size=32, clip_frames=3)
    render_dataset(tmp_path / "set", settings, {"train": 2, "unlabelled": 1, "test": 1}, clips={"test": 1})
    stills = {
        f"{split}/{kind}/{number:05}.png"
        for split, count in (("train", 2), ("test", 1))
        for kind in ("images", "masks", "depth", "thermal", "labels")
        for number in range(count)
    }
    frames = {f"test/clips/00000/{kind}/{number:03}.png" for kind in ("frames", "masks") for number in range(3)}
    others = {"unlabelled/images/00000.png", "classes.json", dataset.RECIPE}
    assert set(tree(tmp_path / "set")) == stills | frames | others
    assert json.loads((tmp_path / "set/classes.json").read_text()) == {str(k): name for k, name in CLASSES.items()}
    scene = dataset.render_scene(0, "train", 1, 32)
    for kind, picture in (("images", scene.image[..., ::-1]), ("depth", scene.depth), ("labels", scene.labels)):
        written = cv2.imread(str(tmp_path / f"set/train/{kind}/00001.png"), cv2.IMREAD_UNCHANGED)
        assert written.dtype == picture.dtype and (written == picture).all()


@pytest.mark.slow
def test_pictures_do_not_depend_on_the_workers(tmp_path):
    settings = Renderer(scenes=40, size=32)
    for name, workers in (("one", 1), ("two", 2)):
        render_dataset(tmp_path / name, settings, workers=workers)
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path, monkeypatch, drawn):
    target = tmp_path / "set"
    with pytest.raises(KeyboardInterrupt):
        render_dataset(target, SMALL)
    assert not target.exists()
    first = list(drawn)
    drawn.clear()
    with pytest.raises(KeyboardInterrupt):
        render_dataset(target, SMALL)
    assert len(first) == len(drawn) == 3 and not set(first) & set(drawn)
    monkeypatch.undo()
    render_dataset(target, SMALL)
    render_dataset(tmp_path / "straight", SMALL)
    assert tree(target) == tree(tmp_path / "straight")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set", "straight"]


def test_a_finished_folder_is_left_alone_and_another_recipe_replaces_it(tmp_path, drawn):
    target = tmp_path / "set"
    render_dataset(target, SMALL, {"train": 2})
    drawn.clear()
    render_dataset(target, SMALL, {"train": 2})
    assert drawn == []
    render_dataset(target, SMALL.model_copy(update={"seed": 4}), {"train": 1})
    assert sorted(path.name for path in (target / "train/images").iterdir()) == ["00000.png"]


@given(st.integers(1, 10_000))
def test_split_counts(scenes):
    counts = dataset.split_counts(scenes)
    assert sum(counts.values()) == scenes
    assert min(counts.values()) >= (1 if scenes >= 4 else 0)
