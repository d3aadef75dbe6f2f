import hashlib
import json
import re
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trees

from limelight.config import DatasetRequest, Renderer
from limelight.data.hashes import HashCache
from limelight.data.index import Entry
from limelight.data.sources import fetch
from limelight.data.sources.archive import download
from limelight.foundation.errors import UserError

PAYLOAD = bytes(range(256)) * 20_000  # 5 MB
SHA256 = hashlib.sha256(PAYLOAD).hexdigest()


class Server:
    """Serves one body with Range and If-Range; can break off, answer with errors and change the body."""

    def __init__(self) -> None:
        self.body, self.etag = PAYLOAD, '"one"'
        self.break_after: list[int] = []
        self.statuses: list[int] = []
        self.ranges: list[str | None] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/set.zip"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        byte_range, unless_changed = request.headers.get("Range"), request.headers.get("If-Range")
        self.ranges.append(byte_range)
        if self.statuses:
            request.send_response(self.statuses.pop(0))
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        start = int(re.findall(r"\d+", byte_range)[0]) if byte_range and unless_changed in (None, self.etag) else 0
        piece = self.body[start:]
        request.send_response(206 if start else 200)
        request.send_header("Content-Length", str(len(piece)))
        if self.etag:
            request.send_header("ETag", self.etag)
        request.end_headers()
        if self.break_after:
            request.wfile.write(piece[: self.break_after.pop(0)])
            request.close_connection = True
        else:
            request.wfile.write(piece)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """Stages run at the repository's root; every path is relative to it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def get(server: Server, here: Path, sha256: str = SHA256) -> tuple[Path, list[float]]:
    waits: list[float] = []
    return download(server.url, sha256, here / "downloads/set.zip", pause=waits.append), waits


def ready(request: DatasetRequest) -> Entry:
    """As the next run of the stage would see it."""
    cache = HashCache()
    entry = fetch(request, cache)
    cache.save()
    return entry


# ------------------------------------------------------------------------------------------------------------- archives
def test_resume_download_is_identical(server, here):
    server.break_after = [1_500_000, 700_000]
    file, waits = get(server, here)
    assert file.read_bytes() == PAYLOAD
    assert len(server.ranges) == 3 and server.ranges[0] is None
    starts = [int(re.findall(r"\d+", byte_range)[0]) for byte_range in server.ranges[1:]]
    assert 0 < starts[0] < starts[1] < len(PAYLOAD), "each attempt goes on where the last one stopped"
    assert waits == [1, 2]
    assert sorted(path.name for path in file.parent.iterdir() if path.suffix != ".lock") == ["set.zip"]


def test_changed_file_is_not_spliced(server, here):
    server.break_after = [1_500_000]
    server.body, server.etag = bytes(len(PAYLOAD)), '"old"'
    waits = []

    def change(seconds: float) -> None:
        waits.append(seconds)
        server.body, server.etag = PAYLOAD, '"new"'

    file = download(server.url, SHA256, here / "set.zip", pause=change)
    assert file.read_bytes() == PAYLOAD and waits == [1]


def test_splice_without_validator_is_caught_by_the_hash(server, here):
    server.break_after, server.etag, server.body = [1_500_000], "", bytes(len(PAYLOAD))

    def change(_: float) -> None:
        server.body = PAYLOAD

    assert download(server.url, SHA256, here / "set.zip", pause=change).read_bytes() == PAYLOAD
    assert server.ranges[-1] is None, "the spliced file was thrown away and fetched from the start"


def test_refuses_hash_mismatch_and_keeps_no_file(server, here):
    with pytest.raises(UserError, match=f"has sha256 {SHA256}, not {'0' * 64}"):
        get(server, here, "0" * 64)
    assert [path.suffix for path in (here / "downloads").iterdir()] == [".lock"]
    assert len(server.ranges) == 1, "a whole file with a wrong hash is not asked for again"


def test_cache_hit_is_hashed_too(server, here):
    file, _ = get(server, here)
    get(server, here)
    assert len(server.ranges) == 1
    file.write_bytes(b"damaged")
    assert get(server, here)[0].read_bytes() == PAYLOAD
    assert len(server.ranges) == 2


def test_server_errors(server, here):
    server.statuses = [503, 429]
    assert get(server, here)[1] == [1, 2]
    server.statuses = [404]
    with pytest.raises(UserError, match="HTTP 404"):
        download(server.url, SHA256, here / "other.zip", pause=lambda _: None)
    server.statuses = [500] * 6
    with pytest.raises(UserError, match="broke off 6 times"):
        download(server.url, SHA256, here / "other.zip", pause=lambda _: None)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/a.zip", "set.zip"])
def test_other_schemes_are_refused(url, here):
    with pytest.raises(UserError, match="not an http"):
        download(url, SHA256, here / "a.zip")


def test_archive_becomes_a_dataset(server, here):
    trees.stills(here / "made/wrapped", ["1", "2"])
    with zipfile.ZipFile(here / "set.zip", "w") as archive:
        for path in sorted((here / "made").rglob("*.*")):
            archive.write(path, path.relative_to(here / "made"))
    server.body = (here / "set.zip").read_bytes()
    request = DatasetRequest(name="mine", url=server.url, sha256=hashlib.sha256(server.body).hexdigest(), split="test")
    first = ready(request)
    assert (first.root, first.files, first.source) == ("data/datasets/mine", 4, "archive")
    assert ready(request) == first and len(server.ranges) == 1
    (here / "data/datasets/mine/wrapped/masks/1.png").write_bytes(b"edited")
    (here / "data/datasets/mine/wrapped/masks/3.png").write_bytes(b"added")
    with pytest.raises(UserError, match=r"3.png was added.*1.png has other contents.*delete the folder"):
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


def test_rendered(here):
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
    other = ready(DatasetRequest(name="drawn", render=Renderer(scenes=4, size=32, seed=1)))
    assert other.sha256 != first.sha256
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
