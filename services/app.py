"""The order in which a request meets what stands around a service.

From the outside: `Answers` (JSON errors, the log), `Cors` where origins are allowed, BentoML's own (figures, time
limit, requests at once), `Failures`, `Guard`. CORS stands outside of the guard since a browser sends no token with its
preflight request, and reads a refusal only if that carries the CORS headers; BentoML's `http.cors` would stand inside.
"""

import logging
import warnings
from collections.abc import Mapping
from typing import Any

from bentoml import Service
from starlette.types import ASGIApp

from limelight.services.answers import Answers, Failures
from limelight.services.cors import Cors
from limelight.services.forms import Form
from limelight.services.guard import Guard
from limelight.services.uploads import SETTINGS

CONFIG: dict[str, Any] = {
    "workers": 1,
    # One picture at a time keeps memory bounded; the others wait their turn, and what would wait too long is told so.
    "traffic": {"timeout": 60, "max_concurrency": 16},
    "logging": {"access": {"enabled": False}},  # `Answers` logs requests
}
"""Of every service, as BentoML is told."""


class GuardedService(Service):
    """A BentoML service whose every request and answer pass through this project's middleware."""

    def to_asgi(self, is_main: bool = True) -> ASGIApp:
        """What the server runs."""
        # One line for each request: BentoML has uvicorn's written twice, and the parser of forms adds its own.
        logging.getLogger("uvicorn.error").propagate = False
        logging.getLogger("python_multipart").setLevel(logging.ERROR)
        warnings.filterwarnings("ignore", module=r"PIL\.")
        app: ASGIApp = super().to_asgi(is_main)
        if SETTINGS.cors_origins:
            app = Cors(app, SETTINGS.cors_origins)
        return Answers(app)


def guard(service: Any, uploads: Mapping[str, Form]) -> None:
    """Let in only these forms, by path, and elsewhere JSON.

    Args:
        service: the class, as BentoML knows it: a `GuardedService`.
    """
    service.add_asgi_middleware(Failures)
    service.add_asgi_middleware(Guard, uploads=uploads, max_body=SETTINGS.max_body, token=SETTINGS.token)
