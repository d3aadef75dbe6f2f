"""Checks of every request before the service: size, content type, authorisation.

BentoML by itself reads a body of any length, answers 500 to what it cannot parse, and fetches a URL that is sent in
place of a file. Such requests are refused here, before it sees them.
"""

import asyncio
import hmac
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from limelight.services.assets import ASSETS
from limelight.services.forms import Form, Refusal, media_type

HEALTH = frozenset({"/livez", "/readyz", "/healthz"})
OPEN = HEALTH | {"/"} | ASSETS.keys()
"""Paths answered without the token: health, and the page with its files, which hold no data."""
EMPTY = frozenset({"/describe"})
"""Paths that take no input; BentoML's clients send the JSON object {} then."""
_BEFORE_BODY_READ = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
"""Statuses answered before the whole body was received."""
LINGER_S = 2
"""How long what is left of a body that is too large is taken, and thrown away, before the answer."""
STALL_S = 10
"""Timeout of a stalled upload, which would block other requests and the service's shutdown."""


class Guard:
    """ASGI middleware that passes on only requests the service can handle.

    401 without the token; 400, 408, 413 and 415 as the checks below say. A refusal is JSON: {"error": "one line"}.
    """

    def __init__(self, app: ASGIApp, uploads: Mapping[str, Form], max_body: int, token: str | None = None) -> None:
        """
        Args:
            uploads: path -> the form that is posted to it. Elsewhere only JSON passes.
            max_body: bytes of a whole request.
            token: every request outside of `OPEN` must carry it as `Authorization: Bearer <token>`; None lets all in.
        """
        self._app = app
        self._uploads = uploads
        self._max_body = max_body
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            self._authorise(scope["path"], headers)
            body = await self._read(headers, receive)
            await self._check(scope, headers, body)
        except Refusal as refusal:
            await refuse(refusal, scope, receive, send)
            return
        await self._app(scope, _replay(body, receive), send)

    async def _check(self, scope: Scope, headers: Headers, body: bytes) -> None:
        path = scope["path"]
        if scope["method"] != "POST":
            return
        if path in self._uploads or path in EMPTY:
            check_address(scope)
        if path in self._uploads:
            await self._uploads[path].check(headers, body)
        elif path in EMPTY:
            _check_empty(headers, body)
        elif body and not _is_json(headers):
            raise Refusal(404, "")  # worded as any other: see `Answers`

    def _authorise(self, path: str, headers: Headers) -> None:
        if path not in OPEN:
            check_token(headers, self._token)

    async def _read(self, headers: Headers, receive: Receive) -> bytes:
        body = bytearray()
        async for chunk in body_chunks(headers, receive, self._max_body):
            body += chunk
        return bytes(body)


def check_address(scope: Scope) -> None:
    """Refuse parameters in the address of a form, where nobody would read them.

    Raises:
        Refusal: 400.
    """
    if scope.get("query_string"):
        raise Refusal(400, "parameters are fields of the form here; the address takes none")


def check_token(headers: Headers, token: str | None) -> None:
    """Check that a request carries the token.

    Args:
        token: None lets all in.

    Raises:
        Refusal: 401.
    """
    if token is None:
        return
    scheme, _, given = headers.get("authorization", "").partition(" ")
    # Compared in constant time: the time of an ordinary comparison tells how much of a guess was right.
    if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), token.encode()):
        raise Refusal(401, "a token is needed: send the header Authorization: Bearer <token>")


async def body_chunks(
    headers: Headers, receive: Receive, limit: int, what: str = "picture"
) -> AsyncGenerator[bytes, None]:
    """Yield a request's body, counting bytes as they come: a chunked request does not announce its length.

    Args:
        limit: bytes of the whole body.
        what: is sent, for the message.

    Raises:
        Refusal: 413 above the limit, 408 where no more comes, 400 where the request ends early.
    """
    declared = headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > limit:
        raise Refusal(413, f"the request has {declared} bytes, the limit is {limit}; send a smaller {what}")
    count, more = 0, True
    while more:
        try:
            async with asyncio.timeout(STALL_S):
                message = await receive()
        except TimeoutError as error:
            raise Refusal(408, f"no more data of the request arrived for {STALL_S} s; send it again") from error
        if message["type"] == "http.disconnect":
            raise Refusal(400, "the request ended early; send it again")
        chunk = message.get("body", b"")
        count += len(chunk)
        if count > limit:
            raise Refusal(413, f"the request has more than the limit of {limit} bytes; send a smaller {what}")
        more = message.get("more_body", False)
        yield chunk


async def refuse(refusal: Refusal, scope: Scope, receive: Receive, send: Send, *, close: bool = False) -> None:
    """Answer {"error": "one line"}.

    Args:
        close: the connection, instead of reading the rest of the body.
    """
    if refusal.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE and "expect" not in Headers(scope=scope):
        await _discard(receive)
    headers = dict(refusal.headers)
    if refusal.status == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = "Bearer"
    if close or refusal.status in _BEFORE_BODY_READ:  # else the server would read the rest of the body first
        headers["connection"] = "close"
    await JSONResponse({"error": str(refusal)}, refusal.status, headers)(scope, receive, send)


async def _discard(receive: Receive) -> None:
    """Take what is still being sent, for a while.

    Many clients read nothing before they have sent all. A connection that is closed with data unread is reset, and the
    answer lost on its way.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_S):
            message = await receive()
            while message["type"] == "http.request" and message.get("more_body", False):
                message = await receive()


def _check_empty(headers: Headers, body: bytes) -> None:
    _check_json(headers)
    try:
        parsed = json.loads(body.decode("utf-8") or "{}")
    except (ValueError, RecursionError):
        parsed = None
    if parsed != {}:
        raise Refusal(400, "this path takes no input; send an empty body or the JSON object {}")


def _check_json(headers: Headers) -> None:
    """Refuse anything but JSON: above all pickles, and forms that could hold a URL."""
    if not _is_json(headers):
        raise Refusal(415, f"content type {media_type(headers)!r} is not accepted here; send application/json")


def _is_json(headers: Headers) -> bool:
    return media_type(headers) in ("", "application/json")


def _replay(body: bytes, receive: Receive) -> Receive:
    """Replay the body to the application, then pass on the server's messages, such as a disconnect."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay
