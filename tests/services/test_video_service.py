"""Videos and streams of frames over HTTP and WebSockets: the applications as they run, on a real server."""

import asyncio
import http.client
import io
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from starlette.types import Receive, Scope, Send

from limelight.imaging.encoding import encode
from limelight.imaging.images import read_image
from limelight.inference.loading import load
from limelight.inference.saliency import SaliencyPredictor
from limelight.inference.stream import Stream
from limelight.media.outputs import output
from limelight.media.video.reader import VideoReader
from limelight.predict.styles import Style
from limelight.predict.video import VideoJob, predict_to_file
from limelight.services import streams, videos
from limelight.services.answers import Answers
from limelight.services.settings import ServiceSettings
from limelight.services.streams import Streams, check_origin
from limelight.services.videos import Videos
from tests.full_disk import files_end_at
from tests.services.running import deaf, running
from tests.video_files import frame, library, read_video, write_video

websockets = pytest.importorskip("websockets", reason="the package websockets, of the extra `serve`, is not installed")
from websockets.exceptions import ConnectionClosed, InvalidStatus  # noqa: E402
from websockets.frames import Frame, Opcode  # noqa: E402
from websockets.sync.client import ClientConnection, connect  # noqa: E402

TOKEN = "only-for-this-test"
AUTHORISED = {"Authorization": f"Bearer {TOKEN}"}
LIMITS = {
    "max_video_body": 300_000, "max_body": 60_000, "max_frames": 40, "max_seconds": 20, "max_frame_pixels": 100_000,
    "token": TOKEN, "cors_origins": "https://app.example",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _installed() -> None:
    library()


@pytest.fixture(scope="module")
def predictor(untrained: Path) -> SaliencyPredictor:
    loaded = load(untrained, device="cpu")
    assert isinstance(loaded, SaliencyPredictor)
    return loaded


@pytest.fixture(scope="module")
def serve() -> Iterator[Callable[..., str]]:
    """serve(predictor, **settings) is the host and port of a server of its own, with both applications."""

    def start(predictor: SaliencyPredictor | None, **settings: Any) -> str:
        known = ServiceSettings.model_validate(LIMITS | settings)
        apps = {"/video": Videos(lambda: predictor, known), "/stream": Streams(lambda: predictor, known)}

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await apps[scope["path"]](scope, receive, send)

        return servers.enter_context(running(Answers(app, {"/stream"})))

    with ExitStack() as servers:
        yield start


@pytest.fixture(scope="module")
def host(serve: Callable[..., str], predictor: SaliencyPredictor) -> str:
    return serve(predictor)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the service puts its files. None is left when a test ends."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("limelight.services.videos.tempfile.gettempdir", lambda: str(folder))
    yield folder
    deadline = time.monotonic() + 20
    while (left := list(folder.iterdir())) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left


def post(host: str, video: Path | bytes, files: dict[str, Any] | None = None, **data: str) -> httpx.Response:
    content = video if isinstance(video, bytes) else video.read_bytes()
    form = {"video": ("clip.mp4", content), **(files or {})}
    return httpx.post(f"http://{host}/video", files=form, data=data, headers=AUTHORISED, timeout=60, trust_env=False)


def reason(answer: httpx.Response) -> str:
    assert list(answer.json()) == ["error"] and "\n" not in answer.json()["error"]
    assert "/tmp" not in answer.json()["error"] and "temporary" not in answer.json()["error"]
    return answer.json()["error"]


def open_stream(host: str, query: str = "", **headers: str) -> ClientConnection:
    return connect(f"ws://{host}/stream{query}", additional_headers=AUTHORISED | headers, proxy=None)


def file_of(image_HW3: np.ndarray, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image_HW3).save(buffer, kind)
    return buffer.getvalue()


# --------------------------------------------------------------------------------------------------------------- videos
@pytest.mark.parametrize(
    ("fields", "kind", "suffix"),
    [
        ({}, "map", ".mp4"),
        ({"kind": "green", "threshold": "0.5", "format": "mkv"}, "green", ".mkv"),
        ({"kind": "#102030", "smoothing": "0.5"}, "#102030", ".mp4"),
        ({"kind": "rgba"}, "rgba", ".mov"),
    ],
)
def test_a_video_is_what_the_command_makes_of_it(
    host: str, predictor: SaliencyPredictor, tmp_path: Path, fields: dict[str, str], kind: str, suffix: str
) -> None:
    source = write_video(tmp_path / "a.mp4", frames=6, sound=True)
    answer = post(host, source, **fields)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-limelight-frames"] == "6"
    assert answer.headers["content-type"] == videos._TYPES[suffix]
    (served := tmp_path / f"served{suffix}").write_bytes(answer.content)
    threshold = float(fields["threshold"]) if "threshold" in fields else None
    smoothing = float(fields.get("smoothing", 0))
    style = Style(kind, threshold=threshold)
    with VideoReader(source) as clip:
        predict_to_file(VideoJob(predictor, style, smoothing, quiet=True), clip, tmp_path / f"own{suffix}")
    for one, other in zip(read_video(served), read_video(tmp_path / f"own{suffix}"), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_picture_goes_behind_the_object(host: str, tmp_path: Path) -> None:
    source = write_video(tmp_path / "a.mp4", frames=2)
    background = {"background": ("b.png", encode(np.full((48, 64, 3), (255, 0, 0), np.uint8)))}
    answer = post(host, source, background)
    assert answer.status_code == 200, answer.text
    assert "is a kind of its own" in reason(post(host, source, background, kind="map"))
    assert "background" in reason(post(host, source, {"background": ("b.png", b"no picture")}))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "/etc/passwd"}, "'kind' must be one of map, rgba, green, white, blur, overlay, or a colour"),
        ({"kind": "npy"}, "'kind' must be one of"),
        ({"kind": "rgba", "format": "mp4"}, "a .mp4 video has no transparency"),
        ({"format": "avi"}, "'format' must be one of mp4, mkv, mov, webm"),
        ({"threshold": "2"}, "threshold '2' is not a number from 0 to 1"),
        ({"smoothing": "nan"}, "smoothing 'nan' is not a number from 0 to 1"),
        ({"smoothing": "1"}, "smoothing must be at least 0 and below 1, got 1"),
        ({"look_ahead": "3"}, "sdnet sees one frame at a time; leave it out"),
        ({"look_ahead": "-1"}, "look_ahead '-1' is not a number of frames"),
        ({"companion": "x"}, "'companion' is no field; the form must have the video's file as 'video'"),
    ],
)
def test_mistakes_are_400_and_one_line(host: str, tmp_path: Path, fields: dict[str, str], message: str) -> None:
    answer = post(host, write_video(tmp_path / "a.mp4", frames=2), **fields)
    assert answer.status_code == 400 and message in reason(answer)


@pytest.mark.parametrize(
    "content", [b"", b"no video", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", b"ffconcat version 1.0\nfile x.mp4\n"]
)
def test_what_is_no_video_is_400(host: str, content: bytes) -> None:
    answer = post(host, content)
    assert answer.status_code == 400 and reason(answer).startswith("cannot read the video: ")


def test_limits_are_413(host: str, tmp_path: Path) -> None:
    cases = [
        (write_video(tmp_path / "frames.mp4", frames=41), "the video has more than 40 frames; make it shorter"),
        (write_video(tmp_path / "s.mp4", frames=2, times=[0, 999]), "the video lasts more than 20 seconds"),
        (write_video(tmp_path / "p.mp4", frames=1, size=(400, 300)), "frames of 300 x 400 pixels, more than 100000"),
        (b"x" * 300_001, "the limit is 300000; send a smaller video"),
    ]
    for video, message in cases:
        answer = post(host, video)
        assert answer.status_code == 413 and message in reason(answer), answer.text


def test_a_video_that_says_too_little_is_counted_while_it_is_read(host: str, tmp_path: Path) -> None:
    """In a transport stream the number of frames is not written down."""
    video = write_video(tmp_path / "frames.ts", frames=41)
    with VideoReader(video) as reader:
        assert reader._stream.frames == 0
    answer = post(host, video)
    assert answer.status_code == 413 and "more than 40 frames" in reason(answer)


def test_other_requests(host: str, serve: Callable[..., str], tmp_path: Path, temporary: Path) -> None:
    url, video = f"http://{host}/video", write_video(tmp_path / "a.mp4", frames=1).read_bytes()
    ask = httpx.Client(timeout=60, trust_env=False)
    assert ask.post(url, files={"video": video}).status_code == 401
    got = ask.get(url, headers=AUTHORISED)
    assert (got.status_code, got.headers["allow"]) == (405, "POST")
    assert ask.post(url, headers=AUTHORISED, json={}).status_code == 415
    assert ask.post(url, headers=AUTHORISED, files={"x": (None, "1"), "video": (None, "http://x")}).status_code == 400
    assert ask.post(url, headers=AUTHORISED, files={"video": (None, "http://169.254.169.254/")}).status_code == 415
    assert ask.post(f"{url}?kind=green", headers=AUTHORISED, files={"video": video}).status_code == 400
    twice = [("video", ("a", video)), ("video", ("b", video))]
    assert "'video' twice" in reason(ask.post(url, headers=AUTHORISED, files=twice))
    assert ask.post(url, headers=AUTHORISED, files={"video": video, "../escaped": b"x"}).status_code == 400
    assert not (temporary / "escaped").exists()
    assert ask.post(f"http://{serve(None)}/video", headers=AUTHORISED, files={"video": video}).status_code == 503


def test_a_range_of_the_result_is_not_taken_out_of_it(host: str, tmp_path: Path) -> None:
    form = {"video": write_video(tmp_path / "a.mp4", frames=2).read_bytes()}
    answer = httpx.post(
        f"http://{host}/video", files=form, headers=AUTHORISED | {"Range": "bytes=0-9"}, timeout=60, trust_env=False
    )
    assert answer.status_code == 200 and len(answer.content) > 100


def blind_post(host: str, body: bytes, **headers: str) -> tuple[int, str]:
    """Post as clients do that read nothing before they have sent all."""
    connection = http.client.HTTPConnection(host, timeout=30)
    connection.request("POST", "/video", body, headers)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())["error"]


def test_clients_that_are_still_sending_get_the_refusal(
    serve: Callable[..., str], predictor: SaliencyPredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were the connection closed at once, the rest of the body would reset it."""
    large = bytes(8 << 20)
    host, form = serve(predictor, max_video_body=16 << 20), {"Content-Type": "multipart/form-data; boundary=x"}
    assert blind_post(host, large, **form)[0] == 401
    assert blind_post(host, large, **AUTHORISED)[0] == 415
    stranger = b'--x\r\nContent-Disposition: form-data; name="picture"; filename="a"\r\n\r\n' + large
    status, message = blind_post(host, stranger, **AUTHORISED, **form)
    assert status == 400 and "the form must have the video's file" in message
    assert blind_post(serve(None), large, **AUTHORISED, **form)[0] == 503
    monkeypatch.setattr(videos, "MAX_WAITING", 0)
    assert blind_post(host, large, **AUTHORISED, **form)[0] == 429


def test_who_waits_to_be_told_to_send_is_told_the_refusal(host: str) -> None:
    name, _, port = host.rpartition(":")
    with socket.create_connection((name, int(port)), timeout=30) as asking:
        asking.sendall(b"POST /video HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\nExpect: 100-continue\r\n\r\n")
        assert asking.recv(4096).startswith(b"HTTP/1.1 401 ")


def test_what_has_all_been_sent_is_answered_at_once(host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limelight.services.guard.LINGER_S", 40)
    started = time.monotonic()
    assert post(host, write_video(tmp_path / "a.mp4", frames=2), kind="none").status_code == 400
    assert httpx.get(f"http://{host}/video", headers=AUTHORISED, trust_env=False).status_code == 405
    assert time.monotonic() - started < 30


def test_a_full_disk_is_not_the_clients_fault(host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = write_video(tmp_path / "a.mp4", frames=10, size=(96, 128))
    fields = {"kind": "rgba", "format": "mov"}
    made = post(host, video, **fields).content
    assert len(made) > 2 * video.stat().st_size
    with files_end_at(video.stat().st_size // 2):
        stored = post(host, video, **fields)
    with files_end_at(len(made) // 2):
        written = post(host, video, **fields)
    for answer in (stored, written):
        assert answer.status_code == 503, answer.text
        assert reason(answer) == "the service's disk is full; send it again later"
        assert answer.headers["retry-after"] == "30"
    monkeypatch.setattr("limelight.services.videos.tempfile.gettempdir", lambda: str(tmp_path / "absent"))
    nowhere = post(host, video, **fields)
    assert nowhere.status_code == 503
    assert reason(nowhere) == "the service cannot store files (No such file or directory); send it again later"


class Slow:
    """A predictor that waits before each frame until it is told to go on."""

    def __init__(self, predictor: SaliencyPredictor) -> None:
        self.go, self.begun = threading.Event(), threading.Event()
        self.clips: list[int] = []
        """How many frames each call was for."""
        self._predictor = predictor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._predictor, name)

    def predict_clip(self, frames: Any) -> Any:
        self.clips.append(len(frames))
        self.begun.set()
        assert self.go.wait(60)
        return self._predictor.predict_clip(frames)


def in_thread(work: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    return thread, found


def test_some_wait_and_more_are_429(
    serve: Callable[..., str], predictor: SaliencyPredictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(predictor)
    host, video = serve(slow), write_video(tmp_path / "a.mp4", frames=2)
    first = in_thread(lambda: post(host, video))
    assert slow.begun.wait(30)
    with monkeypatch.context() as patch:
        patch.setattr(videos, "MAX_WAITING", 1)
        refused = post(host, video)
    assert refused.status_code == 429 and refused.headers["retry-after"] == "30" and "other videos" in reason(refused)
    second = in_thread(lambda: post(host, video))
    time.sleep(0.5)
    assert not second[1] and slow.clips == [2]  # it waits
    slow.go.set()
    for thread, found in (first, second):
        thread.join(60)
        assert found[0].status_code == 200


def test_a_client_that_goes_ends_the_work(
    serve: Callable[..., str], predictor: SaliencyPredictor, tmp_path: Path, temporary: Path
) -> None:
    slow = Slow(predictor)
    host, video = serve(slow), write_video(tmp_path / "a.mp4", frames=30)
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"http://{host}/video", files={"video": video.read_bytes()}, headers=AUTHORISED, timeout=1, trust_env=False
        )
    assert slow.begun.is_set() and list(temporary.iterdir())
    time.sleep(0.5)  # until the service has noticed
    slow.go.set()
    assert post(host, write_video(tmp_path / "b.mp4", frames=2)).status_code == 200
    assert sum(slow.clips) < 30


def test_a_client_that_goes_while_it_waits_gives_its_place_back(
    serve: Callable[..., str], predictor: SaliencyPredictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(videos, "MAX_WAITING", 2)
    slow = Slow(predictor)
    host, video = serve(slow), write_video(tmp_path / "a.mp4", frames=2)
    thread, found = in_thread(lambda: post(host, video))
    assert slow.begun.wait(30)
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"http://{host}/video", files={"video": video.read_bytes()}, headers=AUTHORISED, timeout=1, trust_env=False
        )
    deadline = time.monotonic() + 10
    while (status := post(host, video, kind="none").status_code) == 429 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert status == 400 and not found  # refused for its kind, while the first is still in work
    slow.go.set()
    thread.join(60)
    assert found[0].status_code == 200


def test_a_client_that_takes_nothing_of_its_video_is_given_up(
    predictor: SaliencyPredictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limelight.services.sending.STALL_S", 0.3)
    video = write_video(tmp_path / "a.mp4", frames=2).read_bytes()
    request = httpx.Request("POST", "http://localhost/video", files={"video": video})
    messages, sent = [{"type": "http.request", "body": request.read()}], []

    async def receive() -> Any:
        return messages.pop() if messages else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)
        await asyncio.Event().wait()

    async def answer() -> None:
        async with asyncio.timeout(60):
            await Videos(lambda: predictor, ServiceSettings())(scope, receive, send)

    headers = [(name.lower(), value) for name, value in request.headers.raw]
    scope = {"type": "http", "method": "POST", "path": "/video", "query_string": b"", "headers": headers}
    asyncio.run(answer())
    assert [message["status"] for message in sent] == [200]


def test_what_takes_too_long_is_504(serve: Callable[..., str], predictor: SaliencyPredictor, tmp_path: Path) -> None:
    slow = Slow(predictor)
    host = serve(slow, video_timeout=0.5)
    thread, found = in_thread(lambda: post(host, write_video(tmp_path / "a.mp4", frames=2)))
    assert slow.begun.wait(30)
    time.sleep(0.6)
    slow.go.set()
    thread.join(60)
    assert found[0].status_code == 504


# -------------------------------------------------------------------------------------------------------------- streams
def test_each_frame_is_answered_in_order(host: str, predictor: SaliencyPredictor) -> None:
    images = [frame(at) for at in range(5)]
    stream = Stream(predictor, smoothing=0.5)
    with open_stream(host, "?smoothing=0.5") as connection:
        for image_HW3 in images:
            connection.send(file_of(image_HW3))
            map_HW = read_image(connection.recv(timeout=30))[..., 0] / 255
            (expected,) = stream.push(image_HW3)
            np.testing.assert_allclose(map_HW, expected.saliency_HW, atol=0.6 / 255)
        connection.send("end")
        with pytest.raises(ConnectionClosed):
            connection.recv(timeout=30)
        assert connection.close_code == 1000


def test_windows_of_a_network_of_clips(serve: Callable[..., str], tmp_path: Path) -> None:
    import torch

    from limelight.models.registry import create_model
    from limelight.models.weights import save_weights

    torch.manual_seed(0)
    save_weights(tmp_path / "w", create_model("stdnet", width=8, frames=3), name="stdnet", input_size=(32, 32))
    clips = load(tmp_path / "w", device="cpu")
    assert isinstance(clips, SaliencyPredictor)
    images = [frame(at) for at in range(7)]
    stream = Stream(clips, look_ahead=1)
    expected = [each for image in images for each in stream.push(image)] + stream.flush()
    with open_stream(serve(clips), "?look_ahead=1&kind=rgba&format=webp") as connection:
        for image_HW3 in images:  # the sender may be ahead
            connection.send(file_of(image_HW3))
        connection.send("end")
        answers = list(connection)
    assert len(answers) == 7
    for answer, image_HW3, prediction in zip(answers, images, expected, strict=True):
        made = np.asarray(Image.open(io.BytesIO(answer)))
        wanted = output("rgba").render(image_HW3, prediction.saliency_HW)
        assert made.shape == wanted.shape and np.abs(made[..., 3].astype(int) - wanted[..., 3]).max() <= 1
    video = write_video(tmp_path / "a.mp4", frames=5)
    assert post(serve(clips), video, look_ahead="2").headers["x-limelight-frames"] == "5"


@pytest.mark.parametrize(
    ("sent", "code", "message"),
    [
        (b"no picture", 1007, "cannot read"),
        ("hello", 1003, "send each frame as a binary message, and 'end' as text after the last"),
        (b"x" * 60_001, 1009, "the frame has 60001 bytes, the limit is 60000"),
        (file_of(np.zeros((400, 300, 3), np.uint8)), 1009, "more than the limit of 100000 pixels"),
    ],
)
def test_a_bad_frame_closes_with_a_reason(host: str, sent: bytes | str, code: int, message: str) -> None:
    with open_stream(host) as connection:
        connection.send(file_of(frame(0)))
        connection.send(sent)
        assert connection.recv(timeout=30)[:4] == b"\x89PNG"
        with pytest.raises(ConnectionClosed):
            connection.recv(timeout=30)
        assert connection.close_code == code and message in (connection.close_reason or "")


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"max_frames": 2}, "the limit is 2 frames"), ({"max_seconds": 0.5}, "open for 0.5 seconds at most")],
)
def test_limits_close_a_stream(
    serve: Callable[..., str], predictor: SaliencyPredictor, settings: dict[str, float], message: str
) -> None:
    with open_stream(serve(predictor, **settings)) as connection:
        for at in range(2):
            connection.send(file_of(frame(at)))
            connection.recv(timeout=30)
        if "max_frames" in settings:
            connection.send(file_of(frame(2)))
        with pytest.raises(ConnectionClosed):
            connection.recv(timeout=30)
        assert connection.close_code == 1008 and message in (connection.close_reason or "")


def test_silence_closes_a_stream(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "IDLE_S", 0.2)
    with open_stream(host) as connection:
        with pytest.raises(ConnectionClosed):
            connection.recv(timeout=30)
        assert (connection.close_code, connection.close_reason) == (1008, "no frame came for 0.2 s; connect again")


def refusal(host: str, query: str = "", **headers: str) -> Any:
    with pytest.raises(InvalidStatus) as caught:
        open_stream(host, query, **headers)
    return caught.value.response


def refused(host: str, query: str = "", **headers: str) -> tuple[int, str]:
    answer = refusal(host, query, **headers)
    return answer.status_code, json.loads(answer.body or b"{}")["error"]


def test_refused_handshakes_say_what_to_do(
    host: str, serve: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert refusal(host, Authorization="Bearer wrong").headers["WWW-Authenticate"] == "Bearer"
    assert refusal(serve(None)).headers["Retry-After"] == "1"
    monkeypatch.setattr(streams, "MAX_STREAMS", 0)
    assert refusal(host).headers["Retry-After"] == "30"


def test_handshakes_that_are_refused(host: str, serve: Callable[..., str]) -> None:
    assert refused(host, Authorization="Bearer wrong")[0] == 401
    assert refused(host, Origin="https://evil.example")[0] == 403
    for query in ("?kinds=map", "?kind=map&kind=map", "?kind=/etc/passwd", "?kind=rgba&format=jpg", "?look_ahead=9"):
        status, message = refused(host, query)
        assert status == 400 and message
    assert refused(serve(None))[0] == 503
    for origin in ("https://app.example", f"http://{host}"):
        with open_stream(host, Origin=origin) as connection:
            connection.send("end")
    answer = httpx.get(f"http://{host}/stream", trust_env=False)
    assert answer.status_code == 426 and "WebSocket" in reason(answer)


def test_only_so_many_streams_are_open(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MAX_STREAMS", 1)
    with open_stream(host):
        assert refused(host)[0] == 429
    await_place(host)


def await_place(host: str) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            open_stream(host).close()
            return
        except InvalidStatus:
            time.sleep(0.05)
    pytest.fail("the place was not given back")


def test_a_client_that_reads_nothing_gives_its_place_back(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "STALL_S", 0.2)
    monkeypatch.setattr(streams, "MAX_STREAMS", 1)
    noise = file_of(np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8), "JPEG")
    with deaf(host) as connection:
        connection.sendall(
            f"GET /stream?kind=overlay HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {TOKEN}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        assert connection.recv(12) == b"HTTP/1.1 101"
        assert refused(host)[0] == 429
        for _ in range(6):
            connection.sendall(Frame(Opcode.BINARY, noise).serialize(mask=True))
        await_place(host)


def test_a_client_that_takes_nothing_is_not_read_from(
    predictor: SaliencyPredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Results wait at the client's, frames at the network's: the service holds one of each, and not for long."""
    monkeypatch.setattr(streams, "STALL_S", 0.3)
    application = Streams(lambda: predictor, ServiceSettings())
    received, sent = 0, []

    async def receive() -> dict[str, Any]:
        nonlocal received
        received += 1
        return {"type": "websocket.connect" if received == 1 else "websocket.receive", "bytes": file_of(frame(0))}

    async def send(message: Any) -> None:
        if message["type"] == "websocket.send":
            await asyncio.Event().wait()
        sent.append(message)

    scope = {"type": "websocket", "path": "/stream", "query_string": b"", "headers": [], "extensions": {}}
    asyncio.run(application(scope, receive, send))
    assert received == 2
    assert sent[-1] == {"type": "websocket.close", "code": 1008, "reason": "no result was taken for 0.3 s"}


def test_origins() -> None:
    from starlette.datastructures import Headers

    from limelight.services.forms import Refusal

    check_origin(Headers({}), ())
    check_origin(Headers({"origin": "null"}), ("*",))
    for origin in ("null", "https://127.0.0.1:3001", "https://app.example.evil"):
        with pytest.raises(Refusal):
            check_origin(Headers({"origin": origin, "host": "127.0.0.1:3000"}), ("https://app.example",))
