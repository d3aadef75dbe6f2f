"""The middleware around a service, and its order.

Outermost first: `Answers` (JSON errors, the log), `Cors` where origins are allowed, what stands beside BentoML (videos
and streams, with checks of their own), BentoML's own (metrics, timeout, concurrency limit), `Failures`, `InPieces`,
`Guard`. CORS is outside of the guard since a browser sends no token with its preflight request, and reads a refusal
only if that carries the CORS headers; BentoML's `http.cors` would be inside. `InPieces` is inside of the concurrency
limit, so that answers in memory are no more than requests in progress.
"""

import logging
import warnings
from collections.abc import Mapping, Set
from types import MappingProxyType
from typing import Any

from bentoml import Service
from starlette.types import ASGIApp, Receive, Scope, Send

from limelight.services.answers import Answers, Failures
from limelight.services.assets import ASSETS
from limelight.services.cors import Cors
from limelight.services.forms import Form
from limelight.services.guard import Guard
from limelight.services.sending import InPieces
from limelight.services.site import OwnSite
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
        logging.getLogger("python_multipart").setLevel(logging.ERROR)
        warnings.filterwarnings("ignore", module=r"PIL\.")
        app: ASGIApp = _Beside(super().to_asgi(is_main), self.beside)
        app = OwnSite(app, SETTINGS.cors_origins)
        if SETTINGS.cors_origins:
            app = Cors(app, SETTINGS.cors_origins)
        return Answers(app, self.sockets)


class _Beside:
    """Passes requests of some paths to other applications."""

    def __init__(self, app: ASGIApp, beside: Mapping[str, ASGIApp]) -> None:
        self._app, self._beside = app, {path: Failures(other) for path, other in beside.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._beside.get(scope.get("path", ""), self._app)(scope, receive, send)


def guard(
    service: Any,
    uploads: Mapping[str, Form],
    *,
    page: ASGIApp,
    beside: Mapping[str, ASGIApp] = MappingProxyType({}),
    sockets: Set[str] = frozenset(),
) -> None:
    """Add middleware that passes only these forms, by path, and elsewhere only JSON.

    Args:
        service: the class, as BentoML knows it: a `GuardedService`.
        page: answers at / and below /static, however many pictures wait.
        beside, sockets: see there; these applications check their requests themselves.
    """
    service.beside, service.sockets = {**dict.fromkeys(("/", *ASSETS), page), **beside}, sockets
    service.add_asgi_middleware(Failures)
    service.add_asgi_middleware(InPieces)
    service.add_asgi_middleware(Guard, uploads=uploads, max_body=SETTINGS.max_body, token=SETTINGS.token)
