"""Answers on their way to clients that take them slowly, or not at all."""

import asyncio
from collections.abc import Iterator

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from limelight.services.guard import STALL_S

PIECE = 256 << 10
"""Bytes of an answer that are handed to the server at a time."""
TRANSFER_S = 600
"""Longest time to send a video, and longest time to receive an answer."""


class InPieces:
    """ASGI middleware that sends answers piece by piece, each once the client has taken nearly all before it.

    The server keeps in memory whatever it is handed and the client does not take, and a request ends when all of its
    answer has been handed over: clients that read nothing could ask for more and more. Here the request lasts as long
    as its answer is in memory, and where nothing is taken for `STALL_S` the rest is dropped, and the connection closed.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, _Pieces(send).send if scope["type"] == "http" else send)


class _Pieces:
    """One answer. After a stall it takes what is still sent, and drops it: the application ends as usual."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._end: float | None = None
        self._stalled = False

    async def send(self, message: Message) -> None:
        clock = asyncio.get_running_loop().time
        self._end = self._end or clock() + TRANSFER_S
        for piece in _pieces(message):
            if self._stalled:
                return
            try:
                async with asyncio.timeout(min(STALL_S, self._end - clock())):
                    await self._send(piece)
            except TimeoutError:
                self._stalled = True


def without_stalls(send: Send) -> Send:
    """Raise TimeoutError where a client takes nothing for a while."""

    async def sending(message: Message) -> None:
        async with asyncio.timeout(STALL_S):
            await send(message)

    return sending


def _pieces(message: Message) -> Iterator[Message]:
    kind, body = message["type"], message.get("body", b"")
    if kind != "http.response.body" or len(body) <= PIECE:
        yield message
        return
    for start in range(0, len(body), PIECE):
        yield {"type": kind, "body": body[start : start + PIECE], "more_body": True}
    if not message.get("more_body", False):
        yield {"type": kind, "body": b""}  # by itself: the request ends once the client has taken what is before it
