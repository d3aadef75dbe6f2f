"""The page before a server that is slow, busy, silent or faulty, or wants a token: a stand-in that does as told."""

import asyncio
import json
import struct
import zlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from limelight.services.page import page as page_app
from tests.services.browser import Page, browsing, chromium, started
from tests.services.running import running

pytestmark = pytest.mark.slow

SIZE = (90, 60)
TOKEN = "only-for-this-test"
STATES = "[...document.querySelectorAll('#list .state')].map(each => each.textContent)"
ROWS = "document.querySelectorAll('#list li').length"
DONE = "document.querySelectorAll('#list [data-state=done]').length"
SILENCE = """((ms, wait = window.setTimeout) => {
    window.setTimeout = (call, time, ...facts) => wait(call, time === 90000 ? ms : time, ...facts);
})(400)"""
"""Makes the page's patience short."""
ABOUT = {
    "name": "stand-in",
    "description": "stand-in, torch on cpu",
    "card": {"provenance": {"source": "none"}, "use": {}},
    "limits": {"max_body": 1 << 20, "max_pixels": 1 << 20},
}


def text(name: str) -> str:
    return f"document.getElementById('{name}').textContent"


class StandIn:
    """Answers as it is told: the next requests of a path by what stands in its list, later ones well."""

    def __init__(self, weights: Path) -> None:
        self.told: dict[str, list[str]] = {"describe": [], "predict": [], "video": []}
        self.token = ""
        self.asked: list[str] = []
        routes = [Route(f"/{name}", self._answer, methods=["POST"]) for name in self.told]
        self.app = Starlette(routes=[*routes, Mount("/", page_app(lambda: weights))])

    async def _answer(self, request: Request) -> Response:
        name = request.url.path[1:]
        self.asked.append(name)
        await request.body()
        if self.token and request.headers.get("authorization") != f"Bearer {self.token}":
            return JSONResponse({"error": "send the token"}, 401)
        told = self.told[name].pop(0) if self.told[name] else ""
        if told == "busy":
            return JSONResponse({"error": "too many"}, 429, {"Retry-After": "1"})
        if told == "faulty":
            return JSONResponse({"error": "the service failed"}, 500, {"X-Request-ID": "abc123"})
        if told == "silent":
            await asyncio.sleep(30)
        if name == "describe":
            return JSONResponse(ABOUT)
        timing = {"Server-Timing": "read;dur=1.0, pre;dur=2.0, net;dur=3.0, draw;dur=4.0, encode;dur=5.0"}
        content = cutout()
        if told == "slow":
            return StreamingResponse(halves(content), headers=timing | {"Content-Length": str(len(content))})
        return Response(content, media_type="image/png", headers=timing)


async def halves(content: bytes) -> AsyncIterator[bytes]:
    yield content[: len(content) // 2]
    await asyncio.sleep(2)
    yield content[len(content) // 2 :]


def cutout() -> bytes:
    """An RGBA picture as PNG."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + bytes((200, 30, 90, 128)) * SIZE[0]) * SIZE[1]
    head = struct.pack(">IIBBBBB", *SIZE, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 0)) + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def browser() -> Iterator[str]:
    with started(chromium()) as address:
        yield address


@pytest.fixture
def server(browser: str, untrained: Path) -> StandIn:
    return StandIn(untrained)


@pytest.fixture
def page(browser: str, server: StandIn) -> Iterator[Page]:
    with running(server.app) as host, browsing(browser) as opened:
        opened.host = host  # type: ignore[attr-defined]
        yield opened


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    Image.new("RGB", SIZE, (200, 30, 90)).save(tmp_path / "cat.png")
    return tmp_path / "cat.png"


def visit(page: Page, *, known: bool = True) -> None:
    page.open(f"http://{page.host}/")  # type: ignore[attr-defined]
    if known:
        page.until("!document.getElementById('about').hidden")


def test_files_stand_in_the_list_before_the_service_has_said_what_it_is(
    page: Page, server: StandIn, photo: Path
) -> None:
    server.told["describe"] = ["faulty", "busy", "silent"]
    visit(page, known=False)
    page.until(f"{text('model')}.includes('(request abc123); trying again')")
    page.run("""const wait = window.setTimeout;
                window.setTimeout = (call, time) => wait(call, time === 5000 ? 300 : time);""")
    page.drop("#start", photo)
    page.until(f"{ROWS} === 1")
    page.until(f"{DONE} === 1")
    assert "cat.png" in page.run(text("list"))


def test_a_silent_description_does_not_hold_pictures_back(page: Page, server: StandIn, photo: Path) -> None:
    server.told["describe"] = ["silent"]
    visit(page, known=False)
    page.drop("#start", photo)
    page.until(f"{ROWS} === 1")
    assert page.run(STATES) == ["waiting"] and "predict" not in server.asked
    page.until(f"{DONE} === 1")  # once the page waits for the description no longer
    page.until(f"{text('model')} === 'stand-in, torch on cpu' || {text('model')}.includes('trying again')")
    page.until("!document.getElementById('about').hidden")


def test_the_limits_come_back(page: Page, server: StandIn) -> None:
    server.told["describe"] = ["busy", "busy"]
    visit(page, known=False)
    page.until(f"{text('model')} === 'the server is busy; trying again'")
    page.until("!document.getElementById('about').hidden")
    assert server.asked == ["describe"] * 3 and page.run(text("model")) == "stand-in, torch on cpu"


def test_a_silent_server_fails_one_picture_and_the_next_goes_on(page: Page, server: StandIn, photo: Path) -> None:
    server.told["predict"] = ["silent"]
    visit(page)
    page.run(SILENCE)
    page.drop("#start", photo, photo)
    page.until(f"{DONE} === 1")
    assert page.run(STATES)[0].startswith("the server did not answer")
    page.run("document.querySelector('#list .again').click()")
    page.until(f"{DONE} === 2")


def test_what_is_going_on_is_said(page: Page, server: StandIn, photo: Path) -> None:
    server.told["predict"] = ["busy", "slow", "faulty"]
    visit(page)
    page.drop("#start", photo, photo)
    page.until(f"{STATES}[0] === 'the server is busy; trying again'")
    page.until(f"/^receiving, [1-9]\\d? %$/.test({STATES}[0])")
    assert page.run("document.querySelector('#list progress').value") > 0
    page.until(f"{DONE} === 1")
    times = page.run(text("times"))
    steps = "reading 1 ms, preparing 2 ms, network 3 ms, drawing 4 ms, encoding 5 ms, transfer and waiting "
    assert f" in all: {steps}" in times
    page.until(f"{STATES}[1] === 'the service failed (request abc123)'")


def test_a_video_is_stopped_and_its_look_may_be_another(page: Page, server: StandIn, tmp_path: Path) -> None:
    server.told["video"] = ["silent", "silent"]
    (tmp_path / "walk.mp4").write_bytes(b"a video")
    visit(page)
    page.run(SILENCE)
    page.drop("#start", tmp_path / "walk.mp4")
    for _ in range(2):
        page.until(f"{text('make')} === 'Make the video'")
        page.click("#make")
        page.until(f"{text('make')} === 'Stop' && {STATES}[0].startsWith('computing')")
        page.run("new Promise(resolve => setTimeout(resolve, 600))")  # a video may compute for long in silence
        assert page.run(STATES)[0].startswith("computing for")
        page.click("#make")
        page.until(f"{STATES}[0] === 'not made yet'")
    page.click("#make")
    page.until(f"{DONE} === 1 && {text('make')} === 'Make the video again'")
    assert page.run(text("stale")) == ""
    page.click("[name=kind][value=white]")
    assert page.run(text("stale")) == "shown with Transparent; press Make the video again"
    page.click("[name=kind][value=transparent]")
    page.run("document.getElementById('colour').value = '#123456'")  # which a transparent ground has not
    assert page.run(text("stale")) == ""


def test_a_wrong_token_is_said(page: Page, server: StandIn, photo: Path) -> None:
    server.token = TOKEN
    visit(page, known=False)
    page.until("!document.getElementById('token-row').hidden")
    page.drop("#start", photo)
    page.until(f"{STATES}[0] === 'this server asks for its token; enter it above'")
    assert page.run(text("token-problem")) == ""
    for token in ("wrong", TOKEN):
        page.run("document.getElementById('token').focus(); document.getElementById('token').value = ''")
        page.call("Input.insertText", text=token)
        page.key("Enter", 13, "\r")
        if token == "wrong":
            page.until(f"{text('token-problem')} === {json.dumps(WRONG)} && {text('status')} === {json.dumps(WRONG)}")
            assert page.run("document.getElementById('token').ariaInvalid") == "true"
    page.until(f"{DONE} === 1")
    assert page.run("document.getElementById('token').ariaInvalid") == "false"
    assert page.run(text("token-problem")) == ""
    server.token = "another"  # while the page is open
    page.drop("#viewer", photo)
    page.until(f"{text('token-problem')} === {json.dumps(WRONG)}")


WRONG = "this is not the server's token"


def test_a_link_is_no_file(page: Page) -> None:
    visit(page)
    assert page.run("document.getElementById('status').className") == "visually-hidden"
    page.run("""(() => {
        const dataTransfer = new DataTransfer();
        dataTransfer.setData("text/uri-list", "address:somewhere");
        document.body.dispatchEvent(new DragEvent("drop", {dataTransfer, bubbles: true, cancelable: true}));
    })()""")
    assert page.run(text("status")) == "that is a link, not a file; save the picture first"
    assert page.run("document.getElementById('status').getBoundingClientRect().height") > 20
    assert page.run(ROWS) == 0
    page.until("document.getElementById('status').className === 'visually-hidden'")


def test_the_keyboard_goes_on_where_the_picture_is(page: Page, photo: Path) -> None:
    visit(page)
    page.run("document.getElementById('file').focus()")
    page.choose("#file", photo)
    page.until("document.activeElement.matches('#list .open')")


def test_all_of_the_list(page: Page, server: StandIn, photo: Path, tmp_path: Path) -> None:
    hidden = "['again-all', 'remove-all'].map(id => document.getElementById(id).hidden)"
    server.told["predict"] = ["faulty", "faulty"]
    visit(page)
    page.save_downloads(tmp_path)
    page.drop("#start", photo)
    page.until(f"{ROWS} === 1")
    assert page.run(hidden) == [True, True]
    page.drop("#viewer", photo)
    page.until("document.querySelectorAll('#list [data-state=failed]').length === 2")
    assert page.run(hidden) == [False, False]
    page.click("#again-all")
    page.until(f"{DONE} === 2")
    assert page.run(hidden) == [True, False]

    page.click("[name=kind][value=picture]")  # and none is chosen
    disabled = "['save', 'copy', 'save-all'].map(id => document.getElementById(id).disabled)"
    assert page.run(disabled) == [True] * 3
    page.click("[name=kind][value=white]")
    assert page.run(disabled)[::2] == [False] * 2
    assert page.run(f"document.getElementById('save-all').click(), {disabled}")[2], "it saves"
    page.until("!document.getElementById('save-all').disabled")
    page.click("#remove-all")
    assert page.run(ROWS) == 0 and page.run("document.activeElement.id") == "file"


def test_a_picture_that_only_the_service_reads_has_a_thumbnail(page: Page, photo: Path) -> None:
    tiff = photo.with_name("cat.tiff")
    Image.open(photo).save(tiff)
    visit(page)
    page.drop("#start", tiff)
    page.until(f"{DONE} === 1")
    drawn = "document.querySelector('#list canvas').getContext('2d').getImageData(28, 28, 1, 1).data[3]"
    assert page.run(drawn) == 128


def test_a_second_finger_does_not_move_the_handle(page: Page, photo: Path) -> None:
    visit(page)
    page.drop("#start", photo)
    page.until(f"{DONE} === 1 && document.getElementById('frame').classList.contains('divided')")
    at = "Number(document.getElementById('handle').getAttribute('aria-valuenow'))"
    page.run("""document.getElementById("frame").dispatchEvent(new PointerEvent("pointerdown",
                {button: 0, clientX: 0, isPrimary: false, bubbles: true}))""")
    assert page.run(at) == 50
    assert page.run("getComputedStyle(document.getElementById('frame')).touchAction") == "pan-y pinch-zoom"


@pytest.mark.parametrize("width", [1280, 390, 320])
def test_titles_fit_their_tiles(page: Page, photo: Path, width: int) -> None:
    page.call("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 600)
    visit(page)
    page.drop("#start", photo)
    page.until(f"{DONE} === 1")
    room = page.run("""[...document.querySelectorAll(".kinds label:not([hidden])")].map(label => {
        const range = document.createRange();
        range.selectNode([...label.childNodes].findLast(node => node.nodeType === Node.TEXT_NODE));
        return label.getBoundingClientRect().width - range.getBoundingClientRect().width;
    })""")
    assert min(room) >= 12, room
    assert page.run("document.documentElement.scrollWidth <= innerWidth")


def test_what_is_chosen_is_seen_in_forced_colours(page: Page, photo: Path) -> None:
    visit(page)
    page.drop("#start", photo, photo)
    page.until(f"{DONE} === 2")
    page.call("Emulation.setEmulatedMedia", features=[{"name": "forced-colors", "value": "active"}])
    assert page.run("matchMedia('(forced-colors: active)').matches")
    style = "(element => [getComputedStyle(element).borderTopWidth, getComputedStyle(element).borderTopColor])"
    chosen, other = (
        page.run(f"{style}(document.querySelector('.kinds label{of}'))")
        for of in (":has(:checked)", ":not(:has(:checked)):not([hidden])")
    )
    assert chosen[0] == "3px" and chosen[1] != other[1]
    outlines = page.run("[...document.querySelectorAll('#list li')].map(each => getComputedStyle(each).outlineStyle)")
    assert outlines == ["solid", "none"]
    ground = "getComputedStyle(document.querySelector('i.green')).backgroundColor"
    assert page.run(ground) == "rgb(120, 255, 155)"
