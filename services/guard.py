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
from limelight.services.concurrency import awaited
from limelight.services.forms import Form, Refusal, media_type

HEALTH = frozenset({"/livez", "/readyz", "/healthz"})
OPEN = HEALTH | {"/"} | ASSETS.keys()
"""Paths answered without the token: health, and the page with its files, which hold no data."""
EMPTY = frozenset({"/describe"})
"""Paths that take no input; BentoML's clients send the JSON object {} then."""
MAX_OTHER_BODY = 16 << 10
"""Most bytes of a body where nothing is uploaded; health is asked for without the token."""
_BEFORE_BODY_READ = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
"""Statuses answered before the whole body was received."""
LINGER_S = 2
"""How long what is left of a refused body is taken, and thrown away, before the answer."""
STALL_S = 10
"""Timeout of a stalled upload, which would block other requests and the service's shutdown."""


class Incoming:
    """A request's messages, and how much of its body has been received."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.begun = self.ended = False

    async def __call__(self) -> Message:
        self.begun = True
        message = await self._receive()
        self.ended = not message.get("more_body", False)  # at its end, or where the client has gone
        return message


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
        headers, incoming = Headers(scope=scope), Incoming(receive)
        try:
            self._authorise(scope["path"], headers)
            body = await self._checked(scope, headers, incoming)
        except Refusal as refusal:
            await refuse(refusal, scope, incoming, send)
            return
        async with awaited(incoming) as gone:
            await self._app(scope, _replay(body, gone), send)

    async def _checked(self, scope: Scope, headers: Headers, receive: Incoming) -> bytes:
        """Return the body of a request that may pass."""
        path, posted = scope["path"], scope["method"] == "POST"
        if posted and path in self._uploads:
            check_address(scope)
            body = await _read(headers, receive, self._max_body)
            await self._uploads[path].check(headers, body)
            return body
        if posted and path in EMPTY:
            check_address(scope)
            _check_json(headers)
        elif posted and _has_body(headers) and not _is_json(headers):
            raise Refusal(404, "")  # worded as any other: see `Answers`
        body = await _read(headers, receive, min(self._max_body, MAX_OTHER_BODY), "body")
        if posted and path in EMPTY:
            _check_empty(body)
        return body

    def _authorise(self, path: str, headers: Headers) -> None:
        if path not in OPEN:
            check_token(headers, self._token)


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
        reason = "a token is needed: send the header Authorization: Bearer <token>"
        raise Refusal(401, reason, **{"www-authenticate": "Bearer"})


async def body_chunks(
    headers: Headers, receive: Incoming, limit: int, what: str = "picture"
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
            receive.ended = True  # nobody waits for the rest any more
            raise Refusal(408, f"no more data of the request arrived for {STALL_S} s; send it again") from error
        if message["type"] == "http.disconnect":
            raise Refusal(400, "the request ended early; send it again")
        chunk = message.get("body", b"")
        count += len(chunk)
        if count > limit:
            raise Refusal(413, f"the request has more than the limit of {limit} bytes; send a smaller {what}")
        more = message.get("more_body", False)
        yield chunk


async def _read(headers: Headers, receive: Incoming, limit: int, what: str = "picture") -> bytes:
    body = bytearray()
    async for chunk in body_chunks(headers, receive, limit, what):
        body += chunk
    return bytes(body)


async def refuse(refusal: Refusal, scope: Scope, receive: Incoming, send: Send, *, close: bool = False) -> None:
    """Answer {"error": "one line"}.

    Args:
        close: the connection, instead of reading the rest of the body.
    """
    given = Headers(scope=scope)
    close = close or refusal.status in _BEFORE_BODY_READ
    headers = dict(refusal.headers)
    if close:  # else the server would read the rest of the body first
        headers["connection"] = "close"
    asks_first = "expect" in given and not receive.begun  # it sends nothing before it is told to
    if (close or "close" in given.get("connection", "").lower()) and not asks_first:
        await _discard(receive)
    await JSONResponse({"error": str(refusal)}, refusal.status, headers)(scope, receive, send)


async def _discard(receive: Incoming) -> None:
    """Take what is still being sent, for a while.

    Many clients read nothing before they have sent all. A connection that is closed with data unread is reset, and the
    answer lost on its way.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_S):
            while not receive.ended:
                await receive()


def _check_empty(body: bytes) -> None:
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


def _has_body(headers: Headers) -> bool:
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


def _is_json(headers: Headers) -> bool:
    return media_type(headers) in ("", "application/json")


def _replay(body: bytes, receive: Receive) -> Receive:
    """Replay the body to the application, then pass on further messages, such as a disconnect."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay
