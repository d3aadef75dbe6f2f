"""Files come from the net whole and right, or not at all; every mishap is one line."""

import base64
import hashlib
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from limelight.download import download
from limelight.download.hashes import Hash
from limelight.download.order import Order
from limelight.foundation.errors import UserError
from tests.file_server import FileServer, make_certificate, serving

PAYLOAD = bytes(range(256)) * 20_000  # 5 MB
SHA256 = Hash("sha256", hashlib.sha256(PAYLOAD).hexdigest())
PAGE = b"\r\n<!DOCTYPE html><html><body>Sign in to continue</body></html>"


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving() as server:
        server.files["/set.zip"] = PAYLOAD
        yield server


def order(server: FileServer, expected: Hash | None = SHA256) -> Order:
    return Order(f"{server.address}/set.zip", expected)


def get(order: Order, folder: Path) -> tuple[Path, list[float]]:
    waits: list[float] = []
    return download(order, folder / "downloads/set.zip", pause=waits.append), waits


def left(folder: Path) -> list[str]:
    """Names of what lies in the folder of downloads, but for locks."""
    return sorted(path.name for path in (folder / "downloads").iterdir() if path.suffix != ".lock")


# ------------------------------------------------------------------------------------------------------------ resuming
def test_a_resumed_download_is_identical(server: FileServer, tmp_path: Path) -> None:
    server.break_after = [1_500_000, 700_000]
    file, waits = get(order(server), tmp_path)
    assert file.read_bytes() == PAYLOAD
    assert len(server.ranges) == 3 and server.ranges[0] is None
    starts = [int(re.findall(r"\d+", str(byte_range))[0]) for byte_range in server.ranges[1:]]
    assert 0 < starts[0] < starts[1] < len(PAYLOAD), "each attempt goes on where the last one stopped"
    assert waits == [1, 1] and left(tmp_path) == ["set.zip"]
    assert server.encodings == {"identity"}, "ranges of what is packed would not fit"


def test_attempts_that_bring_more_do_not_count(server: FileServer, tmp_path: Path) -> None:
    """A large file over a poor line; what brings nothing counts, also between them."""
    server.break_after = [600_000] * 7
    server.statuses = [503, 503]
    file, waits = get(order(server), tmp_path)
    assert file.read_bytes() == PAYLOAD and len(server.ranges) == 10
    assert waits == [1, 2, 1, 1, 1, 1, 1, 1, 1]


def test_a_later_process_goes_on_where_another_was_interrupted(server: FileServer, tmp_path: Path) -> None:
    server.break_after = [1_500_000]
    with pytest.raises(UserError, match="broke off 1 times"):
        download(order(server), tmp_path / "downloads/set.zip", attempts=1)
    assert left(tmp_path) == ["set.zip.part", "set.zip.part.json"]
    assert get(order(server), tmp_path)[0].read_bytes() == PAYLOAD
    assert server.ranges[-1] is not None


@pytest.mark.parametrize("expected", [SHA256, None])
def test_a_changed_file_is_not_spliced(server: FileServer, tmp_path: Path, expected: Hash | None) -> None:
    server.break_after = [1_500_000]
    server.files["/set.zip"], server.etag = bytes(len(PAYLOAD)), '"old"'
    waits = []

    def change(seconds: float) -> None:
        waits.append(seconds)
        server.files["/set.zip"], server.etag = PAYLOAD, '"new"'

    file = download(order(server, expected), tmp_path / "set.zip", pause=change)
    assert file.read_bytes() == PAYLOAD and waits == [1]


def test_a_changed_file_is_not_spliced_after_a_full_disk(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attempt in between learns how to know the new file, and writes none of it."""
    server.break_after, server.files["/set.zip"], server.etag = [1_500_000], bytes(len(PAYLOAD)), '"old"'
    with pytest.raises(UserError, match="broke off 1 times"):
        download(order(server, None), tmp_path / "downloads/set.zip", attempts=1)
    server.files["/set.zip"], server.etag = PAYLOAD, '"new"'
    with monkeypatch.context() as full:
        full.setattr("limelight.download.transfer.RESERVE", 1 << 60)
        with pytest.raises(UserError, match="free some space"):
            get(order(server, None), tmp_path)
    assert get(order(server, None), tmp_path)[0].read_bytes() == PAYLOAD


def test_a_web_page_in_between_costs_nothing(server: FileServer, tmp_path: Path) -> None:
    """What a network with a log-in sends until one has logged in."""
    server.break_after = [1_500_000]
    with pytest.raises(UserError, match="broke off 1 times"):
        download(order(server), tmp_path / "downloads/set.zip", attempts=1)
    server.files["/set.zip"], server.etag = PAGE, ""
    with pytest.raises(UserError, match="sends a web page"):
        get(order(server), tmp_path)
    server.files["/set.zip"], server.etag = PAYLOAD, '"one"'
    assert get(order(server), tmp_path)[0].read_bytes() == PAYLOAD
    assert server.ranges[-1] is not None, "it goes on"


def test_another_range_than_was_asked_for_is_not_appended(server: FileServer, tmp_path: Path) -> None:
    answers = server.answer

    def aligned(request: BaseHTTPRequestHandler) -> None:
        """As a cache that sends whole blocks."""
        if byte_range := request.headers["Range"]:
            start = int(re.findall(r"\d+", byte_range)[0]) & ~0xFFFF
            request.headers.replace_header("Range", f"bytes={start}-")
        answers(request)

    server.break_after, server.answer = [1_500_000], aligned  # type: ignore[method-assign]
    assert get(order(server, None), tmp_path)[0].read_bytes() == PAYLOAD
    assert len(server.ranges) == 3 and server.ranges[-1] is None


@pytest.mark.parametrize("etag", ["", 'W/"one"'], ids=["none", "weak"])
@pytest.mark.parametrize("expected", [SHA256, None])
def test_a_splice_without_validator_is_caught(
    server: FileServer, tmp_path: Path, expected: Hash | None, etag: str
) -> None:
    """By the hash; without one, nothing is continued that could be of another file."""
    server.break_after, server.etag, server.files["/set.zip"] = [1_500_000], etag, bytes(len(PAYLOAD))

    def change(_: float) -> None:
        server.files["/set.zip"] = PAYLOAD

    assert download(order(server, expected), tmp_path / "set.zip", pause=change).read_bytes() == PAYLOAD
    assert server.ranges[-1] is None, "the spliced file was thrown away and fetched from the start"


@pytest.mark.parametrize("expected", [SHA256, None])
def test_a_part_of_a_longer_file_is_thrown_away(server: FileServer, tmp_path: Path, expected: Hash | None) -> None:
    """The server cannot give what comes after the end."""
    folder = tmp_path / "downloads"
    folder.mkdir()
    (folder / "set.zip.part").write_bytes(bytes(len(PAYLOAD) + 1))
    (folder / "set.zip.part.json").write_text('{"validator": "\\"one\\""}')
    assert get(order(server, expected), tmp_path)[0].read_bytes() == PAYLOAD


# -------------------------------------------------------------------------------------------------------------- hashes
@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_a_wrong_hash_leaves_no_file(server: FileServer, tmp_path: Path, algorithm: str) -> None:
    wrong = Hash.parse(f"{algorithm}:{'0' * 32}")
    digest = hashlib.new(algorithm, PAYLOAD).hexdigest()
    with pytest.raises(UserError, match=f"has {algorithm} {digest}, not {'0' * 32}; nothing was kept: ask somebody"):
        get(replace(order(server, wrong), advice="ask somebody"), tmp_path)
    assert left(tmp_path) == []
    assert len(server.requests) == 1, "a whole file with a wrong hash is not asked for again"
    assert get(order(server, Hash.parse(f"{algorithm}:{digest.upper()}")), tmp_path)[0].read_bytes() == PAYLOAD


def test_a_file_that_is_there_is_hashed_too(server: FileServer, tmp_path: Path) -> None:
    file, _ = get(order(server), tmp_path)
    get(order(server), tmp_path)
    assert len(server.requests) == 1
    file.write_bytes(b"damaged")
    assert get(order(server), tmp_path)[0].read_bytes() == PAYLOAD
    assert len(server.requests) == 2


def test_a_hash_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="'crc:1' is not '<algorithm>:<digest>'"):
        Hash.parse("crc:1")


# ------------------------------------------------------------------------------------------------- servers and proxies
def test_server_errors(server: FileServer, tmp_path: Path) -> None:
    server.statuses = [503, 429]
    assert get(order(server), tmp_path)[1] == [1, 2]
    server.statuses = [404]
    with pytest.raises(UserError, match="HTTP 404"):
        download(order(server), tmp_path / "other.zip", pause=lambda _: None)
    server.statuses = [500] * 6
    with pytest.raises(UserError, match="broke off 6 times"):
        download(order(server), tmp_path / "other.zip", pause=lambda _: None)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/a.zip", "set.zip"])
def test_other_schemes_are_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not an http"):
        download(Order(url, SHA256), tmp_path / "a.zip")


def test_redirects_are_followed_and_resumed(server: FileServer, tmp_path: Path) -> None:
    """As a release's files: the address leads to another host, anew for each transfer."""
    server.break_after = [1_500_000]
    with serving() as front:
        front.redirects["/releases/set.zip"] = f"{server.address}/set.zip"
        redirected = Order(f"{front.address}/releases/set.zip", SHA256)
        assert get(redirected, tmp_path)[0].read_bytes() == PAYLOAD
        assert len(front.requests) == 2 and server.ranges[1] is not None


@pytest.mark.parametrize(
    ("target", "message"),
    [("/set.zip", "leads nowhere .*redirects"), ("ftp://127.0.0.1/set.zip", "leads nowhere .*ftp://")],
)
def test_redirects_that_lead_nowhere(server: FileServer, tmp_path: Path, target: str, message: str) -> None:
    server.redirects["/set.zip"] = target
    with pytest.raises(UserError, match=message):
        get(order(server), tmp_path)
    assert left(tmp_path) == []


@pytest.mark.parametrize("content_type", ["text/html; charset=utf-8", "application/octet-stream", ""])
@pytest.mark.parametrize("expected", [SHA256, None])
def test_a_web_page_is_no_file(server: FileServer, tmp_path: Path, content_type: str, expected: Hash | None) -> None:
    """Proxies and hosts send pages with status 200."""
    server.files["/set.zip"], server.headers = PAGE, {"Content-Type": content_type}
    with pytest.raises(UserError, match=r"set\.zip sends a web page instead of the file.*nothing was kept"):
        get(order(server, expected), tmp_path)
    assert left(tmp_path) == [] and len(server.requests) == 1


def test_the_proxy_of_the_environment_is_used(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", server.address)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    there = Order("http://weights.example/set.zip", SHA256)
    assert get(there, tmp_path)[0].read_bytes() == PAYLOAD
    assert server.requests == [("http://weights.example/set.zip", None)]


@pytest.mark.parametrize(
    ("proxy", "message"),
    [
        ("gopher://127.0.0.1", "the proxy of the environment cannot be used"),
        ("http://127.0.0.1:9", "broke off 2 times"),
    ],
)
def test_proxies_that_do_not_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxy: str, message: str) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy)
    with pytest.raises(UserError, match=message):
        download(
            Order("http://weights.example/set.zip", SHA256), tmp_path / "set.zip", attempts=2, pause=lambda _: None
        )


def test_a_proxy_whose_certificate_is_not_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No other attempt would help, so there is none."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with serving(make_certificate(tmp_path, "weights.example")) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.address)
        with pytest.raises(UserError, match=r"certificate is not trusted .*in SSL_CERT_FILE"):
            get(Order("https://weights.example/set.zip", SHA256), tmp_path)


def test_a_way_without_encryption_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though it ends where everything is encrypted again."""
    certificate = make_certificate(tmp_path, "weights.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.file))
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving(certificate) as proxy:
        for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, proxy.address)
        proxy.redirects = {"/set.zip": "http://plain.example/hop", "/hop": "https://weights.example/end"}
        proxy.files["/end"] = PAYLOAD
        with pytest.raises(UserError, match=r"leads to plain\.example without encryption; nothing was fetched"):
            get(Order("https://weights.example/set.zip", None), tmp_path)
    assert left(tmp_path) == []


@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_certificates_that_cannot_be_read(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    file = tmp_path / "mine.pem"
    if content:
        file.write_bytes(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with pytest.raises(UserError, match=rf"the certificates of SSL_CERT_FILE={re.escape(str(file))} cannot be read"):
        get(order(server), tmp_path)


def test_a_password_in_the_address_is_used_and_not_said(
    server: FileServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = server.address.replace("//", "//me:pass@word@") + "/set.zip"
    shown = f"{server.address}/set.zip"
    server.statuses = [503] * 3
    with pytest.raises(UserError, match=f"^{re.escape(shown)} broke off 2 times"):
        download(Order(url, SHA256), tmp_path / "set.zip", attempts=2, pause=lambda _: None)
    assert capsys.readouterr().err.startswith(f"{shown}: HTTP 503; ")
    server.statuses = [404]
    with pytest.raises(UserError, match=f"^{re.escape(shown)} answers HTTP 404"):
        get(Order(url, SHA256), tmp_path)
    with pytest.raises(UserError, match="'ftp://host/a' is not an http"):
        get(Order("ftp://me:pass@host/a", SHA256), tmp_path)
    sent = []
    answers = server.answer

    def heard(request: BaseHTTPRequestHandler) -> None:
        sent.append(request.headers["Authorization"])
        answers(request)

    server.statuses, server.answer = [], heard  # type: ignore[method-assign]
    assert get(Order(url, SHA256), tmp_path)[0].read_bytes() == PAYLOAD
    assert sent == [f"Basic {base64.b64encode(b'me:pass@word').decode()}"]


# ----------------------------------------------------------------------------------------------------- limits and disks
@pytest.mark.parametrize("without_length", [False, True])
def test_more_bytes_than_allowed_are_refused(server: FileServer, tmp_path: Path, without_length: bool) -> None:
    server.without_length = without_length
    with pytest.raises(UserError, match=r"sends more than 1,000 bytes; nothing was kept"):
        get(replace(order(server), most=1000), tmp_path)
    assert left(tmp_path) == []
    assert get(replace(order(server), most=len(PAYLOAD)), tmp_path)[0].read_bytes() == PAYLOAD


def test_a_full_disk_is_one_line(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads/set.zip.part").symlink_to("/dev/full")
    with pytest.raises(UserError, match=r"cannot write .*set\.zip\.part: No space left on device; free some space"):
        get(order(server), tmp_path)
    assert not (tmp_path / "downloads/set.zip").exists()


def test_a_file_larger_than_the_disk_is_not_begun(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limelight.download.transfer.RESERVE", 1 << 60)
    with pytest.raises(UserError, match=r"needs 4 MiB, but .* MiB free; free some space"):
        get(order(server), tmp_path)
    assert "set.zip" not in left(tmp_path) and "set.zip.part" not in left(tmp_path)


def test_a_folder_that_cannot_be_made_is_one_line(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "downloads").write_text("a file")
    with pytest.raises(UserError, match=r"cannot write .*downloads: .*; choose another place"):
        get(order(server), tmp_path)


# ---------------------------------------------------------------------------------------------- what is said, and turns
def test_the_size_is_announced_once_before_the_first_byte(server: FileServer, tmp_path: Path) -> None:
    said: list[int | None] = []

    def announce(size: int | None) -> None:
        said.append(size)
        assert left(tmp_path) == ["set.zip.part.json"]

    server.break_after = [1_500_000]
    get(replace(order(server), announce=announce), tmp_path)
    get(replace(order(server), announce=announce), tmp_path)  # it is there: nothing is fetched
    assert said == [len(PAYLOAD)]


@pytest.mark.parametrize("value", ["1", "true"])
def test_offline(server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("LIMELIGHT_OFFLINE", value)
    place = tmp_path / "downloads/set.zip"
    with pytest.raises(UserError) as error:
        get(order(server), tmp_path)
    assert str(error.value) == (
        f"set.zip is not here and LIMELIGHT_OFFLINE is set; get it from {server.address}/set.zip on another machine "
        f"and put it at {place}"
    )
    place.write_bytes(PAYLOAD)
    assert get(order(server), tmp_path)[0] == place and not server.requests
    monkeypatch.setenv("LIMELIGHT_OFFLINE", "0")
    place.unlink()
    get(order(server), tmp_path)


def test_two_processes_fetch_a_file_once(server: FileServer, tmp_path: Path) -> None:
    script = f"""
        import sys
        from pathlib import Path
        from limelight.download import download
        from limelight.download.hashes import Hash
        from limelight.download.order import Order
        print("ready", flush=True)
        sys.stdin.readline()
        order = Order("{server.address}/set.zip", Hash("sha256", "{SHA256.digest}"))
        print(download(order, Path("downloads/set.zip")))
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    processes = [subprocess.Popen(command, cwd=tmp_path, text=True, **pipes) for _ in range(2)]
    for process in processes:
        assert process.stdout and process.stdout.readline() == "ready\n"
    answers = server.answer

    def slowly(request: object) -> None:
        time.sleep(1)
        answers(request)  # type: ignore[arg-type]

    server.answer = slowly  # type: ignore[method-assign]
    for process in processes:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert len(server.requests) == 1
    assert sum("another process is at work on downloads/set.zip; waiting for it" in errors for _, errors in said) == 1
