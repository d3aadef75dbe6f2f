"""Slots for pictures in work, and who may ask for them."""

import concurrent.futures
import socket
import threading
import time
from typing import Any

import anyio.to_thread
import httpx
import pytest
from bentoml._internal.server.http.traffic import TimeoutMiddleware
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from limelight.services.concurrency import Slots
from limelight.services.csrf import CsrfProtection
from limelight.services.forms import Refusal
from limelight.services.guard import Guard
from tests.services.running import running


def test_no_more_are_in_work_than_there_are_slots() -> None:
    slots, entered, leave = Slots(2, patience=0.1), threading.Semaphore(0), threading.Event()

    def work() -> None:
        with slots.hold():
            entered.release()
            leave.wait(30)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
        assert entered.acquire(timeout=30)
    with pytest.raises(Refusal, match="earlier pictures are still being worked on") as refused, slots.hold():
        raise AssertionError("a third slot")
    assert refused.value.status == 503
    leave.set()
    for thread in threads:
        thread.join(30)
    with slots.hold(), slots.hold():
        pass


class Work:
    """An application that computes in threads, as BentoML does, one picture at a time, and not before it may go on."""

    def __init__(self) -> None:
        self.computed: list[str] = []
        self.arrived, self.left, self.go = threading.Semaphore(0), threading.Semaphore(0), threading.Event()
        self._slots = Slots(1, patience=30)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        status = await anyio.to_thread.run_sync(self._compute, scope["path"])
        await PlainTextResponse("", status)(scope, receive, send)

    def _compute(self, path: str) -> int:
        self.arrived.release()
        try:
            with self._slots.hold():
                self.computed.append(path)
                assert self.go.wait(30)
            return 200
        except Refusal as refusal:
            return refusal.status
        finally:
            self.left.release()


def test_nothing_is_computed_for_a_client_that_has_gone() -> None:
    work = Work()
    with running(Guard(work, {}, 1000)) as host, concurrent.futures.ThreadPoolExecutor(2) as pool:
        ask = httpx.Client(base_url=f"http://{host}", timeout=30, trust_env=False)
        first = pool.submit(ask.get, "/first")
        assert work.arrived.acquire(timeout=30)
        name, _, port = host.rpartition(":")
        with socket.create_connection((name, int(port))) as gone:
            gone.sendall(b"GET /gone HTTP/1.1\r\nHost: a\r\n\r\n")
            assert work.arrived.acquire(timeout=30)
        last = pool.submit(ask.get, "/last")
        assert work.arrived.acquire(timeout=30)
        time.sleep(0.3)  # until the server has noticed
        work.go.set()
        assert [each.result().status_code for each in (first, last)] == [200, 200]
    assert work.computed == ["/first", "/last"]


def test_nothing_is_computed_for_a_request_that_has_taken_too_long() -> None:
    work = Work()
    with running(TimeoutMiddleware(Guard(work, {}, 1000), timeout=0.3)) as host:
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            ask = httpx.Client(base_url=f"http://{host}", timeout=30, trust_env=False)
            first = pool.submit(ask.get, "/first")
            assert work.arrived.acquire(timeout=30)
            second = pool.submit(ask.get, "/second")
            assert [each.result().status_code for each in (first, second)] == [504, 504]
        work.go.set()
        assert work.left.acquire(timeout=30) and work.left.acquire(timeout=30)
    assert work.computed == ["/first"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("origins", "site", "origin", "status"),
    [
        ((), None, None, 200),  # a program
        ((), None, "http://localhost:3000", 200),  # the service's own page, in a browser that says less
        ((), None, "http://localhost:4000", 403),
        ((), None, "https://other.example", 403),
        ((), None, "null", 403),
        (("https://other.example",), None, "https://other.example", 200),
        (("https://other.example",), None, "https://third.example", 403),
        (("*",), None, "https://third.example", 200),
        ((), "same-origin", "http://localhost:3000", 200),  # the service's own page
        ((), "none", None, 200),
        ((), "cross-site", "https://other.example", 403),
        ((), "same-site", "http://localhost:4000", 403),
        ((), "cross-site", "null", 403),
        (("https://other.example",), "cross-site", "https://other.example", 200),
        (("https://other.example",), "cross-site", "https://third.example", 403),
        (("*",), "cross-site", "https://third.example", 200),
    ],
)
async def test_pages_of_other_sites_may_not_post(
    origins: tuple[str, ...], site: str | None, origin: str | None, status: int
) -> None:
    inner = Starlette(routes=[Route("/predict", lambda _: PlainTextResponse("done"), methods=["GET", "POST"])])
    headers = {name: value for name, value in (("sec-fetch-site", site), ("origin", origin)) if value}
    transport = httpx.ASGITransport(CsrfProtection(inner, origins))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:3000") as client:
        answer = await client.post("/predict", headers=headers)
        assert answer.status_code == status
        assert status == 200 or "a page of another site may not post here" in answer.json()["error"]
        assert (await client.get("/predict", headers=headers)).status_code == 200, "links to the page work"
