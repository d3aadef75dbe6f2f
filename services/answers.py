"""Middleware around the whole service: errors become JSON, and each request is logged in one line.

BentoML, Starlette and this service's checks each have their own error format, and BentoML's log keeps line breaks from
a request's path.
"""

import asyncio
import json
import logging
import re
import time
import uuid
from collections.abc import Set
from contextlib import suppress
from contextvars import Context
from http import HTTPStatus
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from limelight.services.assets import ASSETS
from limelight.services.guard import HEALTH

LOG = logging.getLogger("bentoml.access")
QUIET = HEALTH | {"/metrics"} | ASSETS.keys()
"""Paths polled every few seconds by monitoring, and files of the page; logged only if they fail."""
NOT_TAKEN = "the client did not take all of the answer"
FAILED = "the service failed; its log says why"
MAX_LOGGED_CHARS = 200
"""Most characters of a path or a method that are logged; a client may send 64 KiB."""
MAX_REASON_CHARS = 500
BENTOML_BUSY = "Too many requests"
"""BentoML's own line of a 429, which does not say when to come again."""
RETRY_S = 1
REQUEST_ID = "x-request-id"
"""Header of requests and answers, whose value is in the log too."""
_SANE_ID = re.compile(r"[A-Za-z0-9._~:/+=@-]{1,100}")
ENDED_BY_CLIENT, STOPPED, LOST = "the client ended the stream", "the service is being stopped", 1006
RESTART = 1012
"""Code with which the server closes WebSockets when it stops."""


class Answers:
    """ASGI middleware that turns every error into {"error": "one line"}, and logs each request in one line.

    The line has the client, method, path, status, milliseconds, the request's id and, for a refused request, the
    reason. Neither the query nor another header is logged: a token may be in them.
    """

    def __init__(self, app: ASGIApp, sockets: Set[str] = frozenset()) -> None:
        """
        Args:
            sockets: paths that take WebSockets.
        """
        self._app, self._sockets = app, sockets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            answer = _Answer(scope, send)
            await self._app(scope, receive, answer.send)
            answer.end()
        elif scope["type"] == "websocket":
            connection = _Connection(scope, receive, send)
            if scope["path"] not in self._sockets:
                await connection.reject()
                return
            await self._app(scope, connection.receive, connection.send)
            await connection.end()
        else:
            await self._app(scope, receive, send)


class Failures:
    """ASGI middleware that logs an unexpected exception and answers 500.

    BentoML does so only within its own endpoints. Elsewhere its timeout would not notice that the request has ended.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception:
            if begun or scope["type"] != "http":
                raise
            LOG.exception("%s", _request(scope))
            await JSONResponse({"error": FAILED}, HTTPStatus.INTERNAL_SERVER_ERROR)(scope, receive, send)


class _Logged:
    """What is logged once, in one line, and has an id: its client's own, if that is fit to be logged."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope, self._send = scope, send
        self._started = time.perf_counter()
        self._status = 0
        self._logged = False
        given = Headers(scope=scope).get(REQUEST_ID, "")
        self._id = given if _SANE_ID.fullmatch(given) else uuid.uuid4().hex

    def _log(self, level: int, status: int, reason: str = "") -> None:
        self._logged = True
        spent_ms = (time.perf_counter() - self._started) * 1000
        text = f": {printable(reason)}" if reason else ""
        # In an empty context: BentoML's log adds the context's trace, which may be of an earlier request.
        Context().run(LOG.log, level, "%s %d %.1f ms %s%s", _request(self._scope), status, spent_ms, self._id, text)


class _Answer(_Logged):
    """One response on its way to the client; an error's is held back until it is complete."""

    def __init__(self, scope: Scope, send: Send) -> None:
        super().__init__(scope, send)
        self._held: Message | None = None
        self._content = b""
        self._reason = ""

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            self._status = message["status"]
            MutableHeaders(scope=message)[REQUEST_ID] = self._id
            if self._status >= HTTPStatus.BAD_REQUEST:
                self._held = message
                return
        elif kind == "http.response.body" and self._held is not None:
            self._content += message.get("body", b"")
            if message.get("more_body", False):
                return
            self._reason = _reason(self._status, self._content, self._scope)
            message = {"type": kind, "body": json.dumps({"error": self._reason}).encode()}
            _set_headers(self._held, len(message["body"]))
            await self._send(self._held)
        if kind == "http.response.body" and not message.get("more_body", False):
            self._log_answer()
        await self._send(message)

    def end(self) -> None:
        """Log an answer of which only the beginning was sent."""
        if self._status and not self._logged:
            self._reason = NOT_TAKEN
            self._log_answer()

    def _log_answer(self) -> None:
        self._logged = True
        if not self._reason and self._status < HTTPStatus.BAD_REQUEST and self._scope["path"] in QUIET:
            return
        level = logging.ERROR if self._status >= 500 else logging.WARNING if self._reason else logging.INFO
        self._log(level, self._status, self._reason)


class _Connection(_Logged):
    """A WebSocket, whose refusal or end is logged in one line."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(scope, send)
        self._receive = receive
        self._gone: Message | None = None

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            self._gone = message
        return message

    async def reject(self) -> None:
        """Close it before it is accepted, which the server answers with 403."""
        await self._send({"type": "websocket.close"})
        self._log(logging.WARNING, HTTPStatus.FORBIDDEN, "there are no WebSockets here")

    async def end(self) -> None:
        """Log an end that was not this side's: the client's, or that of a server that stops."""
        if self._logged:
            return
        with suppress(TimeoutError):  # who fails to send has not been told why
            async with asyncio.timeout(1):
                while self._gone is None:
                    await self.receive()
        code = (self._gone or {}).get("code", LOST)
        reason = STOPPED if code == RESTART else (self._gone or {}).get("reason") or ENDED_BY_CLIENT
        self._log(logging.INFO, code, reason)

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind in ("websocket.accept", "websocket.http.response.start"):
            MutableHeaders(scope=message)[REQUEST_ID] = self._id
        if kind == "websocket.http.response.start":
            self._status = message["status"]
            _set_retry(message)
        elif kind == "websocket.http.response.body":
            self._log(logging.WARNING, self._status, _error_text(message.get("body", b"")))
        elif kind == "websocket.close":
            code = message.get("code", 1000)
            self._log(logging.INFO if code == 1000 else logging.WARNING, code, message.get("reason") or "")
        await self._send(message)


def printable(text: str, longest: int = MAX_REASON_CHARS) -> str:
    """Make text fit for one log line: escape control characters, line breaks and the like; cut it when long."""
    shown = text if len(text) <= longest else f"{text[:longest]}..."
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in shown
    )


def _request(scope: Scope) -> str:
    """Describe a request for the log: client, method, and the path as it was sent, percent-encoded."""
    host, port = scope.get("client") or ("-", 0)
    path = scope.get("raw_path", scope["path"].encode()).decode("latin-1")
    parts = (f"[{host}]:{port}" if ":" in host else f"{host}:{port}", scope.get("method", "WEBSOCKET"), path)
    return " ".join(printable(part, MAX_LOGGED_CHARS) for part in parts)


def _reason(status: int, content: bytes, scope: Scope) -> str:
    """Extract an error response's reason, as one line."""
    given = _error_text(content)
    if status == HTTPStatus.TOO_MANY_REQUESTS and given in ("", BENTOML_BUSY):
        return f"too many requests are waiting; send it again in {RETRY_S} s"
    if given:
        return " ".join(given.split())[:MAX_REASON_CHARS]
    if status == HTTPStatus.NOT_FOUND:
        return f"there is nothing at {scope['path'][:MAX_LOGGED_CHARS]!r}; GET /docs.json lists the paths"
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        return f"{printable(scope['method'], MAX_LOGGED_CHARS)} is not allowed here; the header Allow says what is"
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return FAILED
    text = content.decode("utf-8", "replace").strip()
    return " ".join(text.split())[:MAX_REASON_CHARS] or HTTPStatus(status).phrase


def _error_text(content: bytes) -> str:
    """Extract the text of {"error": text}; empty if there is none."""
    try:
        parsed: Any = json.loads(content)
    except ValueError:
        return ""
    error = parsed.get("error") if isinstance(parsed, dict) else None
    return error if isinstance(error, str) else ""


def _set_headers(start: Message, length: int) -> None:
    headers = MutableHeaders(scope=start)
    headers["content-type"] = "application/json"
    headers["content-length"] = str(length)
    _set_retry(start)
    if start["status"] == HTTPStatus.METHOD_NOT_ALLOWED:  # for static files, where Starlette sets none
        headers.setdefault("allow", "GET, HEAD")


def _set_retry(start: Message) -> None:
    if start["status"] in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        MutableHeaders(scope=start).setdefault("retry-after", str(RETRY_S))
