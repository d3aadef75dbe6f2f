"""What the services share: the model that is served, its page, reading what was sent, and answering what cannot be."""

from collections.abc import Callable, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

import bentoml
import numpy as np
from PIL import Image, UnidentifiedImageError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from limelight.media.header import FORMATS
from limelight.media.images import read_image
from models.errors import Shortage, UserError
from models.weights import read_card
from services.forms import Refusal
from services.settings import service_settings

PAGE = Path(__file__).with_name("page.html")
CONTENT_POLICY = "default-src 'self' 'unsafe-inline'; img-src 'self' blob: data:"
SETTINGS = service_settings()
LIMITS = {"max_pixels": SETTINGS.max_pixels, "max_bytes": SETTINGS.max_body}


def read_upload(path: Path) -> np.ndarray:
    """The picture as uint8 HxWx3 RGB.

    Raises:
        UserError: it is none.
    """
    return read_image(path.read_bytes(), **LIMITS)


def check_pixels(paths: Sequence[Path]) -> None:
    """Raises a Refusal, 413, where a picture is too large by its header."""
    if max(map(_pixels, paths)) > SETTINGS.max_pixels:
        raise Refusal(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"the picture has more than the limit of {SETTINGS.max_pixels} pixels; send a smaller one",
        )


def answer_error(error: Refusal | UserError) -> Response:
    """One line of JSON, as a response: BentoML would log an exception's traceback, and wrap its text in a list."""
    if isinstance(error, Shortage):  # which names options of the command line
        error = Refusal(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            "the picture takes more memory than there is; send a smaller one or ask for fewer classes",
        )
    return JSONResponse({"error": str(error)}, getattr(error, "status", HTTPStatus.BAD_REQUEST))


def timing(milliseconds: dict[str, float]) -> dict[str, str]:
    """The header that browsers' tools show."""
    return {"Server-Timing": ", ".join(f"{step};dur={spent:.1f}" for step, spent in milliseconds.items())}


def page(weights: Callable[[], Path]) -> Starlette:
    """The page at /, which asks for what the model takes, so that it has no field that would be refused."""

    async def answer(request: Request) -> Response:
        card = read_card(weights())
        takes = " ".join([*card.modalities, *(["words"] if card.text else [])])
        text = PAGE.read_text(encoding="utf-8").replace('data-takes="rgb"', f'data-takes="{takes}"')
        return HTMLResponse(text, headers={"Content-Security-Policy": CONTENT_POLICY})

    return Starlette(routes=[Route("/", answer)])


def weights_of(service: Any, name: str) -> Path:
    """The weights folder: LIMELIGHT_MODEL, else the model that was packaged into the service's bento.

    Args:
        service: the class, as BentoML knows it.
        name: of the model in BentoML's store, where the service runs without a bento.

    Raises:
        UserError: neither is there.
    """
    if SETTINGS.model is not None:
        return SETTINGS.model
    bento = service.bento
    try:
        # By the bento's own tag: the store may hold later models of the same name.
        tag = bento.info.all_models[0].tag if bento else f"{name}:latest"
        return Path(bentoml.models.get(tag).path)
    except bentoml.exceptions.NotFound as error:
        raise UserError(f"no model to serve ({error}); name a weights folder in LIMELIGHT_MODEL") from error


def _pixels(path: Path) -> int:
    """Width times height by the file's header; 0 where there is none to read, which the decoder then reports."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            return image.width * image.height
    except Image.DecompressionBombError:
        return SETTINGS.max_pixels + 1
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        return 0
