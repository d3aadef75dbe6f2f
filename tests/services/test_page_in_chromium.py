"""The page as a person uses it, in a real browser, before real services; skipped where no Chromium is installed."""

import base64
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
import torch
from PIL import Image

from limelight.models import create_model
from limelight.models.weights import save_weights
from limelight.packaging.serving import running
from tests.services.browser import Page, browsing, chromium, downloaded, started
from tests.video_files import library, read_video, write_video

pytestmark = pytest.mark.slow

PHOTO = Path(__file__).parent.parent / "photos/cat.jpg"
DONE = "document.querySelectorAll('#list [data-state=done]').length"
FAILED = "document.querySelectorAll('#list [data-state=failed]').length"
ROWS = "document.querySelectorAll('#list li').length"
DIVIDED = "document.getElementById('frame').classList.contains('divided')"
AT = "Number(document.getElementById('handle').getAttribute('aria-valuenow'))"
TOKEN = "only-for-this-test"
MAX_BODY = 400_000
MAX_VIDEO_BODY, MAX_FRAMES = 600_000, 40
CLIP = "document.getElementById('clip')"


@pytest.fixture(scope="module")
def url(untrained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    chromium()  # no service is started where there is none
    limits = {
        "LIMELIGHT_MAX_BODY": MAX_BODY,
        "LIMELIGHT_MAX_VIDEO_BODY": MAX_VIDEO_BODY,
        "LIMELIGHT_MAX_FRAMES": MAX_FRAMES,
    }
    environment = {
        "BENTOML_HOME": str(tmp_path_factory.mktemp("bentoml")),
        **{name: str(limits[name]) for name in limits},
    }
    with running(["-m", "limelight.cli", "serve", "--model", str(untrained)], environment) as address:
        yield address


@pytest.fixture(scope="module")
def classes_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The open-vocabulary service, with a token."""
    chromium()
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("open-vocabulary") / "tiny"
    save_weights(folder, create_model("segdiffusion-tiny"), name="segdiffusion-tiny", input_size=(32, 32))
    environment = {"BENTOML_HOME": str(tmp_path_factory.mktemp("bentoml")), "LIMELIGHT_TOKEN": TOKEN}
    with running(["-m", "limelight.cli", "serve", "--model", str(folder)], environment) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[str]:
    with started(chromium()) as address:
        yield address


@pytest.fixture
def page(browser: str, url: str, tmp_path: Path) -> Iterator[Page]:
    with browsing(browser) as opened:
        opened.save_downloads(tmp_path)
        opened.open(url)
        opened.until("!document.getElementById('about').hidden")
        yield opened


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A picture whose pixels every decoder reads alike, with a resolution."""
    Image.open(PHOTO).save(tmp_path / "cat.png", dpi=(300, 300))
    return tmp_path / "cat.png"


@pytest.fixture
def save(page: Page, tmp_path: Path) -> Callable[[str], Image.Image]:
    """Save what is shown, and read it under the name that it must have."""

    def saved(name: str) -> Image.Image:
        (tmp_path / name).unlink(missing_ok=True)
        page.until("!document.getElementById('save').disabled")
        page.click("#save")
        page.until(lambda: downloaded(tmp_path, name))
        return Image.open(io.BytesIO(downloaded(tmp_path, name) or b""))

    return saved


def ask(url: str, photo: Path, path: str = "predict", **texts: str) -> Image.Image:
    answer = httpx.post(
        f"{url}/{path}",
        files={"image": (photo.name, photo.read_bytes())},
        data=texts,
        headers={"Authorization": f"Bearer {TOKEN}"},
        timeout=60,
        trust_env=False,
    )
    assert answer.status_code == 200, answer.text
    return Image.open(io.BytesIO(answer.content))


def difference(made: Image.Image, expected: Image.Image) -> int:
    """The largest difference of two pictures on black, levels of 255; transparency is compared too."""
    made, expected = made.convert("RGBA"), expected.convert("RGBA")
    assert made.size == expected.size
    pixels = [np.asarray(each).astype(np.float64) for each in (made, expected)]
    shown = [np.dstack((each[..., :3] * each[..., 3:] / 255, each[..., 3])) for each in pixels]
    return round(np.abs(shown[0] - shown[1]).max())


def only_asks(page: Page, url: str) -> bool:
    """Whether the page has asked nobody but its own server."""
    asked = {urlsplit(each).netloc for each in page.requests if not each.startswith(("blob:", "data:"))}
    return asked == {urlsplit(url).netloc}


def open_photo(page: Page, *photos: Path) -> None:
    page.drop("#start", *photos)
    page.until(f"{DONE} === {len(photos)} && {DIVIDED}")


def enter(page: Page, name: str, value: str) -> None:
    """Set a control as moving it does; a slider's thumb and a colour's dialog cannot be aimed at."""
    page.run(f"document.getElementById('{name}').value = '{value}'")
    page.run(f"document.getElementById('{name}').dispatchEvent(new Event('input', {{bubbles: true}}))")


def test_drop_compare_change_and_save(page: Page, url: str, photo: Path, save: Callable[[str], Image.Image]) -> None:
    open_photo(page, photo)
    page.drag("#handle", "#frame", to=0.8)
    assert abs(page.run(AT) - 80) <= 1
    for key, code, at in (("ArrowLeft", 37, 78), ("PageDown", 34, 68), ("Home", 36, 0), ("End", 35, 100)):
        page.key(key, code)
        assert abs(page.run(AT) - at) <= 1, key
    times = page.run("document.getElementById('times').textContent")
    assert re.search(" in all: reading .* network .* encoding .* transfer and waiting", times), times
    assert page.run("document.getElementById('model').textContent").startswith("sdnet, torch on cpu")

    cutout = save("cat-cutout.png")
    assert difference(cutout, ask(url, photo, "cutout")) == 0
    for kind in ("white", "green", "blur", "overlay", "map"):
        page.click(f"[name=kind][value={kind}]")
        made, expected = save(f"cat-{kind}.png"), ask(url, photo, kind=kind)
        # The canvas rounds once more than the service where it blends.
        assert difference(made, expected) <= (2 if kind in ("white", "green") else 0), kind
        assert np.allclose(made.info["dpi"], 300, atol=0.01)
        assert (made.mode == "L") == (kind == "map")
    assert only_asks(page, url) and page.errors == []


def test_a_threshold_is_the_services(page: Page, url: str, photo: Path, save: Callable[[str], Image.Image]) -> None:
    """For every kind, and for a picture with transparency, whose map alone does not tell its saliency."""
    image = Image.open(photo).convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    image.save(photo.with_name("fading.png"))
    open_photo(page, photo, photo.with_name("fading.png"))
    level = int(np.median(np.asarray(ask(url, photo, kind="map"))))
    page.click("#hard")
    enter(page, "level", str(level))
    threshold = str((level - 0.5) / 255)
    for place, name in enumerate(("cat", "fading")):
        page.run(f"document.querySelectorAll('#list .open')[{place}].click()")
        for kind, suffix in (("transparent", "cutout"), ("white", "white"), ("map", "map"), ("overlay", "overlay")):
            page.click(f"[name=kind][value={kind}]")
            made = save(f"{name}-{suffix}.png")
            expected = ask(
                url,
                photo.with_name(f"{name}.png"),
                kind={"transparent": "rgba"}.get(kind, kind),
                threshold=threshold,
            )
            assert difference(made, expected) <= (2 if (name, kind) == ("fading", "white") else 0), (name, kind)
    assert only_asks(page, url) and page.errors == []


def test_any_colour_and_a_picture_as_background(
    page: Page, url: str, photo: Path, tmp_path: Path, save: Callable[[str], Image.Image]
) -> None:
    open_photo(page, photo)
    cutout = np.asarray(ask(url, photo, "cutout")).astype(np.float64)
    share = cutout[..., 3:] / 255

    def onto(colour: tuple[int, int, int]) -> Image.Image:
        return Image.fromarray(np.rint(cutout[..., :3] * share + (1 - share) * colour).astype(np.uint8))

    page.click("[name=kind][value=colour]")
    enter(page, "colour", "#336699")
    assert difference(save("cat-336699.png"), onto((0x33, 0x66, 0x99))) <= 2
    Image.new("RGB", (900, 100), (200, 30, 90)).save(tmp_path / "wall.png")
    page.click("[name=kind][value=picture]")
    page.choose("#own-file", tmp_path / "wall.png")
    page.until("document.getElementById('own-name').textContent === 'wall.png'")
    assert difference(save("cat-picture.png"), onto((200, 30, 90))) <= 2
    page.choose("#own-file", Path(__file__))
    page.until("document.getElementById('own-name').textContent.includes('cannot read test_page_in_chromium.py')")
    assert only_asks(page, url) and page.errors == []


def test_errors_stand_beside_their_file_and_the_others_go_on(page: Page, url: str, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("no picture")
    (tmp_path / "large.png").write_bytes(bytes(MAX_BODY + 1))
    Image.new("1", (20_000, 2_000)).save(tmp_path / "wide.png")
    Image.open(photo).save(tmp_path / "cat.tiff", compression="tiff_deflate")  # which Chromium cannot show
    names = ("note.txt", "large.png", "wide.png", "cat.tiff", "cat.png")
    page.drop("#start", *(tmp_path / name for name in names))
    page.until(f"{DONE} === 2 && {FAILED} === 3")
    shown = page.run("[...document.querySelectorAll('#list .state')].map(each => each.textContent)")
    parts = ("cannot read the image", "not sent: 0.4 MB", "not sent: 20000 × 2000 pixels", r"^\d+ ms$|^[\d.]+ s$")
    assert all(re.search(part, text) for part, text in zip((*parts, parts[-1]), shown, strict=True)), shown
    # The three requests of the pictures that were sent, and that of the TIFF as the service reads it.
    assert len([each for each in page.requests if each.endswith("/predict")]) == 4
    page.run("document.querySelectorAll('#list .open')[3].click()")
    page.until(DIVIDED)
    page.run("document.querySelectorAll('#list .open')[0].click()")
    page.until("document.getElementById('problem').textContent.includes('cannot read the image')")
    page.run("document.querySelectorAll('#list .remove')[0].click()")
    assert page.run("document.getElementById('count').textContent") == "4"
    page.run("""const make = URL.createObjectURL;
                URL.createObjectURL = () => { URL.createObjectURL = make; throw new Error("no room"); }""")
    page.click("#save-all")
    page.until(lambda: downloaded(tmp_path, "cat-cutout.png"))
    page.until("document.getElementById('problem').textContent === 'cat.tiff: no room'")
    assert all("400" in error and "/predict" in error for error in page.errors), page.errors


def test_examples_paste_and_copy(page: Page, url: str, photo: Path) -> None:
    page.click(".example[data-name='rocket.jpg']")
    page.until(f"{DONE} === 1 && {DIVIDED}")
    content = base64.b64encode(photo.read_bytes()).decode()
    page.run(
        f"""(content => {{
            const transfer = new DataTransfer();
            const bytes = Uint8Array.from(atob(content), letter => letter.charCodeAt(0));
            transfer.items.add(new File([bytes], "image.png", {{type: "image/png"}}));
            document.dispatchEvent(new ClipboardEvent("paste", {{clipboardData: transfer, bubbles: true}}));
        }})("{content}")"""
    )
    page.until(f"{DONE} === 2")
    page.call("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"], origin=url)
    page.click("[name=kind][value=map]")
    page.click("#copy")
    page.until("document.getElementById('status').textContent.includes('is in the clipboard')")
    copied = page.run(
        """navigator.clipboard.read().then(([item]) => item.getType("image/png")).then(createImageBitmap)
        .then(({width, height}) => [width, height])"""
    )
    assert tuple(copied) == Image.open(photo).size
    assert only_asks(page, url) and page.errors == []


def paste(page: Page, selector: str, *types: str) -> bool:
    """Paste a picture, and texts of some types, into an element; return whether the page leaves it to the browser."""
    return page.run(
        f"""(() => {{
            const transfer = new DataTransfer();
            transfer.items.add(new File(["a picture"], "image.png", {{type: "image/png"}}));
            for (const type of {json.dumps(types)}) transfer.items.add("some text", type);
            const event = new ClipboardEvent("paste", {{clipboardData: transfer, bubbles: true, cancelable: true}});
            return document.querySelector("{selector}").dispatchEvent(event);
        }})()"""
    )


def test_text_for_a_field_is_not_its_picture(page: Page) -> None:
    """Word puts a picture of the text into the clipboard too; a picture alone is taken wherever the focus is."""
    assert paste(page, "#classes", "text/plain", "text/html") and page.run(ROWS) == 0
    assert not paste(page, "#classes", "text/html")
    page.until(f"{ROWS} === 1")
    assert not paste(page, "#level", "text/plain"), "a slider takes no text"
    page.until(f"{ROWS} === 2")


def test_an_example_that_cannot_be_fetched_stands_in_the_list(page: Page) -> None:
    page.run("document.querySelector('.example').dataset.name = 'gone.jpg'")
    page.click(".example[data-name='gone.jpg']")
    page.until(f"{FAILED} === 1")
    page.call("Network.setBlockedURLs", urls=["*/examples/rocket.jpg"])
    page.run("document.querySelector('.example[data-name=\"rocket.jpg\"]').click()")
    page.until(f"{FAILED} === 2")
    shown = page.run("[...document.querySelectorAll('#list .state')].map(each => each.textContent)")
    assert shown[0] == "cannot be fetched (status 404)" and shown[1].startswith("cannot be fetched (")
    assert not [each for each in page.requests if each.endswith("/predict")]
    assert all("Failed to load resource" in error for error in page.errors), page.errors


def test_the_background_is_the_picture_that_was_chosen_last(
    page: Page, url: str, photo: Path, tmp_path: Path, save: Callable[[str], Image.Image]
) -> None:
    """Though the browser takes longer to read the one before."""
    for name, colour in (("slow", (200, 30, 90)), ("quick", (10, 200, 30))):
        Image.new("RGB", (90, 60), colour).save(tmp_path / f"{name}.png")
    open_photo(page, photo)
    page.click("[name=kind][value=picture]")
    page.run("""const post = Worker.prototype.postMessage;
                Worker.prototype.postMessage = function (message) {
                    if (window.slow || message.name !== "thumbnail") return post.call(this, message);
                    window.slow = () => post.call(this, message);
                };""")
    page.choose("#own-file", tmp_path / "slow.png")
    page.until("window.slow")
    page.choose("#own-file", tmp_path / "quick.png")
    page.until("document.getElementById('own-name').textContent === 'quick.png'")
    page.run("window.slow()")
    page.run("new Promise(resolve => setTimeout(resolve, 500))")
    assert page.run("document.getElementById('own-name').textContent") == "quick.png"
    cutout = np.asarray(ask(url, photo, "cutout")).astype(np.float64)
    share = cutout[..., 3:] / 255
    expected = Image.fromarray(np.rint(cutout[..., :3] * share + (1 - share) * (10, 200, 30)).astype(np.uint8))
    assert difference(save("cat-picture.png"), expected) <= 2


COUNTED = """
    window.made = [];
    const make = window.createImageBitmap;
    window.createImageBitmap = async (...facts) => {
        const bitmap = await make(...facts);
        made.push({bitmap, width: bitmap.width});
        return bitmap;
    };
    window.open_ = () => made.filter(({bitmap}) => bitmap.width > 0).length; // those that are closed have none
"""


def test_the_worker_closes_its_bitmaps(page: Page) -> None:
    """The worker's own code, run by the page, where they can be counted."""
    page.run(COUNTED)
    counts = page.run(
        """(async () => {
            const answers = [];
            window.postMessage = answer => answers.push(answer);
            await import(`${location.origin}/static/worker.js`);
            const blob = await (await fetch("static/examples/cat.jpg")).blob();
            const ask = (name, facts) => window.onmessage({data: {id: 0, name, facts}});
            const asIs = key => ({how: "as-is", level: null, layers: {made: {key, blob}}});
            const cut = {how: "transparent", level: 9, layers: {cutout: {blob}, whole: {blob}}};
            await ask("file", {drawing: cut});
            const afterFile = open_();
            await Promise.all([...Array(20).keys()].map(key => ask("show", {drawing: asIs(key), side: 64})));
            await Promise.all([1, 2, 3].map(() => ask("show", {drawing: asIs("same"), side: 64})));
            return [afterFile, open_(), answers.filter(({error}) => error !== undefined).length];
        })()"""
    )
    assert counts == [0, 8, 0], "open after a file and after 23 previews, of which 8 are kept; and errors"


def test_bitmaps_that_come_too_late_are_closed(page: Page, photo: Path) -> None:
    open_photo(page, photo)
    page.click("[name=kind][value=colour]")
    enter(page, "colour", "#336699")
    page.until("!document.getElementById('frame').classList.contains('busy')")
    page.run("""const post = Worker.prototype.postMessage, close = ImageBitmap.prototype.close;
                window.shut = 0;
                ImageBitmap.prototype.close = function () { shut++; return close.call(this); };
                Worker.prototype.postMessage = function (message) {
                    Worker.prototype.postMessage = post;
                    post.call(this, message);
                    document.getElementById("colour").value = "#996633"; // while the other colour is drawn
                    document.getElementById("colour").dispatchEvent(new Event("input", {bubbles: true}));
                };""")
    enter(page, "colour", "#669933")
    page.until("window.shut")
    assert page.errors == []


def test_a_video_s_thumbnail_is_small(page: Page, tmp_path: Path) -> None:
    library()
    page.run(COUNTED)
    page.drop("#start", write_video(tmp_path / "walk.mp4", frames=4, size=(480, 854)))
    page.until("made.length === 1 && open_() === 0")
    assert page.run("made[0].width") == 160
    drawn = "document.querySelector('#list canvas').getContext('2d').getImageData(28, 28, 1, 1).data[3]"
    assert page.run(drawn) == 255


def made(page: Page, kind: str, picture: Path | None = None) -> None:
    """Choose a kind, and have the open video made."""
    page.click(f"[name=kind][value={kind}]")
    if picture:
        page.choose("#own-file", picture)
        page.until(f"document.getElementById('own-name').textContent === '{picture.name}'")
    page.run("document.getElementById('make').focus()")
    page.key("Enter", 13, "\r")
    page.until("document.querySelector('#list [aria-current]').closest('li').dataset.state.match(/done|failed/)")


def saved_video(page: Page, folder: Path, name: str) -> list[np.ndarray]:
    """The frames of what the page saves."""
    page.click("#save")
    page.until(lambda: downloaded(folder, name))
    return read_video(folder / name)[0]


def test_a_video_is_made_played_and_saved(page: Page, url: str, tmp_path: Path) -> None:
    library()
    clip = write_video(tmp_path / "walk.mp4", frames=8, sound=True)
    page.drop("#start", clip)
    page.until(f"{CLIP}.videoWidth === 64 && !document.getElementById('make').disabled")
    assert "not made yet" in page.run("document.getElementById('list').textContent")
    assert not [each for each in page.requests if each.endswith("/video")]

    made(page, "green")
    page.until(f"{DONE} === 1 && {CLIP}.readyState >= 2 && {CLIP}.getAttribute('aria-label') === 'walk.mp4: green'")
    assert page.run(f"{CLIP}.src.startsWith('blob:')")
    page.run(f"Object.assign({CLIP}, {{muted: true}}).play()")
    page.until(f"{CLIP}.currentTime > 0")
    assert "in all: 8 frames" in page.run("document.getElementById('times').textContent")
    answer = httpx.post(
        f"{url}/video", files={"video": clip.read_bytes()}, data={"kind": "green"}, timeout=60, trust_env=False
    )
    (tmp_path / "own.mp4").write_bytes(answer.content)
    np.testing.assert_array_equal(saved_video(page, tmp_path, "walk-green.mp4"), read_video(tmp_path / "own.mp4")[0])

    made(page, "transparent")
    page.until(f"{DONE} === 1 && {CLIP}.readyState >= 2 && {CLIP}.classList.contains('checked')")
    saved_video(page, tmp_path, "walk-cutout.webm")
    page.click("#hard")
    Image.new("RGB", (64, 48), (200, 30, 90)).save(tmp_path / "wall.png")
    made(page, "picture", tmp_path / "wall.png")
    page.until(f"{DONE} === 1 && {CLIP}.readyState >= 2 && !{CLIP}.classList.contains('checked')")
    assert len(saved_video(page, tmp_path, "walk-picture.mp4")) == 8
    assert page.run("document.getElementById('copy').disabled")
    assert only_asks(page, url) and page.errors == []


def test_refusals_of_videos_are_one_line(page: Page, url: str, photo: Path, tmp_path: Path) -> None:
    library()
    write_video(tmp_path / "long.mp4", frames=MAX_FRAMES + 1)
    (tmp_path / "large.mkv").write_bytes(bytes(MAX_VIDEO_BODY + 1))
    (tmp_path / "broken.webm").write_bytes(b"no video")
    page.drop("#start", *(tmp_path / name for name in ("long.mp4", "large.mkv", "broken.webm")), photo)
    page.until(f"{DONE} === 1")  # the picture does not wait for the videos
    lines = []
    for place in range(3):
        page.run(f"document.querySelectorAll('#list .open')[{place}].click()")
        made(page, "map")
        lines.append(page.run("document.getElementById('problem').textContent"))
        assert page.run(f"document.querySelectorAll('#list .state')[{place}].textContent") == lines[-1]
    parts = (rf"{MAX_FRAMES} frames", r"^not sent: 0.6 MB, this server takes at most 0.6 MB$", "video")
    assert all(re.search(part, line) and "\n" not in line for part, line in zip(parts, lines, strict=True)), lines
    page.click("[name=kind][value=picture]")
    page.click("#make")
    assert page.run("document.getElementById('problem').textContent") == "choose a picture for the background first"
    page.run("document.querySelectorAll('#list .open')[3].click()")
    page.until(f"{DIVIDED} && {CLIP}.hidden && document.getElementById('make').hidden")
    assert len([each for each in page.requests if each.endswith("/video")]) == 2
    assert only_asks(page, url)
    assert all(re.search("4(00|13)", error) and "/video" in error for error in page.errors), page.errors


def test_a_video_on_a_narrow_screen(browser: str, url: str, tmp_path: Path) -> None:
    library()
    clip = write_video(tmp_path / "walk.mp4", frames=4, size=(480, 854))
    with browsing(browser, 360, 740) as page:
        page.open(url)
        page.until("!document.getElementById('about').hidden")
        page.choose("#file", clip)
        page.until(f"{CLIP}.videoWidth === 854")
        made(page, "overlay")
        page.until(f"{DONE} === 1 && {CLIP}.readyState >= 2")
        assert page.run("document.documentElement.scrollWidth <= innerWidth"), "it scrolls sideways"
        page.click("#make")  # it is within reach
        page.until(f"{DONE} === 1")
        assert page.errors == []


def test_classes_by_name_and_the_token(browser: str, classes_url: str, photo: Path, tmp_path: Path) -> None:
    with browsing(browser) as page:
        page.save_downloads(tmp_path)
        page.open(classes_url)
        page.until("!document.getElementById('token-row').hidden")
        page.drop("#start", photo)
        page.until("document.getElementById('list').textContent.includes('waiting for the names of classes')")
        (tmp_path / "clip.mp4").write_bytes(b"a video")
        page.drop("#viewer", tmp_path / "clip.mp4")
        page.until("document.getElementById('list').textContent.includes('is a video; this service takes none')")
        page.run("document.querySelectorAll('#list .remove')[1].click()")
        type_into(page, "#classes", "cat, sky")
        page.until(f"{FAILED} === 1 && document.getElementById('list').textContent.includes('asks for its token')")
        type_into(page, "#token", TOKEN)
        page.until(f"{DONE} === 1 && {DIVIDED}")
        for kind in ("overlay", "labels"):
            page.click(f"[name=kind][value={kind}]")
            page.click("#save")
            page.until(lambda kind=kind: downloaded(tmp_path, f"cat-{kind}.png"))
            made = Image.open(tmp_path / f"cat-{kind}.png")
            assert difference(made, ask(classes_url, photo, "segment", classes="cat, sky", kind=kind)) == 0
        legend = page.run("document.getElementById('legend').textContent")
        assert "cat" in legend and "sky" in legend
        asked = """window.asked = []; const send = XMLHttpRequest.prototype.send;
                   XMLHttpRequest.prototype.send = function (form) { asked.push(form.get("classes"));
                                                                     return send.call(this, form); }"""
        page.run(asked)
        page.drop("#viewer", photo, photo)
        page.until("document.querySelectorAll('#list li').length === 3")
        page.run("document.getElementById('classes').value = 'ca'")  # it is being typed while a picture waits
        page.until(f"{DONE} === 3")
        assert page.run("window.asked") == ["cat, sky"] * 2
        assert only_asks(page, classes_url)
        assert all("401" in error for error in page.errors), page.errors


def test_a_folder_is_not_sent(browser: str, classes_url: str, photo: Path, tmp_path: Path) -> None:
    """It stays in the list with its reason, whatever is asked for."""
    (tmp_path / "album").mkdir()
    (tmp_path / "album" / "cat.png").write_bytes(photo.read_bytes())
    with browsing(browser) as page:
        page.open(classes_url)
        page.until("!document.getElementById('token-row').hidden")
        page.drop("#start", tmp_path / "album")
        page.until(f"{FAILED} === 1")
        type_into(page, "#classes", "cat, sky")
        page.run("new Promise(resolve => setTimeout(resolve, 200))")
        assert not [each for each in page.requests if each.endswith("/segment")]
        shown = page.run("document.querySelector('#list .state').textContent")
        assert shown == "is a folder; drop the pictures in it"


def type_into(page: Page, selector: str, text: str) -> None:
    """Type into a field, and press Enter."""
    page.run(f"document.querySelector('{selector}').focus()")
    page.call("Input.insertText", text=text)
    page.key("Enter", 13, "\r")


@pytest.mark.parametrize("dark", [False, True])
def test_a_narrow_screen_and_a_reader_can_use_it(browser: str, url: str, photo: Path, dark: bool) -> None:
    with browsing(browser, 360, 740, dark) as page:
        page.open(url)
        open_photo(page, photo)
        assert tabbed(page, 8) == ["handle", "kind", "hard", "save", "copy", "pictures", "open", "remove"]
        page.click("#hard")
        page.click("[name=kind][value=picture]")
        ground = page.run("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
        assert (max(ground) < 60) == dark
        assert page.run("document.documentElement.scrollWidth <= innerWidth"), "it scrolls sideways"
        page.call("Accessibility.enable")
        nodes = page.call("Accessibility.getFullAXTree")["nodes"]
        roles = ("button", "slider", "radio", "checkbox", "textbox", "image")
        controls = [node for node in nodes if not node["ignored"] and node["role"]["value"] in roles]
        unnamed = [node["role"]["value"] for node in controls if not node["name"]["value"].strip()]
        assert len(controls) >= 16 and not unnamed
        page.run("document.querySelector('#list .remove').focus()")
        page.key("Enter", 13, "\r")
        assert page.run("document.activeElement.matches('#start input')")
        assert page.errors == []


def tabbed(page: Page, presses: int) -> list[str]:
    """What the Tab key goes to, from the page's beginning: ids, or names, or classes."""
    reached = []
    for _ in range(presses):
        page.key("Tab", 9)
        reached.append(page.run("(each => each.id || each.name || each.className)(document.activeElement)"))
    return reached
