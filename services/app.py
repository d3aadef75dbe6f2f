"""The middleware around a service, and its order.

Outermost first: `Answers` (JSON errors, ids, the log), `Cors` where origins are allowed, what stands beside BentoML
(videos and streams, with checks of their own; the page; /describe) and the refusal of paths where nothing is, BentoML's
own (metrics, timeout, concurrency limit), `Failures`, `InPieces`, `Guard`. CORS is outside of the guard since a browser
sends no token with its preflight request, and reads a refusal only if that carries the CORS headers; BentoML's
`http.cors` would be inside. `InPieces` is inside of the concurrency limit, so that answers in memory are no more than
requests in progress.
"""

import logging
import warnings
from collections.abc import Awaitable, Callable, Mapping, Set
from contextlib import suppress
from functools import cache, partial
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

import bentoml
from bentoml import Service
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from limelight.services.answers import Answers, Failures
from limelight.services.assets import ASSETS
from limelight.services.cors import Cors
from limelight.services.csrf import CsrfProtection
from limelight.services.forms import Form, Refusal
from limelight.services.guard import HEALTH, Guard, Incoming, refuse
from limelight.services.metrics import RequestMetrics
from limelight.services.schema import document
from limelight.services.sending import InPieces
from limelight.services.uploads import SETTINGS

TIMEOUT_S = 60
"""After which a request is answered with 504."""
CONFIG: dict[str, Any] = {
    "workers": 1,
    # Few pictures at a time keep memory bounded; the others queue, and one that would wait too long is refused.
    "traffic": {"timeout": TIMEOUT_S, "max_concurrency": 16},
    "logging": {"access": {"enabled": False}},  # `Answers` logs requests
}
"""BentoML's configuration of every service."""
_BENTOML = HEALTH | {"/metrics", "/schema.json"}
"""Paths of every BentoML service that are served; its own page and the files of that are not."""
_FALSE = "ASGI callable returned without completing handshake."
"""What uvicorn logs of a WebSocket that was refused with an answer."""


class GuardedService(Service):
    """A BentoML service whose every request and answer pass through this project's middleware.

    Attributes:
        beside: path -> application that stands beside BentoML's own, without its time limit and its queue.
        sockets: of these paths, those that take WebSockets.
    """

    beside: Mapping[str, ASGIApp] = MappingProxyType({})
    sockets: Set[str] = frozenset()

    def to_asgi(self, is_main: bool = True) -> ASGIApp:
        """Build the application that the server runs."""
        # One log line per request: with BentoML uvicorn's are written twice, and the form parser adds its own.
        logging.getLogger("uvicorn.error").propagate = False
        logging.getLogger("uvicorn.error").addFilter(_is_true)
        logging.getLogger("python_multipart").setLevel(logging.ERROR)
        warnings.filterwarnings("ignore", module=r"PIL\.")
        own = {*_BENTOML, *(each.route for each in self.apis.values())}
        app: ASGIApp = _Beside(super().to_asgi(is_main), own, self.beside)
        app = CsrfProtection(app, SETTINGS.cors_origins)
        if SETTINGS.cors_origins:
            app = Cors(app, SETTINGS.cors_origins)
        return Answers(app, self.sockets)


class _Beside:
    """Passes requests of some paths to other applications, and refuses those of paths where nothing is.

    BentoML's middleware would keep figures of every path that it is ever asked for, and write them all to /metrics.
    """

    def __init__(self, app: ASGIApp, own: Set[str], beside: Mapping[str, ASGIApp]) -> None:
        """
        Args:
            own: paths that the application answers itself.
        """
        self._app = app
        self._apps = dict.fromkeys(own, app) | {path: RequestMetrics(Failures(other)) for path, other in beside.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in self._apps:
            await refuse(Refusal(HTTPStatus.NOT_FOUND, ""), scope, Incoming(receive), send)  # worded by `Answers`
            return
        await self._apps.get(scope.get("path", ""), self._app)(scope, receive, send)


def _is_true(record: logging.LogRecord) -> bool:
    return record.msg != _FALSE


def current_service() -> Any:
    """The running service; None before it has started."""
    with suppress(bentoml.exceptions.BentoMLException):
        return bentoml.get_current_service()
    return None


async def _describe(_: Request) -> Response:
    if (service := current_service()) is None:
        return JSONResponse({"error": "the service is not ready; send it again"}, HTTPStatus.SERVICE_UNAVAILABLE)
    return JSONResponse(service.describe.local())


def _guarded(path: str, method: str, answer: Callable[[Request], Awaitable[Response] | Response]) -> dict[str, ASGIApp]:
    app = Route(path, answer, methods=[method]).handle
    return {path: Guard(app, uploads={}, max_body=SETTINGS.max_body, token=SETTINGS.token)}


def add_middleware(
    service: Any,
    uploads: Mapping[str, Form],
    *,
    page: ASGIApp,
    beside: Mapping[str, ASGIApp] = MappingProxyType({}),
    sockets: Set[str] = frozenset(),
    schemas: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Add middleware that passes only these forms, by path, and elsewhere only JSON.

    The page, /describe and /docs.json are answered at once, however many pictures wait.

    Args:
        service: the class, as BentoML knows it: a `GuardedService`.
        page: answers at / and below /static.
        beside, sockets: see there; these applications check their requests themselves.
        schemas: of their paths, for /docs.json.
    """
    built = cache(partial(document, service, uploads, schemas))

    def docs(_: Request) -> Response:  # in a thread: it takes a while the first time
        return JSONResponse(built())

    service.sockets = sockets
    own = _guarded("/describe", "POST", _describe) | _guarded("/docs.json", "GET", docs)
    service.beside = {**dict.fromkeys(("/", *ASSETS), page), **own, **beside}
    service.add_asgi_middleware(Failures)
    service.add_asgi_middleware(InPieces)
    service.add_asgi_middleware(Guard, uploads=uploads, max_body=SETTINGS.max_body, token=SETTINGS.token)
