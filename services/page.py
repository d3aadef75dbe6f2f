"""The page at / to try a service, and the files that it loads."""

from collections.abc import Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
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
        prompts = any(each.source == "prompt" for each in known.inputs)
        takes = " ".join([*known.modalities, *(["open-vocabulary"] if prompts else [])])
        text = PAGE.read_text(encoding="utf-8").replace('data-takes="rgb"', f'data-takes="{takes}"')
        return HTMLResponse(text, headers=HEADERS)

    return Starlette(routes=[Route("/", answer), Route("/static/{path:path}", _asset)])


async def _asset(request: Request) -> Response:
    path = ASSETS.get(f"/static/{request.path_params['path']}")
    if path is None:
        raise HTTPException(404)
    return FileResponse(path, media_type=TYPES[path.suffix], headers=HEADERS)
