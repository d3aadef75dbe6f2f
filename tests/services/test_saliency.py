"""The service as it runs: one real server on loopback for every case here."""

import concurrent.futures
import http.client
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import httpx
import numpy as np
import psutil
import pytest
from PIL import Image

from limelight.imaging.encoding import encode
from limelight.imaging.images import read_image
from limelight.inference.loading import load
from limelight.media.outputs import adjust, output
from tests.profiles import rgb_profile

pytestmark = pytest.mark.slow

TOKEN = "only-for-this-test"
ORIGIN = "https://app.example"
START_S = 180
AUTHORISED = {"Authorization": f"Bearer {TOKEN}"}


class Server:
    """`limelight serve` in a process of its own; started when first needed, and again if a test has stopped it."""

    def __init__(self, weights: Path, home: Path) -> None:
        self.weights, self.home = weights, home
        self.process: subprocess.Popen[bytes] | None = None

    def ensure(self) -> httpx.Client:
        if self.process is None or self.process.poll() is not None:
            self._start()
        return httpx.Client(base_url=self.url, headers=AUTHORISED, timeout=60, trust_env=False)

    def _start(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        environment = os.environ | {
            "BENTOML_HOME": str(self.home),
            "LIMELIGHT_TOKEN": TOKEN,
            "LIMELIGHT_CORS_ORIGINS": f"{ORIGIN}, http://localhost:5173",
            "LIMELIGHT_THREADS": "1",
            "OMP_NUM_THREADS": "1",
        }
        command = [sys.executable, "-m", "limelight.cli", "serve", "--model", str(self.weights), "--port", str(port)]
        with (self.home / "server.log").open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if httpx.get(f"{self.url}/readyz", timeout=5, trust_env=False).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.2)
        raise RuntimeError((self.home / "server.log").read_text())

    def log(self, since: int = 0) -> str:
        """What has been logged, but for the first `since` letters."""
        return (self.home / "server.log").read_text(encoding="utf-8")[since:]

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                for child in psutil.Process(self.process.pid).children(recursive=True):
                    child.kill()
                self.process.kill()


@pytest.fixture(scope="session")
def server(untrained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = Server(untrained, tmp_path_factory.mktemp("bentoml"))
    yield started
    started.stop()


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with server.ensure() as connection:
        yield connection


def picture(height: int = 40, width: int = 60, seed: int = 0, kind: str = "PNG") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def blank(height: int, width: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("1", (width, height)).save(buffer, "PNG")
    return buffer.getvalue()


def upload(
    client: httpx.Client, content: bytes, path: str = "/predict", name: str = "photo.png", **texts: str
) -> httpx.Response:
    return client.post(path, files={"image": (name, content, "image/png")}, data=texts)


def refused(answer: httpx.Response, status: int, part: str) -> None:
    assert answer.status_code == status, answer.text
    reason = answer.json()["error"]
    assert part in reason and "\n" not in reason and "/tmp" not in reason


def test_mask_and_cutout_are_the_predictors_own(client: httpx.Client, untrained: Path) -> None:
    content = picture(kind="JPEG")
    image = read_image(content)
    expected = load(untrained, device="cpu").predict([image])[0].saliency_HW
    for path, kind in (("/predict", "map"), ("/cutout", "rgba")):
        answer = upload(client, content, path, "снимок 1.jpg")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
        made = np.asarray(Image.open(io.BytesIO(answer.content)))
        expected_picture = np.asarray(Image.open(io.BytesIO(encode(output(kind).render(image, expected)))))
        assert made.shape == expected_picture.shape
        assert np.abs(made.astype(int) - expected_picture)[..., -1].max() <= 1
    steps = re.findall(r"(\w+);dur=[\d.]+", answer.headers["server-timing"])
    assert steps == ["read", "pre", "net", "post", "draw", "encode"]


def test_parameters_in_the_address_are_refused(client: httpx.Client) -> None:
    for path in ("/predict?kind=rgba", "/cutout?threshold=0.5", "/describe?x"):
        refused(upload(client, picture(), path), 400, "parameters are fields of the form here")


@pytest.mark.parametrize("kind", ["map", "rgba", "green", "white", "blur", "overlay"])
def test_a_kind_is_what_is_made_of_the_map(client: httpx.Client, untrained: Path, kind: str) -> None:
    content = picture(kind="JPEG")
    image = read_image(content)
    answer = upload(client, content, kind=kind)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png"), answer.text
    made = np.asarray(Image.open(io.BytesIO(answer.content)))
    expected = output(kind).render(image, load(untrained, device="cpu").predict([image])[0].saliency_HW)
    assert made.shape == expected.shape
    difference = np.abs(made.astype(int) - expected)
    if kind == "rgba":
        difference = difference[..., 3]  # colours that hardly show may differ
    # A contour's pixel may fall to either side of its level.
    assert np.mean(difference > 1) < 0.01


@pytest.mark.parametrize("kind", ["map", "rgba", "white", "overlay"])
@pytest.mark.parametrize("threshold", ["0", "0.45", "1.0"])
def test_a_threshold_is_that_of_predict(client: httpx.Client, untrained: Path, kind: str, threshold: str) -> None:
    image = read_image(picture())
    saliency_HW = load(untrained, device="cpu").predict([image])[0].saliency_HW
    expected = output(kind).render(image, adjust(saliency_HW, threshold=float(threshold)))
    answers = [upload(client, picture(), kind=kind, threshold=threshold)]
    answers += [upload(client, picture(), "/cutout", threshold=threshold)] * (kind == "rgba")
    for answer in answers:
        assert answer.status_code == 200, answer.text
        made = np.asarray(Image.open(io.BytesIO(answer.content)))
        different = np.abs(made.astype(int) - expected).reshape(40, 60, -1).max(-1) > 1
        # A pixel of that very saliency may fall to either side.
        assert made.shape == expected.shape and different.mean() < 0.01


@pytest.mark.parametrize("threshold", ["", "much", "NaN", "-0.1", "1.01", "[0.5]", '"\\ud800"'])
@pytest.mark.parametrize("path", ["/predict", "/cutout"])
def test_what_is_no_threshold_is_400(client: httpx.Client, path: str, threshold: str) -> None:
    refused(upload(client, picture(), path, threshold=threshold), 400, "threshold")


def transparent(colour: tuple[int, int, int] = (200, 60, 40)) -> tuple[np.ndarray, bytes]:
    """A square on a transparent ground, in Display P3, at 300 dpi; the ground's own colour is hidden."""
    pixels = np.full((40, 60, 4), (255, 0, 255, 0), np.uint8)
    pixels[10:30, 20:40] = *colour, 255
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", dpi=(300, 300), icc_profile=rgb_profile("Display P3"))
    return pixels, buffer.getvalue()


@pytest.mark.parametrize("kind", ["map", "rgba", "green", "white", "blur", "overlay"])
def test_transparency_profile_and_resolution(client: httpx.Client, kind: str) -> None:
    pixels, content = transparent()
    hidden = pixels[..., 3] == 0
    answer = upload(client, content, kind=kind)
    assert answer.status_code == 200 and "x-limelight-notes" not in answer.headers
    image = Image.open(io.BytesIO(answer.content))
    assert np.allclose(image.info["dpi"], 300, atol=0.01)
    made = np.asarray(image).astype(int)
    if kind in ("map", "rgba"):
        assert not made[hidden].any()
    else:
        ground = {"green": (120, 255, 155)}.get(kind, (255, 255, 255))
        away = cv2.erode(hidden.astype(np.uint8), np.ones((15, 15))) > 0  # the blur of the ground reaches that far
        assert np.abs(made[away] - ground).max() <= 2
    if kind == "rgba":
        shown = made[..., 3] > 0
        assert shown.any() and np.abs(made[shown][:, :3] - (217, 42, 23)).max() <= 1


def test_what_was_ignored_is_told_in_a_header(client: httpx.Client) -> None:
    frames = [Image.fromarray(np.full((20, 30, 3), level, np.uint8)) for level in (20, 120, 220)]
    for kind, options, part in (
        ("GIF", {"save_all": True, "append_images": frames[1:]}, "only the first of its 3 pictures was used"),
        ("PNG", {"icc_profile": b"nonsense" * 20}, "its colour profile is damaged"),
    ):
        buffer = io.BytesIO()
        frames[0].save(buffer, kind, **options)
        answer = upload(client, buffer.getvalue(), "/cutout")
        assert answer.status_code == 200
        (note,) = json.loads(answer.headers["x-limelight-notes"])
        assert part in note


@pytest.mark.parametrize("kind", ["", "npy", "map16", "#ff8800", "/etc/passwd", "MAP"])
def test_other_kinds_are_refused_files_above_all(client: httpx.Client, kind: str) -> None:
    refused(upload(client, picture(), kind=kind), 400, "one of map, rgba, green, white, blur, overlay")
    refused(upload(client, picture(), "/cutout", kind="rgba"), 400, "may have its depth")


def test_describe_is_the_card(client: httpx.Client, untrained: Path) -> None:
    description = client.post("/describe").json()
    assert description["card"] == json.loads((untrained / "card.json").read_text())
    assert description["limits"] == {
        "max_body": 20 << 20,
        "max_pixels": 25_000_000,
        "max_video_body": 200 << 20,
        "max_frames": 10_000,
        "max_seconds": 600,
        "max_frame_pixels": 9_437_184,
    }
    assert description["name"] == "sdnet"
    assert description["description"].startswith("sdnet (training form, 745,197 parameters), torch on cpu")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"this is text",
        picture()[:300],
        b"GIF89a",
        b"SIMPLE  =                    T",
        b"\x80\x05\x95cposix\nsystem\n.",
    ],
    ids=["empty", "text", "cut short", "header alone", "fits", "pickle"],
)
def test_what_is_no_picture_is_400(client: httpx.Client, content: bytes) -> None:
    refused(upload(client, content), 400, "cannot read the image")


def test_bomb_png_rejected(client: httpx.Client) -> None:
    refused(upload(client, blank(20_000, 20_000)), 413, "pixels")
    refused(upload(client, blank(5001, 5001)), 413, "limit of 25000000 pixels")


def test_body_limit_413(client: httpx.Client) -> None:
    content = bytes(21 << 20)
    refused(upload(client, content), 413, "the limit is")

    def chunks() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
        for start in range(0, len(content), 1 << 20):
            yield content[start : start + (1 << 20)]
        yield b"\r\n--x--\r\n"

    answer = client.post("/predict", content=chunks(), headers={"Content-Type": "multipart/form-data; boundary=x"})
    refused(answer, 413, "more than the limit")


def test_clients_that_read_nothing_before_they_have_sent_all_get_the_413(client: httpx.Client, server: Server) -> None:
    """Were the connection closed at once, the rest of the body would reset it."""
    for _ in range(3):
        connection = http.client.HTTPConnection("127.0.0.1", int(server.url.rpartition(":")[2]), timeout=30)
        kind = {"Content-Type": "multipart/form-data; boundary=x"} | AUTHORISED
        connection.request("POST", "/predict", bytes(30 << 20), kind)
        answer = connection.getresponse()
        assert answer.status == 413 and b"the limit is" in answer.read()
        connection.close()


def test_a_form_for_nothing_is_404(client: httpx.Client) -> None:
    refused(upload(client, picture(), "/segment"), 404, "there is nothing at '/segment'")


def test_post_string_in_file_field_is_415(client: httpx.Client, server: Server) -> None:
    url = f"{server.url}/livez"
    refused(client.post("/predict", data={"image": url}), 415, "content type")
    refused(client.post("/predict", files={"image": (None, url)}), 415, "holds text")
    refused(client.post("/predict", json={"image": url}), 415, "content type")
    pickled = {"Content-Type": "application/vnd.bentoml+pickle"}
    refused(client.post("/predict", content=b"\x80\x05.", headers=pickled), 415, "pickle")


def test_a_companion_that_the_model_does_not_take_is_400(client: httpx.Client) -> None:
    files = {"image": ("photo.png", picture(), "image/png"), "companion": ("depth.png", picture(), "image/png")}
    refused(client.post("/predict", files=files), 400, "sdnet takes images alone")
    assert 'data-takes="rgb"' in client.get("/").text


def test_bad_pictures_do_not_fail_their_neighbours(client: httpx.Client) -> None:
    good = [picture(30, 30 + index, seed=index) for index in range(6)]
    mixed = [content for pair in zip(good, [b"junk"] * 6, strict=True) for content in pair]
    alone = [upload(client, content).content for content in good]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda content: upload(client, content), mixed))
    assert [answer.status_code for answer in answers] == [200, 400] * 6
    for answer, expected in zip(answers[::2], alone, strict=True):  # another export computes several at a time
        difference = levels(answer.content) - levels(expected)
        assert np.abs(difference).max() <= 1


def test_a_page_of_another_origin_may_use_the_service(server: Server, client: httpx.Client) -> None:
    """A browser sends no token with its preflight request, and reads only answers with CORS headers."""
    requests = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    with httpx.Client(base_url=server.url, trust_env=False) as browser:
        preflight = browser.options("/predict", headers=requests)
        stranger = browser.options("/predict", headers=requests | {"Origin": "https://evil.example"})
        client.headers["Origin"] = browser.headers["Origin"] = ORIGIN
        answers = [upload(client, picture()), upload(browser, picture()), upload(client, bytes(21 << 20))]
        answers += [client.post("/predict"), client.get("/predict"), client.get("/nowhere")]
    assert preflight.status_code == 200 and "Authorization" in preflight.headers["access-control-allow-headers"]
    assert [answer.status_code for answer in answers] == [200, 401, 413, 415, 405, 404]
    assert {answer.headers["access-control-allow-origin"] for answer in [preflight, *answers]} == {ORIGIN}
    assert "Server-Timing" in answers[0].headers["access-control-expose-headers"]
    refused(stranger, 400, "is not among those of LIMELIGHT_CORS_ORIGINS")
    assert not [name for name in stranger.headers if name.startswith("access-control")]


HOSTILE = (
    b"{",
    b"null",
    b'{"a": 1}',
    b"[" * 10_000,
    b"NaN",
    b"1e999",
    b"9" * 5000,
    b'"\\ud800"',
    b"\xff{}",
    "{}".encode("utf-16"),
)


def test_a_refused_request_is_one_line_of_the_log(server: Server, client: httpx.Client) -> None:
    before = len(server.log())
    json_type = {"Content-Type": "application/json"}
    for content in HOSTILE:
        refused(
            client.post("/describe", content=content, headers=json_type), 400, "an empty body or the JSON object {}"
        )
    refused(client.post("/describe", headers={"Content-Type": "application/vnd.bentoml+pickle"}), 415, "pickle")
    refused(client.get("/a%0Afake%1B[31m", params={"token": TOKEN}), 404, "there is nothing at")
    refused(client.put("/predict"), 405, "PUT is not allowed here")
    refused(upload(client, b"junk"), 400, "cannot read the image")
    refused(httpx.get(server.url + "/metrics", headers={"Authorization": "Bearer no"}, trust_env=False), 401, "token")
    lines = server.log(before).splitlines()
    assert [int(line.split()[6]) for line in lines] == [400] * len(HOSTILE) + [415, 404, 405, 400, 401]
    assert all(
        re.match(r"\S+T\S+ \[WARNING\] \S+ 127\.0\.0\.1:\d+ [A-Z]+ /\S* \d+ [\d.]+ ms [0-9a-f]{32}: \S", line)
        for line in lines
    )
    assert TOKEN not in server.log() and "Traceback" not in server.log()


def test_an_upload_that_breaks_off_or_lies_leaves_the_service_as_it_was(server: Server, client: httpx.Client) -> None:
    before = len(server.log())
    fields = f"Host: a\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    head = f"POST /predict HTTP/1.1\r\n{fields}"
    address = ("127.0.0.1", int(server.url.rpartition(":")[2]))
    with socket.create_connection(address) as broken:
        broken.sendall(f"{head}Content-Length: 5000\r\n\r\n--x".encode())
    with socket.create_connection(address) as lying:
        lying.sendall(f"{head}Content-Length: 5\r\nConnection: close\r\n\r\n--x and more".encode())
        assert lying.recv(99).startswith(b"HTTP/1.1 400 ")
    with socket.create_connection(address) as asking:
        asking.sendall(f"{head}Content-Length: {99 << 20}\r\nExpect: 100-continue\r\n\r\n".encode())
        reply = asking.recv(4096)
        assert reply.startswith(b"HTTP/1.1 413 "), "it waits for what it will not take"
        assert b"connection: close" in reply.lower(), "it would read all of it"
    assert upload(client, picture(), name="Screenshot at 1.00.00\u202fPM.png").status_code == 200
    statuses = [line.split()[6] for line in server.log(before).splitlines()]
    assert sorted(statuses) == ["200", "400", "400", "413"]


def levels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)), dtype=int)


def await_cutouts(server: Server, requests: Sequence[concurrent.futures.Future]) -> None:
    """Return once the server works on the cut-outs that were asked for, or has answered one."""
    working = re.compile(rf'request_in_progress\{{endpoint="/cutout".*\}} {len(requests)}\.0')
    with httpx.Client(base_url=server.url, headers=AUTHORISED, trust_env=False) as other:
        while not any(each.done() for each in requests) and not working.search(other.get("/metrics").text):
            pass


def test_queue_full_429(server: Server, client: httpx.Client) -> None:
    """While two requests are being worked on, some may wait and are served; more than that are told so at once."""
    content = picture()
    with concurrent.futures.ThreadPoolExecutor(42) as pool:
        slow = [pool.submit(upload, client, blank(3000, 3000), "/cutout") for _ in range(2)]
        await_cutouts(server, slow)
        waiting = [pool.submit(upload, client, content) for _ in range(40)]
        for _ in range(20):  # more than may be in progress
            assert client.get("/").status_code == 200, "the page does not wait for pictures"
            assert client.post("/describe").status_code == 200, "nor does the description"
        assert not all(each.done() for each in waiting)
        answers = [each.result() for each in waiting]
        assert [each.result().status_code for each in slow] == [200, 200]
    assert {answer.status_code for answer in answers} == {200, 429}
    for answer in answers:
        if answer.status_code == 429:
            refused(answer, 429, "send it again in 1 s")
            assert answer.headers["retry-after"] == "1"


def test_a_stream_that_is_refused_is_one_line_of_the_log(server: Server, client: httpx.Client) -> None:
    before = len(server.log())
    with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=30) as stranger:
        stranger.sendall(
            b"GET /stream HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        answer = b"".join(iter(lambda: stranger.recv(4096), b"")).lower()
    assert answer.startswith(b"http/1.1 401 ") and b"\r\nwww-authenticate: bearer\r\n" in answer
    (line,) = server.log(before).splitlines()
    assert " WEBSOCKET /stream 401 " in line and line.endswith("Bearer <token>")
    wanted = 'limelight_request_total{endpoint="/stream",http_response_code="401"}'
    assert wanted in client.get("/metrics").text


def test_pictures_of_clients_that_have_gone_are_not_computed(server: Server, client: httpx.Client) -> None:
    before, large = len(server.log()), blank(3000, 3000)
    request = httpx.Request("POST", f"{server.url}/cutout", files={"image": ("a.png", large)}, headers=AUTHORISED)
    body = request.read()
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        slow = [pool.submit(upload, client, large, "/cutout") for _ in range(2)]
        await_cutouts(server, slow)
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2]))) as gone:
                gone.sendall(f"POST /cutout HTTP/1.1\r\n{head}\r\n".encode() + body)
        assert [each.result().status_code for each in slow] == [200, 200]
    assert upload(client, picture()).status_code == 200
    lines = [line for line in server.log(before).splitlines() if " 400 " in line]
    assert len(lines) == 5 and all("the request ended early" in line for line in lines)


def test_token_guards_all_but_health_and_the_page(server: Server, client: httpx.Client) -> None:
    with httpx.Client(base_url=server.url, trust_env=False) as stranger:
        for answer in (upload(stranger, picture()), stranger.post("/describe"), stranger.get("/metrics")):
            refused(answer, 401, "token")
        for path in ("/livez", "/readyz", "/healthz"):
            assert stranger.get(path).status_code == 200
        page = stranger.get("/")
        script = stranger.get("/static/main.js")
    assert page.status_code == script.status_code == 200 and "Limelight" in page.text
    assert not re.findall(r"""(?:src|href)=["'](?!static/)|https?://""", page.text), (
        "the page loads something from outside"
    )


def test_default_bind_is_loopback(server: Server, client: httpx.Client) -> None:
    root = psutil.Process(server.process.pid)
    listening = [
        connection.laddr.ip
        for process in [root, *root.children(recursive=True)]
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert listening and set(listening) == {"127.0.0.1"}


def test_sigterm_lets_a_running_request_finish(server: Server, client: httpx.Client) -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pending = pool.submit(upload, client, blank(3000, 3000), "/cutout")
        await_cutouts(server, [pending])
        assert not pending.done(), "the request ended before it could be interrupted"
        server.process.send_signal(signal.SIGTERM)
        answer = pending.result(60)
    assert answer.status_code == 200
    assert Image.open(io.BytesIO(answer.content)).size == (3000, 3000)
    assert server.process.wait(60) == 0
