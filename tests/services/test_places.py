"""Places for pictures in work, and who may ask for them."""

import threading

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from limelight.services.forms import Refusal
from limelight.services.places import Places
from limelight.services.site import OwnSite


def test_no_more_are_in_work_than_there_are_places() -> None:
    places, entered, leave = Places(2, patience=0.1), threading.Semaphore(0), threading.Event()

    def work() -> None:
        with places.one():
            entered.release()
            leave.wait(30)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
        assert entered.acquire(timeout=30)
    with pytest.raises(Refusal, match="earlier pictures are still being worked on") as refused, places.one():
        raise AssertionError("a third place")
    assert refused.value.status == 503
    leave.set()
    for thread in threads:
        thread.join(30)
    with places.one(), places.one():
        pass


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("origins", "site", "origin", "status"),
    [
        ((), None, None, 200),  # a program
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
    transport = httpx.ASGITransport(OwnSite(inner, origins))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:3000") as client:
        answer = await client.post("/predict", headers=headers)
        assert answer.status_code == status
        assert status == 200 or "a page of another site may not post here" in answer.json()["error"]
        assert (await client.get("/predict", headers=headers)).status_code == 200, "links to the page work"
