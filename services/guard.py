"""What stands between the network and the service: size limits, kinds of content, and who may ask.

BentoML by itself reads a body of any length, answers 500 to what it cannot parse, and fetches a URL that is sent in the
place of a file. All of that is refused here, before it sees the request.
"""

import hmac
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.datastructures import Headers

from services.forms import Form, Refusal, media_type

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

OPEN = frozenset({"/", "/livez", "/readyz", "/healthz"})
"""Answered without the token: health, and the page, which holds nothing."""


class Guard:
    """ASGI middleware that passes on only requests the service can handle.

    401 without the token; 411 to 415 and 400 as the checks below say. A refusal is JSON: {"error": "one line"}.
    """

    def __init__(self, app: App, uploads: Mapping[str, Form], max_body: int, token: str | None = None) -> None:
        """
        Args:
            uploads: path -> the form that is posted to it. Elsewhere JSON alone is taken.
            max_body: bytes of a whole request.
            token: every request outside of `OPEN` must carry it as `Authorization: Bearer <token>`; None lets all in.
        """
        self._app = app
        self._uploads = uploads
        self._max_body = max_body
        self._token = token

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            self._authorise(scope["path"], headers)
            body = await self._read(headers, receive)
            if scope["path"] in self._uploads and scope["method"] == "POST":
                await self._uploads[scope["path"]].check(headers, body)
            elif body:
                _check_content(headers)
        except Refusal as refusal:
            await _answer(send, refusal)
            return
        await self._app(scope, _replay(body, receive), send)

    def _authorise(self, path: str, headers: Headers) -> None:
        if self._token is None or path in OPEN:
            return
        scheme, _, given = headers.get("authorization", "").partition(" ")
        # Compared in constant time: the time of an ordinary comparison tells how much of a guess was right.
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), self._token.encode()):
            raise Refusal(401, "a token is needed: send the header Authorization: Bearer <token>")

    async def _read(self, headers: Headers, receive: Receive) -> bytes:
        """The whole body, counted as it comes: a chunked request does not say its length beforehand."""
        limit = self._max_body
        declared = headers.get("content-length", "0")
        if declared.isdecimal() and int(declared) > limit:
            raise Refusal(413, f"the request has {declared} bytes, the limit is {limit}; send a smaller picture")
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Refusal(400, "the request ended early; send it again")
            body += message.get("body", b"")
            if len(body) > limit:
                raise Refusal(413, f"the request has more than the limit of {limit} bytes; send a smaller picture")
            more = message.get("more_body", False)
        return bytes(body)


def _check_content(headers: Headers) -> None:
    """Elsewhere than at the uploads JSON alone is taken; above all no pickle, and no form that could hold a URL."""
    kind = media_type(headers)
    if kind not in ("", "application/json"):
        raise Refusal(415, f"content type {kind!r} is not taken here; send application/json")


def _replay(body: bytes, receive: Receive) -> Receive:
    """The body once more for the application; after it, whatever the server has to say, such as a disconnect."""
    pending = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay


async def _answer(send: Send, refusal: Refusal) -> None:
    content = json.dumps({"error": str(refusal)}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    if refusal.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    # What is left of an oversized body is not read; the connection cannot serve another request.
    headers += [(b"connection", b"close")] if refusal.status == 413 else []
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
