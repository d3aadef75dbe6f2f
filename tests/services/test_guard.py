"""The guard by itself: what it refuses, and that it passes the rest on untouched."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from starlette.datastructures import Headers
from starlette.formparsers import MultiPartParser

from limelight.services.forms import FIELD, MAX_BOUNDARIES, MAX_NAME_BYTES, MAX_TEXT_BYTES, Refusal
from limelight.services.guard import MAX_OTHER_BODY, Guard
from limelight.services.open_vocabulary import UPLOAD as CLASSES_UPLOAD
from limelight.services.saliency import UPLOAD

LIMIT = 1000
COMPANION, MODALITY = "companion", "modality"
UPLOADS = {"/predict": UPLOAD, "/segment": CLASSES_UPLOAD}
BOUNDARY = "frontier"


def form(*fields: tuple[str, str | None, bytes]) -> bytes:
    """A multipart body of (name, file name or None, content)."""
    parts = []
    for name, filename, content in fields:
        place = f'; filename="{filename}"' if filename is not None else ""
        parts.append(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{place}\r\n\r\n'.encode() + content)
    return b"\r\n".join(parts) + f"\r\n--{BOUNDARY}--\r\n".encode()


GOOD = form((FIELD, "photo.jpg", b"\x00bytes of a picture"))


def ask(
    body: bytes = GOOD,
    path: str = "/predict",
    kind: str = f"multipart/form-data; boundary={BOUNDARY}",
    *,
    chunk: int | None = None,
    token: str | None = None,
    method: str = "POST",
    limit: int = LIMIT,
    **headers: str,
) -> tuple[int, dict[str, Any], bytes | None]:
    """Send one request through a guard. Returns status, JSON answer, and the body as the application got it."""
    seen: list[bytes] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        seen.append((await receive())["body"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    pieces = [body[start : start + (chunk or LIMIT * 9)] for start in range(0, len(body), chunk or LIMIT * 9)] or [b""]
    messages = [
        {"type": "http.request", "body": piece, "more_body": index < len(pieces) - 1}
        for index, piece in enumerate(pieces)
    ]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return messages.pop(0) if messages else await asyncio.Event().wait()

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    given = {"content-type": kind, **headers} | ({} if chunk else {"content-length": str(len(body))})
    raw = [(name.encode(), value.encode()) for name, value in given.items()]
    scope = {"type": "http", "method": method, "path": path, "headers": raw}
    asyncio.run(Guard(application, UPLOADS, limit, token)(scope, receive, send))
    return sent[0]["status"], json.loads(sent[1]["body"]), seen[0] if seen else None


def test_a_picture_passes_untouched() -> None:
    assert ask() == (200, {}, GOOD)
    assert ask(chunk=7) == (200, {}, GOOD)


@pytest.mark.parametrize(
    "name", ["", "Screenshot at 1.00\u202fPM.png", "снимок.jpg", "a%0Ab%22.png", "../a.png", "a\u200eb.png"]
)
def test_a_files_name_is_its_senders_matter(name: str) -> None:
    body = form((FIELD, name, b"x"))
    assert ask(body) == (200, {}, body)


@pytest.mark.parametrize("modality", [[], [(MODALITY, None, b"rgbd")], [(MODALITY, None, b"rgbt")]])
def test_a_companion_passes_untouched(modality: list) -> None:
    body = form(*modality, (FIELD, "photo.jpg", b"x"), (COMPANION, "depth.png", b"y"))
    assert ask(body) == (200, {}, body)


def test_a_kind_passes_where_it_is_one_of_the_choices() -> None:
    picture = (FIELD, "photo.jpg", b"x")
    body = form(picture, ("kind", None, b"overlay"))
    assert ask(body) == (200, {}, body)
    for kind in (b"", b"npy", b"#ff8800", b"/etc/passwd"):
        status, answer, seen = ask(form(picture, ("kind", None, kind)))
        assert (status, seen) == (400, None) and "one of map, rgba, green, white, blur, overlay" in answer["error"]


@pytest.mark.parametrize("chunk", [None, 64])
def test_body_limit_413(chunk: int | None) -> None:
    """Also where the request does not say how long it is."""
    status, answer, seen = ask(form((FIELD, "a.jpg", b"x" * LIMIT)), chunk=chunk)
    assert (status, seen) == (413, None)
    assert f"limit {'is' if chunk is None else 'of'} {LIMIT}" in answer["error"]


def test_lying_content_length_does_not_help() -> None:
    status, _, seen = ask(form((FIELD, "a.jpg", b"x" * LIMIT)), chunk=64, **{"content-length": "10"})
    assert (status, seen) == (413, None)


def test_bodies_are_short_where_nothing_is_uploaded() -> None:
    long = b" " * (MAX_OTHER_BODY + 1)
    for path, method in (
        ("/livez", "GET"),
        ("/livez", "POST"),
        ("/", "GET"),
        ("/predict", "GET"),
        ("/describe", "POST"),
    ):
        for chunk in (None, 1000):
            status, answer, seen = ask(long, path, "application/json", method=method, limit=1 << 20, chunk=chunk)
            assert (status, seen) == (413, None), (path, method)
            assert f"limit {'is' if chunk is None else 'of'} {MAX_OTHER_BODY}" in answer["error"]
    assert ask(long[1:], "/livez", "application/json", limit=1 << 20) == (200, {}, long[1:])
    assert ask(long, "/segmnet", limit=1 << 20)[0] == 404, "it would have to be told that the path is wrong"
    assert ask(form((FIELD, "a.jpg", long)), limit=1 << 20)[0] == 200


@pytest.mark.parametrize("field", [FIELD, COMPANION])
def test_post_string_in_file_field_is_415(field: str) -> None:
    other = [] if field == FIELD else [(FIELD, "a.jpg", b"x")]
    status, answer, seen = ask(form(*other, (field, None, b"http://169.254.169.254/latest")))
    assert (status, seen) == (415, None)
    assert "holds text, not a file" in answer["error"]


@pytest.mark.parametrize(
    "kind",
    ["application/vnd.bentoml+pickle", "application/json", "application/x-www-form-urlencoded", "image/jpeg", ""],
)
def test_other_content_types_are_415(kind: str) -> None:
    status, _, seen = ask(b'{"image": "http://127.0.0.1/"}', kind=kind)
    assert (status, seen) == (415, None)


@pytest.mark.parametrize(
    "kind", ["application/vnd.bentoml+pickle", "Application/Vnd.Bentoml+Pickle; x=1", "text/plain"]
)
def test_no_pickle_anywhere_else(kind: str) -> None:
    for path, expected in (("/describe", 415), ("/an-api-that-nobody-listed", 404)):
        status, _, seen = ask(b"\x80\x05", path=path, kind=kind)
        assert (status, seen) == (expected, None)
    assert ask(b"{}", path="/describe", kind="application/json")[0] == 200
    assert ask(b"", path="/describe", kind="")[0] == 200


@pytest.mark.parametrize(
    "body",
    [
        form((FIELD, "a.jpg", b"x"), (FIELD, None, b"http://127.0.0.1/")),
        form((FIELD, None, b"http://127.0.0.1/"), (FIELD, "a.jpg", b"x")),
        form((FIELD, "a.jpg", b"x"), (FIELD, "b.jpg", b"y")),
        form((FIELD, "a.jpg", b"x"), ("more", None, b"y")),
        form(("picture", "a.jpg", b"x")),
        form((COMPANION, "a.jpg", b"x")),
        form((FIELD, "a.jpg", b"x"), (MODALITY, None, b"rgbd")),
        form((FIELD, "a.jpg", b"x"), (COMPANION, "b.jpg", b"y"), (COMPANION, "c.jpg", b"z")),
        form((FIELD, "a.jpg", b"x"), (COMPANION, "b.jpg", b"y"), (MODALITY, None, b"rgb")),
        form((FIELD, "a.jpg", b"x"), (COMPANION, "b.jpg", b"y"), (MODALITY, "rgbd.txt", b"rgbd")),
        form((FIELD, "a.jpg", b"x"), (COMPANION, "b" * (MAX_NAME_BYTES + 1), b"y")),
        b"",
        b"no form at all",
        form((FIELD, "a" * (MAX_NAME_BYTES + 1), b"x")),
        form((FIELD, "a\x00.jpg", b"x")),
        form((FIELD, "a\x1b.jpg", b"x")),
        form((FIELD, "a\x85.jpg", b"x")),
    ],
)
def test_forms_with_anything_but_one_file_are_400(body: bytes) -> None:
    status, answer, seen = ask(body)
    assert (status, seen) == (400, None)
    assert "\n" not in answer["error"]


NAMED = ((FIELD, "a.jpg", b"x"), ("classes", None, "dog, 猫".encode()))


@pytest.mark.parametrize(
    "more", [[], [("kind", None, b"overlay")], [("template", None, b"a {}"), ("background", None, b"0.3")]]
)
def test_classes_pass_untouched(more: list) -> None:
    body = form(*NAMED, *more)
    assert ask(body, "/segment") == (200, {}, body)


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ([NAMED[0]], "'classes' is missing; the form must have"),
        ([NAMED[0]], "the names to find as 'classes'"),
        ([NAMED[1]], "the picture's file as 'image'"),
        ([*NAMED, NAMED[1]], "twice; send it once"),
        ([*NAMED, (COMPANION, "b.png", b"y")], "'companion' is no field; the form must have"),
        ([NAMED[0], ("classes", "classes.txt", b"dog")], "'classes' must be text"),
        ([*NAMED, ("kind", None, b"pickle")], "one of labels, overlay, json"),
        ([NAMED[0], ("classes", None, b"[" * 5000)], "'classes' cannot be read"),
        ([NAMED[0], ("classes", None, b"1" * 5000)], "'classes' cannot be read"),
        ([NAMED[0], ("classes", None, b"a" * (MAX_TEXT_BYTES + 1))], "the form cannot be read"),
    ],
)
def test_forms_of_classes_with_anything_else_are_400(fields: list, part: str) -> None:
    status, answer, seen = ask(form(*fields), "/segment", limit=100_000)
    assert (status, seen) == (400, None)
    assert part in answer["error"] and "\n" not in answer["error"]


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"null",
        b'{"a": 1}',
        b"[" * 900,
        b'{"a":' * 150,
        b"NaN",
        b"1e999",
        b'"\\ud800"',
        b"\xff",
        "{}".encode("utf-16"),
    ],
)
@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-16"])
def test_what_is_described_needs_nothing(body: bytes, kind: str) -> None:
    status, answer, seen = ask(body, "/describe", kind)
    assert (status, seen) == (400, None) and "send an empty body or the JSON object {}" in answer["error"]
    assert ask(b" {\n} ", "/describe", kind)[0] == 200


def test_an_upload_that_stalls_is_408(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limelight.services.guard.STALL_S", 0.05)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(60)
        return {}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/predict", "headers": []}
    asyncio.run(Guard(None, UPLOADS, LIMIT)(scope, receive, send))
    assert sent[0]["status"] == 408 and "no more data of the request arrived" in json.loads(sent[1]["body"])["error"]


def test_a_body_that_is_cut_off_is_400_and_goes_no_further() -> None:
    messages = [{"type": "http.request", "body": b"{}", "more_body": True}, {"type": "http.disconnect"}]
    sent: list[dict[str, Any]] = []
    seen: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        seen.append(await receive())

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/describe", "headers": []}
    asyncio.run(Guard(application, UPLOADS, LIMIT)(scope, receive, send))
    assert not seen and sent[0]["status"] == 400
    assert "the request ended early" in json.loads(sent[1]["body"])["error"]


@pytest.mark.parametrize("boundary", ["a", "frontier"])
@pytest.mark.parametrize("chunk", [None, 3])
@pytest.mark.parametrize("after", ["-x", "x", "\r\r", " ", "\t \t"])
def test_boundaries_that_occupy_the_parser_are_refused(boundary: str, chunk: int | None, after: str) -> None:
    start = f'--{boundary}\r\nContent-Disposition: form-data; name="{FIELD}"; filename="a"\r\n\r\n'
    delimiter = f"\r\n--{boundary}"
    often = 1 if after.startswith((" ", "\t")) else MAX_BOUNDARIES + 1
    body = f"{start}{(delimiter + after) * often}{delimiter}--\r\n".encode()

    async def stream() -> AsyncGenerator[bytes, None]:
        for at in range(0, len(body), chunk or len(body)):
            yield body[at : at + (chunk or len(body))]

    kind = Headers({"content-type": f"multipart/form-data; boundary={boundary}"})
    with pytest.raises(Refusal, match="its boundary is in what it holds") as refused:
        asyncio.run(UPLOAD.read(kind, stream(), MultiPartParser))
    assert refused.value.status == 400


def test_what_resembles_boundaries_passes() -> None:
    body = form((FIELD, "a.jpg", b"\r\n--front \r\n--frontie\t\r\n-- " * 2000))
    assert ask(body, limit=1 << 20) == (200, {}, body)


def test_others_have_their_turn_while_a_form_is_read() -> None:
    async def check() -> int:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        kind = Headers({"content-type": f"multipart/form-data; boundary={BOUNDARY}"})
        await UPLOAD.check(kind, form((FIELD, "a.jpg", bytes(1 << 20))))
        task.cancel()
        return turns

    assert asyncio.run(check()) >= 16


def test_form_without_boundary_is_400() -> None:
    assert ask(kind="multipart/form-data")[0] == 400


def test_token() -> None:
    assert ask(token="s3cret")[0] == 401
    assert ask(token="s3cret", authorization="Bearer wrong")[0] == 401
    assert ask(token="s3cret", authorization="Basic s3cret")[0] == 401
    assert ask(token="s3cret", authorization="bearer s3cret")[0] == 200
    assert ask(b"", "/metrics", "", token="s3cret", method="GET")[0] == 401
    for path in ("/", "/livez", "/readyz", "/healthz"):
        assert ask(b"", path, "", token="s3cret", method="GET")[0] == 200, path
