"""What becomes of errors on their way out: JSON for the client, one line for the log.

`app` is BentoML's real application, whose model is never loaded.
"""

import asyncio
import logging
import re
from collections.abc import Iterator
from typing import Any

import httpx
import prometheus_client
import pytest
from bentoml._internal.server.http.traffic import TimeoutMiddleware
from starlette.responses import PlainTextResponse

from limelight import __version__
from limelight.services.answers import LOG, Answers, Failures, printable
from limelight.services.cors import Cors, as_origin
from limelight.services.saliency import Limelight
from limelight.services.video_request import KINDS, NAMES

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


def ask(app: Any, *requests: tuple[str, str], **headers: str | bytes) -> list[httpx.Response]:
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
        ("GET", "/static_content/swagger-ui.css", 404, "there is nothing at", None),
        ("PUT", "/static/main.js", 405, "PUT is not allowed here", {"GET", "HEAD"}),
        ("GET", "/describe", 405, "GET is not allowed here", {"POST"}),
        ("POST", "/docs.json", 405, "POST is not allowed here", {"GET", "HEAD"}),
        ("POST", "/describe", 503, "the service is not ready", None),
        ("POST", "/describe?x=1", 400, "the address takes none", None),
        ("POST", "/video", 503, "the service is not ready", None),
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


def test_paths_where_nothing_is_leave_no_figures(app: Any) -> None:
    """Anyone could fill the memory, and /metrics, with as many as there are paths."""
    ask(app, ("GET", "/livez"), *(("GET", f"/none/{at}") for at in range(9)), ("POST", "/describe"))
    samples = [sample for metric in prometheus_client.REGISTRY.collect() for sample in metric.samples]
    endpoints = {sample.labels.get("endpoint", "") for sample in samples}
    assert {"/livez", "/describe"} <= endpoints and not [each for each in endpoints if each.startswith("/none")]
    wanted = {"endpoint": "/describe", "http_response_code": "503"}
    assert [each.value for each in samples if each.name == "limelight_request_total" and each.labels == wanted] > [0]


def test_the_schema_is_what_the_checks_let_pass(app: Any) -> None:
    (answer,) = ask(app, ("GET", "/docs.json"))
    tree = answer.json()
    assert tree["info"]["version"] == __version__ and {"/video", "/stream", "/describe"} <= tree["paths"].keys()
    predict, video = (tree["paths"][path]["post"] for path in ("/predict", "/video"))
    schema = predict["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert schema["properties"]["kind"]["enum"] == list(KINDS) and schema["properties"]["kind"]["default"] == "map"
    assert schema["properties"].keys() == {"image", "companion", "modality", "threshold", "kind"}
    assert schema["required"] == ["image"]
    for operation in (predict, video, tree["paths"]["/describe"]["post"]):
        assert {"200", "400", "401", "413", "429", "503", "504"} <= operation["responses"].keys()
    assert [each["name"] for each in tree["paths"]["/stream"]["get"]["parameters"]] == list(NAMES)
    references = set(re.findall(r'"#/components/(\w+)/(\w+)"', answer.text))
    assert references and all(name in tree["components"][part] for part, name in references)


def test_a_bug_is_one_traceback_and_tells_the_client_nothing(
    app: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limelight.services.app.current_service", object)
    (answer,) = ask(app, ("POST", "/describe"))
    assert answer.status_code == 500 and "object" not in reason(answer)
    assert sum(record.exc_info is not None for record in caplog.records) == 1
    assert lines(caplog)[-1].startswith("[::1]:7 POST /describe 500 ")


async def broken(scope: Any, receive: Any, send: Any) -> None:
    raise ZeroDivisionError("a secret")


async def endless(scope: Any, receive: Any, send: Any) -> None:
    await asyncio.sleep(60)


def test_answers_are_sent_in_pieces(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limelight.services.sending.PIECE", 100)
    sizes: list[int] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b""} if not sizes else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sizes.append(len(message.get("body", b"")))

    scope = {"type": "http", "method": "GET", "path": "/schema.json", "query_string": b"", "headers": []}
    asyncio.run(app(scope, receive, send))
    assert len(sizes) > 10 and max(sizes) == 100


async def cut_off(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"the beginning", "more_body": True})


def test_an_answer_that_is_not_taken_is_one_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def take(message: Any) -> None:
        pass

    scope = {"type": "http", "method": "GET", "path": "/livez", "headers": []}
    asyncio.run(Answers(cut_off)(scope, None, take))
    (line,) = lines(caplog)
    assert line.startswith("-:0 GET /livez 200 ") and line.endswith(": the client did not take all of the answer")
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


@pytest.mark.parametrize("given", ["req-7f/3", "a b", "", "x" * 101, "a\x1b[31m", "né"])
def test_an_answer_and_its_line_have_the_requests_id(app: Any, caplog: pytest.LogCaptureFixture, given: str) -> None:
    headers = {"X-Request-ID": given.encode()}
    answers = ask(app, ("GET", "/docs.json"), ("GET", "/nowhere"), ("POST", "/describe"), **headers)
    for answer, line in zip(answers, lines(caplog), strict=True):
        number = answer.headers["x-request-id"]
        assert re.search(rf" ms {re.escape(number)}(:|$)", line)
        assert number == given if given == "req-7f/3" else re.fullmatch("[0-9a-f]{32}", number)


def test_nothing_that_ends_a_line_or_moves_the_cursor_is_printed() -> None:
    assert printable("a\r\nb\x1b[31m\u2028\u202e\x85\ud800é") == r"a\r\nb\x1b[31m\u2028\u202e\x85\ud800é"
    assert printable("a" * 9, 5) == "aaaaa..."


def test_a_websocket_is_closed_before_it_opens(app: Any, caplog: pytest.LogCaptureFixture) -> None:
    sent: list[dict] = []

    async def send(message: dict) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/predict", "raw_path": b"/predict", "headers": []}
    asyncio.run(app(scope, None, send))
    assert sent == [{"type": "websocket.close"}]
    (line,) = lines(caplog)
    assert line.startswith("-:0 WEBSOCKET /predict 403 ") and line.endswith(": there are no WebSockets here")


@pytest.mark.parametrize(
    ("gone", "end"),
    [
        ({"code": 1001, "reason": "the tab\n was closed"}, r" 1001 .*: the tab\\n was closed"),
        ({"code": 1005}, " 1005 .*: the client ended the stream"),
        ({"code": 1012}, " 1012 .*: the service is being stopped"),
    ],
)
@pytest.mark.parametrize("sending", [False, True])
def test_a_stream_that_the_other_side_ends_is_one_line_of_the_log(
    caplog: pytest.LogCaptureFixture, gone: dict[str, Any], end: str, sending: bool
) -> None:
    """Also where it was noticed only because a result could not be sent."""
    sent: list[dict] = []

    async def stream(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept", "headers": []})
        if not sending:
            await receive()

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.disconnect", **gone}

    async def send(message: dict) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/stream", "raw_path": b"/stream", "headers": [(b"x-request-id", b"7")]}
    asyncio.run(Answers(stream, {"/stream"})(scope, receive, send))
    (line,) = lines(caplog)
    assert re.fullmatch(rf"-:0 WEBSOCKET /stream{end}", line) and " ms 7: " in line
    assert sent[0]["headers"] == [(b"x-request-id", b"7")]


def test_a_websocket_that_is_refused_is_no_error_of_the_application(app: Any) -> None:
    log = logging.getLogger("uvicorn.error")
    for text, shown in (("ASGI callable returned without completing handshake.", False), ("Exception in ASGI", True)):
        record = log.makeRecord(log.name, logging.ERROR, "", 0, text, (), None)
        assert bool(log.filter(record)) is shown


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
    assert {"Server-Timing", "X-Limelight-Notes", "X-Request-ID"} <= set(
        refusal.headers["access-control-expose-headers"].split(", ")
    )
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
