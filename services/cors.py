"""Which pages of other origins may use the service from a browser (cross-origin resource sharing)."""

import ipaddress
import re
from http import HTTPStatus
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ANY_ORIGIN = "*"
METHODS = ("GET", "HEAD", "POST")
EXPOSED = (
    "Server-Timing", "X-Limelight-Classes", "X-Limelight-Frames", "X-Limelight-Notes", "X-Request-ID", "Retry-After",
)  # fmt: skip
"""Headers of answers that a page's script may read."""
_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://([a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?")
_USUAL_PORTS = {"http": 80, "https": 443}


def split_origins(value: Any) -> Any:
    """Split comma-separated origins into a list; anything but text is returned unchanged.

    Raises:
        ValueError: * is combined with other origins.
    """
    origins = [each.strip() for each in value.split(",")] if isinstance(value, str) else value
    if isinstance(origins, list) and ANY_ORIGIN in origins and len(origins) > 1:
        raise ValueError("* admits every origin; give it alone, or list origins without it")
    return origins


def as_origin(text: str) -> str:
    """Normalise an origin to what browsers send: lower case, without its scheme's default port; or *.

    Raises:
        ValueError: the text is not an origin.
    """
    if text == ANY_ORIGIN:
        return text
    match = _ORIGIN.fullmatch(text.lower())
    if match is None:
        raise ValueError(
            "an origin is scheme://host or scheme://host:port, such as https://example.org, without a path"
        )
    scheme, host, port = match.groups()
    if host.startswith("["):
        host = f"[{ipaddress.IPv6Address(host[1:-1])}]"
    if port is not None and not 1 <= int(port) <= 65535:
        raise ValueError("the port of an origin is 1 to 65535")
    return f"{scheme}://{host}" + (f":{int(port)}" if port and int(port) != _USUAL_PORTS.get(scheme) else "")


def is_listed(origin: str, origins: tuple[str, ...]) -> bool:
    """Whether an origin, as a request names it, is among these.

    Args:
        origins: as `as_origin` returns them.
    """
    try:
        return ANY_ORIGIN in origins or as_origin(origin) in origins
    except ValueError:  # such as null
        return False


def is_own_or_listed(headers: Headers, origins: tuple[str, ...]) -> bool:
    """Whether a request comes from a page of the service itself, from one of these origins, or from no page at all."""
    origin = headers.get("origin")
    own = {f"{scheme}://{headers.get('host', '')}" for scheme in ("http", "https")}
    return origin is None or origin in own or is_listed(origin, origins)


class Cors(CORSMiddleware):
    """Starlette's CORS middleware, except that an origin that is not allowed gets no CORS header at all."""

    def __init__(self, app: ASGIApp, origins: tuple[str, ...]) -> None:
        """
        Args:
            origins: as `as_origin` returns them.
        """
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=METHODS,
            allow_headers=("Authorization", "X-Request-ID"),
            expose_headers=EXPOSED,
            allow_private_network=True,  # else no page of the internet could use a service on its reader's machine
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a preflight request, or add the headers to what the application answers."""
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers()
        origin = headers.get("origin")
        if origin is None or self.is_allowed_origin(origin):
            await super().__call__(scope, receive, send)
        elif scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            reason = f"the origin {origin[:200]!r} is not among those of LIMELIGHT_CORS_ORIGINS"
            refusal = JSONResponse({"error": reason}, HTTPStatus.BAD_REQUEST, {"Vary": "Origin"})
            await refusal(scope, receive, send)
        else:
            await self.app(scope, receive, _varying(send))


def _varying(send: Send) -> Send:
    """Tell caches that another origin's answer has other headers."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).add_vary_header("Origin")
        await send(message)

    return sending
