"""The embedded pack as it is committed: whole, small, and what the renderer draws today."""

import hashlib
import io
import json
import os
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from limelight.data.renderer import render_clip, render_scene
from limelight.data.renderer.dataset import encode
from limelight.data.renderer.pack import CLIPS, IMAGE_SUFFIX, LARGEST, SETTINGS, SPLITS, zip_folder

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def pack() -> bytes:
    """The pack's bytes, out of the remote inside the repository."""
    objects = ROOT / "data_remote" / "files" / "md5"
    folder = yaml.safe_load((ROOT / "data.dvc").read_text())["outs"][0]["md5"]
    listed = json.loads((objects / folder[:2] / folder[2:]).read_text())
    md5 = {entry["relpath"]: entry["md5"] for entry in listed}["embedded.zip"]
    return (objects / md5[:2] / md5[2:]).read_bytes()


@pytest.fixture(scope="module")
def archive(pack):
    with zipfile.ZipFile(io.BytesIO(pack)) as opened:
        yield opened


def picture(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    return decode(archive.read(name))


def decode(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)


def test_the_pack_is_the_listed_one_and_small(pack):
    listed = json.loads((ROOT / "data" / "raw.sha256.json").read_text())
    assert listed == {"embedded.zip": hashlib.sha256(pack).hexdigest()}
    assert len(pack) <= LARGEST


def test_the_pack_is_complete(archive):
    names = archive.namelist()
    assert names == sorted(names)
    for split, count in SPLITS.items():
        kinds = ("images",) if split == "unlabelled" else ("images", "masks", "depth", "thermal", "labels")
        for kind in kinds:
            assert sum(name.startswith(f"{split}/{kind}/") for name in names) == count
    for split, count in CLIPS.items():
        for kind in ("frames", "masks"):
            assert sum(f"/{kind}/" in name for name in names if name.startswith(f"{split}/clips/")) == (
                count * SETTINGS.clip_frames
            )


@pytest.mark.parametrize("split", SPLITS)
def test_the_first_scenes_are_what_the_renderer_draws(archive, split):
    for index in range(3):
        scene = render_scene(SETTINGS.seed, split, index, SETTINGS.size)
        close(picture(archive, f"{split}/images/{index:05}{IMAGE_SUFFIX}"), decode(encode(scene.image, IMAGE_SUFFIX)))
        if split == "unlabelled":
            continue
        close(picture(archive, f"{split}/masks/{index:05}.png"), scene.mask)
        close(picture(archive, f"{split}/labels/{index:05}.png"), scene.labels)
        close(picture(archive, f"{split}/thermal/{index:05}.png"), scene.thermal)
        close(picture(archive, f"{split}/depth/{index:05}.png"), scene.depth)


def test_the_first_clip_is_what_the_renderer_draws(archive):
    frames, masks = render_clip(SETTINGS.seed, "test", 0, SETTINGS.size, SETTINGS.clip_frames)
    close(picture(archive, f"test/clips/00000/frames/011{IMAGE_SUFFIX}"), decode(encode(frames[-1], IMAGE_SUFFIX)))
    close(picture(archive, "test/clips/00000/masks/011.png"), masks[-1])


def close(packed: np.ndarray, drawn: np.ndarray) -> None:
    """Equal but for a few pixels: another processor may round a sine the other way."""
    assert packed.shape == drawn.shape and packed.dtype == drawn.dtype
    assert np.mean(packed != drawn) < 0.01


def test_zips_depend_on_names_and_contents_alone(tmp_path):
    for name, order in (("one", "ab"), ("two", "ba")):
        for letter in order:
            path = tmp_path / name / letter / f"{letter}.txt"
            path.parent.mkdir(parents=True)
            path.write_text(letter)
            os.utime(path, (ord(name[0]) * 1e6,) * 2)
            path.chmod(0o600 if name == "one" else 0o644)
        zip_folder(tmp_path / name, tmp_path / f"{name}.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        assert archive.namelist() == ["a/a.txt", "b/b.txt"] and archive.read("b/b.txt") == b"b"
