"""Answers to clients that read slowly, or not at all."""

import asyncio
import threading
from typing import Any

import httpx
import pytest
from starlette.responses import Response

from limelight.services import sending
from limelight.services.sending import PIECE, InPieces
from tests.services.running import deaf, running

CONTENT = bytes(range(256)) * (80 << 10)  # 20 MB


class Watched:
    """An application in pieces, how many bytes of it the server has taken, and whether it has ended."""

    def __init__(self) -> None:
        self.handed, self.ended = 0, threading.Event()
        self._app = InPieces(Response(CONTENT, media_type="image/png"))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def counting(message: Any) -> None:
            await send(message)
            self.handed += len(message.get("body", b""))

        try:
            await self._app(scope, receive, counting)
        finally:
            self.ended.set()


def test_what_a_client_does_not_take_is_not_kept_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "STALL_S", 0.3)
    app = Watched()
    with running(app) as host, deaf(host) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert app.ended.wait(30)
        assert app.handed <= 3 * PIECE


def test_a_request_lasts_as_long_as_its_answer_is_in_memory() -> None:
    app = Watched()
    with running(app) as host, deaf(host) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert not app.ended.wait(0.5)
        taken = 0
        while part := connection.recv(1 << 20):
            taken += len(part)
        assert taken > len(CONTENT) and app.ended.wait(30)


def test_clients_that_read_get_the_same_answer() -> None:
    with running(Watched()) as host, httpx.Client(base_url=f"http://{host}", timeout=30, trust_env=False) as client:
        for _ in range(2):  # the connection is used again
            answer = client.get("/")
            assert answer.content == CONTENT
            assert answer.headers["content-length"] == str(len(CONTENT))
        assert client.head("/").headers["content-length"] == str(len(CONTENT))


def messages_of(app: Any, pause: float) -> list[Any]:
    """What an application sends to a client that takes a while for each message."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        await asyncio.sleep(pause)
        sent.append(message)

    asyncio.run(app({"type": "http", "method": "GET", "path": "/", "headers": []}, None, send))
    return sent


def test_slow_clients_have_time_for_each_piece_and_some_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "PIECE", 10)
    app = InPieces(Response(b"x" * 95))
    monkeypatch.setattr(sending, "STALL_S", 0.3)
    whole = messages_of(app, 0.05)
    assert [len(message["body"]) for message in whole[1:]] == [10] * 9 + [5, 0]
    assert [message.get("more_body", False) for message in whole[1:]] == [True] * 10 + [False]
    monkeypatch.setattr(sending, "TRANSFER_S", 0.2)
    cut = messages_of(app, 0.05)
    assert len(cut) < 6 and cut[-1]["more_body"]
