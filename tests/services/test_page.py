"""The page's files: what is served of them, and that the page's content policy lets them work."""

import asyncio
import re
from pathlib import Path

import httpx
import pytest

from limelight.services.assets import ASSETS, FOLDER
from limelight.services.guard import OPEN
from limelight.services.page import PAGE, page

SCRIPTS = sorted(FOLDER.glob("*.js"))


def get(weights: Path, *paths: str) -> list[httpx.Response]:
    async def all_of_them() -> list[httpx.Response]:
        transport = httpx.ASGITransport(page(lambda: weights))
        async with httpx.AsyncClient(transport=transport, base_url="http://limelight") as client:
            return [await client.get(path) for path in paths]

    return asyncio.run(all_of_them())


def test_everything_the_page_loads_is_served_without_the_token(untrained: Path) -> None:
    loaded = {f"/{name}" for name in re.findall(r"""(?:src|href)=["']([^"']+)""", PAGE.read_text(encoding="utf-8"))}
    for script in SCRIPTS:
        loaded |= {f"/static/{name}" for name in re.findall(r'"(?:\./)?(\w[\w-]*\.js)"', script.read_text())}
    assert loaded <= ASSETS.keys() <= OPEN and "/static/worker.js" in loaded
    for answer in get(untrained, "/", *loaded):
        assert answer.status_code == 200, answer.url
        policy = dict(each.split(" ", 1) for each in answer.headers["content-security-policy"].split("; "))
        assert policy.pop("img-src") == "'self' blob: data:" and policy.pop("media-src") == "blob:"
        nowhere = {"base-uri": "'none'", "form-action": "'none'", "frame-ancestors": "'none'"}
        assert policy == {"default-src": "'self'", **nowhere}
        assert answer.headers["x-content-type-options"] == "nosniff"
    types = {answer.url.path.rpartition(".")[2]: answer.headers["content-type"] for answer in get(untrained, *loaded)}
    expected = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml", "jpg": "image/jpeg"}
    assert {suffix: kind.partition(";")[0] for suffix, kind in types.items()} == expected


@pytest.mark.parametrize("path", ["/static/", "/static/none.js", "/static/../page.html", "/static/%2e%2e/page.html"])
def test_nothing_else_is_served(untrained: Path, path: str) -> None:
    assert get(untrained, path)[0].status_code == 404


def test_what_a_browser_has_is_not_sent_again(untrained: Path) -> None:
    async def asked(path: str, known: str) -> httpx.Response:
        transport = httpx.ASGITransport(page(lambda: untrained))
        async with httpx.AsyncClient(transport=transport, base_url="http://limelight") as client:
            return await client.get(path, headers={"If-None-Match": known})

    for path in ("/", "/static/main.js", "/static/examples/cat.jpg"):
        (whole,) = get(untrained, path)
        tag = whole.headers["etag"]
        for known in (tag, f'"other", W/{tag}', "*"):
            answer = asyncio.run(asked(path, known))
            assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
            assert answer.headers["cache-control"] == "no-cache"
        assert asyncio.run(asked(path, '"other"')).content == whole.content


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_borders_of_fields_are_seen(scheme: int) -> None:
    """At least 3:1 to either side, WCAG 1.4.11."""
    style = (FOLDER / "style.css").read_text(encoding="utf-8")
    colours = dict(re.findall(r"--(\w+): (#\w+)", re.findall(r":root \{[^}]*\}", style)[scheme]))

    def luminance(colour: str) -> float:
        digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
        parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
        red, green, blue = (each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    for beside in ("ground", "surface", "wash"):
        darker, lighter = sorted((luminance(colours["edge"]), luminance(colours[beside])))
        assert (lighter + 0.05) / (darker + 0.05) >= 3, beside


def test_the_page_holds_nothing_that_its_policy_forbids() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert not re.findall(r"<style|<script(?![^>]*\ssrc=)|\s(?:style|on\w+)=", text)
    for path in (PAGE, *SCRIPTS, *FOLDER.glob("*.css")):
        assert not re.findall(r"https?://|@import|setAttribute\(\"style|innerHTML|eval\(", path.read_text()), path.name


def test_examples_are_small_and_say_where_they_are_from() -> None:
    sources = (FOLDER / "examples/SOURCES.md").read_text(encoding="utf-8")
    for picture in FOLDER.glob("examples/*.jpg"):
        assert picture.stat().st_size <= 40_000 and picture.name in sources
