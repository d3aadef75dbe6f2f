"""The page at / to try a service, and the files that it loads."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from limelight.models.weights import read_card
from limelight.services.assets import ASSETS, TYPES

PAGE = Path(__file__).with_name("page.html")
HEADERS = {
    # Nothing comes from, or goes to, another origin; no script or style stands in the page itself. Results are blobs.
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob: data:; media-src blob:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",  # else a page of an earlier version could meet scripts of a later one
}


def page(weights: Callable[[], Path]) -> Starlette:
    """Build the page, which shows only the fields that the served model accepts.

    Args:
        weights: returns the weights folder, once the service is set up.
    """

    async def answer(request: Request) -> Response:
        known = read_card(weights()).architecture
        takes = " ".join([*known.modalities, *(["open-vocabulary"] if known.takes_prompts else [])])
        text = PAGE.read_text(encoding="utf-8").replace('data-takes="rgb"', f'data-takes="{takes}"')
        return _content(request, text.encode(), "text/html")

    return Starlette(routes=[Route("/", answer), Route("/static/{path:path}", _asset)])


async def _asset(request: Request) -> Response:
    path = ASSETS.get(f"/static/{request.path_params['path']}")
    if path is None:
        raise HTTPException(404)
    return _content(request, path.read_bytes(), TYPES[path.suffix])


def _content(request: Request, content: bytes, media_type: str) -> Response:
    """The content; 304 to a browser that has it. By its hash: installed files may have all the same time."""
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = HEADERS | {"ETag": tag}
    known = {each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")}
    if known & {tag, "*"}:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=media_type, headers=headers)
