"""Google Drive as it answers gdown: the file, a page that asks for confirmation first, or a page that refuses."""

import hashlib
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from limelight.download import download
from limelight.download.hashes import Hash
from limelight.download.order import Order
from limelight.foundation.errors import UserError
from tests.file_server import FileServer, make_certificate, serving

ID = "16Sd3jk44kDDhpkbO6fkZ4JrGDGT8rTcA"
URL = f"https://drive.google.com/file/d/{ID}"
PAYLOAD = bytes(range(256)) * 5000
SHA256 = Hash("sha256", hashlib.sha256(PAYLOAD).hexdigest())
ASKED, CONFIRMED = f"/uc?id={ID}", f"/download?id={ID}&export=download&confirm=t&uuid=1234"
HTML = {"Content-Type": "text/html; charset=utf-8"}
ATTACHED = {"Content-Type": "application/octet-stream", "Content-Disposition": 'attachment; filename="FS.pdparams"'}
CONFIRM = f"""<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title></head><body>
<form id="download-form" action="https://drive.usercontent.google.com/download" method="get">
<input type="submit" value="Download anyway"/><input type="hidden" name="id" value="{ID}">
<input type="hidden" name="export" value="download"><input type="hidden" name="confirm" value="t">
<input type="hidden" name="uuid" value="1234"></form></body></html>""".replace("\n<input", "<input").encode()
QUOTA = b"""<!DOCTYPE html><html><head><title>Google Drive - Quota exceeded</title></head><body>
<p class="uc-error-subcaption">Too many users have viewed or downloaded this file recently.</p></body></html>"""

needs_gdown = pytest.mark.skipif(find_spec("gdown") is None, reason="gdown is not installed: limelight[drive]")


@pytest.fixture
def drive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """A proxy that pretends to be Drive; it knows a file of which it wants a confirmation."""
    certificate = make_certificate(tmp_path, "drive.google.com", "drive.usercontent.google.com")
    with serving(certificate) as server:
        for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("HTTPS_PROXY", server.address)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate.file))
        server.files = {ASKED: CONFIRM, CONFIRMED: PAYLOAD}
        server.headers_of = {ASKED: HTML, CONFIRMED: ATTACHED}
        yield server


def get(folder: Path, order: Order = Order(URL, SHA256)) -> Path:  # noqa: B008 - frozen
    return download(order, folder / "downloads/net.pdparams", attempts=3)


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "downloads").iterdir() if path.suffix != ".lock")


@needs_gdown
@pytest.mark.parametrize("expected", [SHA256, None])
def test_a_large_file_is_confirmed(drive: FileServer, tmp_path: Path, expected: Hash | None) -> None:
    said: list[int | None] = []
    file = get(tmp_path, Order(URL, expected, announce=said.append))
    assert file.read_bytes() == PAYLOAD and said == [None] and left(tmp_path) == ["net.pdparams"]
    assert [path for path, _ in drive.requests] == [ASKED, CONFIRMED]


@needs_gdown
def test_a_small_file_comes_at_once(drive: FileServer, tmp_path: Path) -> None:
    drive.files, drive.headers_of = {ASKED: PAYLOAD}, {ASKED: ATTACHED}
    assert get(tmp_path).read_bytes() == PAYLOAD


@needs_gdown
def test_an_interrupted_transfer_goes_on(drive: FileServer, tmp_path: Path) -> None:
    drive.break_after = [len(CONFIRM), 700_000]
    assert get(tmp_path).read_bytes() == PAYLOAD
    assert drive.ranges[-1] is not None


@needs_gdown
def test_a_changed_file_leaves_nothing(drive: FileServer, tmp_path: Path) -> None:
    drive.files[CONFIRMED] = PAYLOAD[::-1]
    with pytest.raises(UserError, match=r"has sha256 .*, not .*; nothing was kept"):
        get(tmp_path)
    assert left(tmp_path) == []


@needs_gdown
@pytest.mark.parametrize(
    ("page", "headers", "message"),
    [
        (QUOTA, HTML, "cannot be fetched .*Too many users have viewed or downloaded"),
        (b"<html><body>Sign in</body></html>", HTML, "cannot be fetched .*Cannot retrieve the public link"),
        (b"<html><body>Sign in</body></html>", ATTACHED, "sends a web page instead of the file"),
    ],
)
def test_pages_instead_of_the_file(
    drive: FileServer, tmp_path: Path, page: bytes, headers: dict[str, str], message: str
) -> None:
    drive.files, drive.headers_of = {ASKED: page}, {ASKED: headers}
    with pytest.raises(UserError, match=message) as error:
        get(tmp_path)
    assert "\n" not in str(error.value) and left(tmp_path) == []


@needs_gdown
def test_a_file_that_is_gone_or_too_large(drive: FileServer, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="sends more than 1,000 bytes"):
        get(tmp_path, replace(Order(URL, SHA256), most=1000))
    drive.files = {}
    with pytest.raises(UserError, match=f"cannot be fetched .*or get {URL} with a browser and put it at "):
        get(tmp_path)
    assert left(tmp_path) == []


def test_without_gdown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gdown", None)
    with pytest.raises(UserError) as error:
        get(tmp_path)
    assert str(error.value) == (
        "net.pdparams is on Google Drive, which needs the package gdown: pip install 'limelight[drive]'; or get "
        f"{URL} with a browser and put it at {tmp_path / 'downloads/net.pdparams'}"
    )


def test_a_gdown_of_years_ago(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gdown.py").write_text("def download(url, output, quiet=False):\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "gdown", raising=False)
    with pytest.raises(UserError, match=r"net\.pdparams needs a later gdown .*pip install 'limelight\[drive\]'"):
        get(tmp_path)
    del sys.modules["gdown"]
