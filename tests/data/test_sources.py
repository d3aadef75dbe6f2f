import hashlib
import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import trees

from limelight.config import DatasetRequest, Renderer
from limelight.data.hashes import HashCache
from limelight.data.index import Entry
from limelight.data.sources import fetch, rendered, unpacked
from limelight.foundation.errors import UserError
from tests.file_server import FileServer, serving


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving() as server:
        yield server


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """Stages run at the repository's root; every path is relative to it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ready(request: DatasetRequest) -> Entry:
    """As the next run of the stage would see it."""
    cache = HashCache()
    entry = fetch(request, cache)
    cache.save()
    return entry


# ------------------------------------------------------------------------------------------------------------- archives
def test_archive_becomes_a_dataset(server, here):
    trees.stills(here / "made/wrapped", ["1", "2"])
    with zipfile.ZipFile(here / "set.zip", "w") as archive:
        for path in sorted((here / "made").rglob("*.*")):
            archive.write(path, path.relative_to(here / "made"))
    server.files["/set.zip"] = body = (here / "set.zip").read_bytes()
    sha256 = hashlib.sha256(body).hexdigest()
    request = DatasetRequest(name="mine", url=f"{server.address}/set.zip", sha256=sha256, split="test")
    first = ready(request)
    assert (first.root, first.files, first.source) == ("data/datasets/mine", 4, "archive")
    assert ready(request) == first and len(server.requests) == 1
    (here / "data/datasets/mine/wrapped/masks/1.png").write_bytes(b"edited")
    (here / "data/datasets/mine/wrapped/masks/3.png").write_bytes(b"added")
    with pytest.raises(UserError, match=r"3.png was added.*1.png has other contents.*delete the folder"):
        ready(request)


def test_an_archive_whose_files_were_not_hashed_to_the_end_is_used(server, here, monkeypatch):
    trees.stills(here / "made", ["1", "2"])
    shutil.make_archive(str(here / "set"), "zip", here / "made")
    server.files["/set.zip"] = body = (here / "set.zip").read_bytes()
    sha256 = hashlib.sha256(body).hexdigest()
    request = DatasetRequest(name="mine", url=f"{server.address}/set.zip", sha256=sha256, split="test")
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(unpacked, "file_hashes", interrupted)
        ready(request)
    first = ready(request)
    assert first.files == 4 and ready(request) == first
    (here / "data/datasets/mine/masks/1.png").write_bytes(b"edited")
    with pytest.raises(UserError, match=r"1.png has other contents"):
        ready(request)


def test_a_rendered_folder_is_none_of_an_archive(here):
    """The renderer keeps a record of the same name."""
    shutil.make_archive(str(here / "set"), "zip", trees.stills(here / "made", ["1"]))
    folder = here / "data/datasets/mine"
    trees.stills(folder, ["1"])
    folder.with_name("mine.json").write_text(json.dumps({"files": {}}))
    with pytest.raises(UserError, match="exists but was not unpacked from"):
        unpacked.ensure_unpacked(here / "set.zip", "0" * 64, folder, HashCache())
    assert not unpacked.is_unpacked("0" * 64, folder)


def interrupted(*arguments):
    raise KeyboardInterrupt


def test_a_hash_that_is_none_is_refused(here):
    request = DatasetRequest(name="mine", url="http://127.0.0.1:9/set.zip", sha256="abc", split="test")
    with pytest.raises(UserError, match=r"sha256 'abc' of .* is not 64 hex digits"):
        ready(request)


# ------------------------------------------------------------------------------------------------------------- embedded
@pytest.fixture
def pack(here) -> Path:
    """data/raw as it is after `dvc pull data.dvc`."""
    for split in ("train", "test"):
        trees.stills(here / "pack" / split, ["1", "2"], companion="depth")
    raw = here / "data/raw"
    raw.mkdir(parents=True)
    with zipfile.ZipFile(raw / "embedded.zip", "w") as archive:
        for path in sorted((here / "pack").rglob("*.*")):
            archive.write(path, path.relative_to(here / "pack"))
    record(raw)
    return raw


def record(raw: Path) -> None:
    sha256 = hashlib.sha256((raw / "embedded.zip").read_bytes()).hexdigest()
    (raw.parent / "raw.sha256.json").write_text(json.dumps({"embedded.zip": sha256}))


def test_embedded_pack(pack):
    entry = ready(DatasetRequest(name="embedded"))
    assert (entry.root, entry.files, entry.sensor, entry.source) == ("data/datasets/embedded", 12, "rgb", "embedded")
    depth = ready(DatasetRequest(name="embedded-rgbd"))
    assert (depth.root, depth.sha256, depth.sensor) == (entry.root, entry.sha256, "rgbd")


def test_drift_of_raw_data(pack):
    request = DatasetRequest(name="embedded")
    ready(request)
    damaged = bytearray((pack / "embedded.zip").read_bytes())
    damaged[100] ^= 1
    (pack / "embedded.zip").write_bytes(damaged)
    with pytest.raises(UserError, match=r"data/raw/embedded.zip has changed.*git checkout data.dvc && dvc checkout"):
        ready(request)
    (pack / "embedded.zip").unlink()
    with pytest.raises(UserError, match=r"data/raw/embedded.zip is missing; run `dvc pull data.dvc`"):
        ready(request)


def test_unlisted_raw_file(pack):
    (pack / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"notes.txt is not in data/raw.sha256.json"):
        ready(DatasetRequest(name="embedded"))


def test_new_pack_replaces_the_old_folder(pack, here):
    first = ready(DatasetRequest(name="embedded"))
    with zipfile.ZipFile(pack / "embedded.zip", "a") as archive:
        archive.write(here / "pack/test/images/1.jpg", "test/images/3.jpg")
    record(pack)
    second = ready(DatasetRequest(name="embedded"))
    assert second.files == first.files + 1 and second.sha256 != first.sha256


# ------------------------------------------------------------------------------------------- local, manual and rendered
def test_local_dataset_missing_is_one_clear_line(here):
    with pytest.raises(UserError) as error:
        ready(DatasetRequest(name="photos", path="nowhere", split="train"))
    assert str(error.value) == (f"dataset photos: path {here}/nowhere does not exist; correct `path` in params.yaml")


def test_local_folder_is_not_copied(here, tmp_path_factory):
    outside = trees.stills(tmp_path_factory.mktemp("outside"), ["1"])
    entry = ready(DatasetRequest(name="photos", path=str(outside), split="train"))
    assert (entry.root, entry.files, entry.licence) == (str(outside), 2, "your own")
    assert not (here / "data").exists()


def test_unknown_name(here):
    with pytest.raises(
        UserError, match=r"'NJU2K' is not in the catalogue .*; did you mean NJUD\? Else give it a `path`"
    ):
        ready(DatasetRequest(name="NJU2K", split="train"))
    with pytest.raises(UserError, match="'photos' is not in the catalogue"):
        ready(DatasetRequest(name="photos"))


def test_manual_dataset_says_what_to_do(here):
    with pytest.raises(UserError) as error:
        ready(DatasetRequest(name="DUTS-TE"))
    for part in ("saliencydetection.net/duts", "DUTS-TE.zip", "data/datasets/DUTS-TE/", "test 5,019 images", "licence"):
        assert part in str(error.value)
    trees.stills(here / "data/datasets/DUTS-TE", ["1"], "DUTS-TE-Image", "DUTS-TE-Mask")
    entry = ready(DatasetRequest(name="DUTS-TE"))
    assert (entry.source, entry.files, entry.licence) == ("manual", 2, "unknown, research use")


def test_rendered(here, monkeypatch):
    request = DatasetRequest(name="drawn", render=Renderer(scenes=4, size=32))
    first = ready(request)
    assert (first.root, first.source) == ("data/datasets/drawn", "rendered")
    assert ready(request) == first
    picture = next((here / "data/datasets/drawn").rglob("train/images/*"))
    whole = picture.read_bytes()
    picture.write_bytes(b"edited")
    with pytest.raises(UserError, match=r"changed since it was drawn: train/images/.* has other contents"):
        ready(request)
    picture.write_bytes(whole)
    anew = DatasetRequest(name="drawn", render=Renderer(scenes=4, size=32, seed=1))
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):  # drawn, and not yet recorded
        patched.setattr(rendered, "write_json", interrupted)
        ready(anew)
    assert ready(anew).sha256 != first.sha256
    with pytest.raises(UserError, match="give it `render"):
        ready(DatasetRequest(name="rendered"))


@pytest.mark.parametrize(
    ("name", "more", "message"),
    [
        ("pets", {"classes": {1: "cat"}}, "dataset pets has labels mask and `classes`"),
        ("pets", {"ignore": [], "labels": "none"}, "dataset pets has labels none and `ignore`"),
        ("DUTS-TR", {"ignore": [255]}, "dataset DUTS-TR has labels mask and `ignore`"),
    ],
)
def test_what_label_maps_mean_needs_label_maps(tmp_path, monkeypatch, name, more, message):
    monkeypatch.chdir(tmp_path)
    root = trees.stills(tmp_path / "set", ["1"])
    with pytest.raises(UserError, match=f"{message}, which is for label maps; set `labels: classes`"):
        fetch(DatasetRequest(name=name, path=str(root), **more), HashCache())


def test_label_maps_of_the_catalogue_need_no_setting(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = trees.stills(tmp_path / "set", ["1"])
    assert fetch(DatasetRequest(name="ADE20K", path=str(root), classes={1: "wall"}), HashCache()).labels == "classes"
