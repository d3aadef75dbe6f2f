"""What becomes of errors on their way out: JSON for the client, one line for the log.

`app` is BentoML's real application, whose model is never loaded.
"""

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from bentoml._internal.server.http.traffic import TimeoutMiddleware
from starlette.responses import PlainTextResponse

from limelight.services.answers import LOG, Answers, Failures, printable
from limelight.services.cors import Cors, as_origin
from limelight.services.saliency import Limelight

ALLOWED = "https://app.example"


@pytest.fixture(scope="module")
def app() -> Any:
    """Made once: its figures are registered in the process."""
    return Limelight.to_asgi()


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hear the log itself: what other tests have started may have set up the root of all logs anew."""
    monkeypatch.setattr(LOG, "disabled", False)
    monkeypatch.setattr(LOG, "propagate", False)
    caplog.set_level(logging.INFO, LOG.name)
    LOG.addHandler(caplog.handler)
    yield
    LOG.removeHandler(caplog.handler)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "bentoml.access"]


def ask(app: Any, *requests: tuple[str, str], **headers: str) -> list[httpx.Response]:
    async def all_of_them() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("::1", 7))
        async with httpx.AsyncClient(transport=transport, base_url="http://limelight") as client:
            return [await client.request(method, path, headers=headers) for method, path in requests]

    return asyncio.run(all_of_them())


def reason(answer: httpx.Response) -> str:
    content = answer.json()
    assert list(content) == ["error"] and "\n" not in content["error"]
    assert answer.headers["content-type"] == "application/json"
    assert int(answer.headers["content-length"]) == len(answer.content)
    return content["error"]


@pytest.mark.parametrize(
    ("method", "path", "status", "part", "allow"),
    [
        ("GET", "/predit", 404, "there is nothing at '/predit'; GET /docs.json lists the paths", None),
        ("GET", "/static_content/none.js", 404, "there is nothing at", None),
        ("GET", "/predict", 405, "GET is not allowed here", {"POST"}),
        ("OPTIONS", "/predict", 405, "OPTIONS is not allowed here", {"POST"}),
        ("POST", "/", 405, "POST is not allowed here", {"GET", "HEAD"}),
        ("POST", "/livez", 405, "POST is not allowed here", {"GET", "HEAD"}),
        ("PUT", "/static_content/swagger-ui.css", 405, "PUT is not allowed here", {"GET", "HEAD"}),
        ("POST", "/predict", 415, "content type '' is not accepted", None),
    ],
)
def test_every_error_is_json(app: Any, method: str, path: str, status: int, part: str, allow: set | None) -> None:
    (answer,) = ask(app, (method, path))
    assert answer.status_code == status and part in reason(answer)
    assert allow is None or set(answer.headers["allow"].split(", ")) == allow


def test_a_page_of_another_site_may_not_post(app: Any) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    (answer,) = ask(app, ("POST", "/predict"), **headers)
    assert answer.status_code == 403 and "a page of another site may not post here" in reason(answer)


def test_a_bug_is_one_traceback_and_tells_the_client_nothing(app: Any, caplog: pytest.LogCaptureFixture) -> None:
    (answer,) = ask(app, ("POST", "/describe"))
    assert answer.status_code == 500 and "NoneType" not in reason(answer)
    assert sum(record.exc_info is not None for record in caplog.records) == 1
    (line,) = lines(caplog)
    assert line.startswith("[::1]:7 POST /describe 500 ")


async def broken(scope: Any, receive: Any, send: Any) -> None:
    raise ZeroDivisionError("a secret")


async def endless(scope: Any, receive: Any, send: Any) -> None:
    await asyncio.sleep(60)


def test_answers_are_sent_in_pieces(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limelight.services.sending.PIECE", 1000)
    sizes: list[int] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b""} if not sizes else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sizes.append(len(message.get("body", b"")))

    scope = {"type": "http", "method": "GET", "path": "/docs.json", "query_string": b"", "headers": [], "client": None}
    asyncio.run(app(scope, receive, send))
    assert len(sizes) > 10 and max(sizes) == 1000


async def cut_off(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"the beginning", "more_body": True})


def test_an_answer_that_is_not_taken_is_one_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def take(message: Any) -> None:
        pass

    scope = {"type": "http", "method": "GET", "path": "/livez", "client": None}
    asyncio.run(Answers(cut_off)(scope, None, take))
    (line,) = lines(caplog)
    assert line.startswith("-:0 GET /livez 200 ") and line.endswith("ms: the client did not take all of the answer")
    assert caplog.records[-1].levelno == logging.WARNING


def test_a_bug_in_what_stands_before_an_endpoint_does_not_wait_for_the_time_limit(
    caplog: pytest.LogCaptureFixture,
) -> None:
    (answer,) = ask(Answers(TimeoutMiddleware(Failures(broken), timeout=60)), ("GET", "/"))
    assert answer.status_code == 500 and "secret" not in reason(answer)
    assert [record.exc_info is not None for record in caplog.records] == [True, False]


def test_the_time_limit_is_told_as_json() -> None:
    (answer,) = ask(Answers(TimeoutMiddleware(Failures(endless), timeout=0.05)), ("GET", "/"))
    assert answer.status_code == 504 and "0.05 seconds" in reason(answer)


@pytest.mark.parametrize(
    ("status", "content", "expected"),
    [
        (400, "two\nlines", "two lines"),
        (400, "", "Bad Request"),
        (400, '{"error": "one\\nline", "detail": [1]}', "one line"),
        (403, "a" * 9999, "a" * 500),
        (500, "Traceback: a secret", "the service failed; its log says why"),
        (503, '["a list"]', "the service failed; its log says why"),
        (429, '{"error": "Too many requests"}', "too many requests are waiting; send it again in 1 s"),
    ],
)
def test_any_form_of_error_becomes_one_line(status: int, content: str, expected: str) -> None:
    (answer,) = ask(Answers(PlainTextResponse(content, status)), ("GET", "/"))
    assert answer.status_code == status and reason(answer) == expected
    assert answer.headers.get("retry-after") == ("1" if status in (429, 503) else None)


def test_a_request_is_one_line_of_the_log(app: Any, caplog: pytest.LogCaptureFixture) -> None:
    ask(app, ("GET", "/livez"), ("GET", "/docs.json"))
    ask(app, ("GET", "/a%0Ab%1B[31m?token=hidden"), ("GET", "/" + "long" * 99), Authorization="Bearer hidden")
    fine, escaped, long = lines(caplog)
    assert fine.startswith("[::1]:7 GET /docs.json 200 ")
    assert escaped.startswith("[::1]:7 GET /a%0Ab%1B[31m 404 ")
    assert all(line.isprintable() and len(line) < 700 and "hidden" not in line for line in (escaped, long))


def test_nothing_that_ends_a_line_or_moves_the_cursor_is_printed() -> None:
    assert printable("a\r\nb\x1b[31m\u2028\u202e\x85\ud800é") == r"a\r\nb\x1b[31m\u2028\u202e\x85\ud800é"
    assert printable("a" * 9, 5) == "aaaaa..."


def test_a_websocket_is_closed_before_it_opens(app: Any, caplog: pytest.LogCaptureFixture) -> None:
    sent: list[dict] = []

    async def send(message: dict) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/predict", "raw_path": b"/predict", "client": None}
    asyncio.run(app(scope, None, send))
    assert sent == [{"type": "websocket.close"}]
    assert lines(caplog) == ["-:0 WEBSOCKET /predict 403: there are no WebSockets here"]


def cors(method: str, origin: str, *origins: str, **headers: str) -> httpx.Response:
    app = Answers(Cors(PlainTextResponse("no", 401), tuple(map(as_origin, origins))))
    return ask(app, (method, "/predict"), Origin=origin, **headers)[0]


PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}


@pytest.mark.parametrize("origins", [[ALLOWED], ["http://a.example", "HTTPS://App.Example:443"], ["*"]])
def test_an_allowed_origin_gets_its_headers_with_refusals_too(origins: list[str]) -> None:
    expected = "*" if origins == ["*"] else ALLOWED
    preflight, refusal = cors("OPTIONS", ALLOWED, *origins, **PREFLIGHT), cors("POST", ALLOWED, *origins)
    assert (preflight.status_code, refusal.status_code) == (200, 401)
    assert {answer.headers["access-control-allow-origin"] for answer in (preflight, refusal)} == {expected}
    assert "Authorization" in preflight.headers["access-control-allow-headers"]
    assert set(preflight.headers["access-control-allow-methods"].split(", ")) == {"GET", "HEAD", "POST"}
    assert {"Server-Timing", "X-Limelight-Notes"} <= set(refusal.headers["access-control-expose-headers"].split(", "))
    assert reason(refusal) == "no"


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://app.example", "https://app.example:8443", ""]
)
def test_another_origin_gets_no_cors_headers(origin: str) -> None:
    preflight, answer = cors("OPTIONS", origin, ALLOWED, **PREFLIGHT), cors("POST", origin, ALLOWED)
    assert (preflight.status_code, answer.status_code) == (400, 401)
    assert "LIMELIGHT_CORS_ORIGINS" in reason(preflight)
    for each in (preflight, answer):
        assert not [name for name in each.headers if name.startswith("access-control")]
        assert each.headers["vary"] == "Origin"
