"""Figures for Prometheus of the paths beside BentoML's own, which its figures leave out."""

from functools import cache
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_UPGRADED = 101


class RequestMetrics:
    """ASGI middleware that counts requests by their answers' status (101 = a WebSocket), and those in progress."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        requests, in_progress = _figures()

        async def sending(message: Message) -> None:
            status = _UPGRADED if message["type"] == "websocket.accept" else message.get("status")
            if status is not None:
                requests.labels(scope["path"], status).inc()
            await send(message)

        with in_progress.labels(scope["path"]).track_inprogress():
            await self._app(scope, receive, sending)


@cache
def _figures() -> tuple[Any, Any]:
    """Build the counter of requests by path and status, and the gauge of those in progress by path.

    Late: when it is imported, prometheus_client looks for the folder that it shares with other processes.
    """
    from prometheus_client import Counter, Gauge

    path, status = "endpoint", "http_response_code"  # as BentoML calls them
    requests = Counter("limelight_request", "Requests of paths beside BentoML's own", (path, status))
    return requests, Gauge("limelight_request_in_progress", "Those in progress", (path,), multiprocess_mode="livesum")
