"""The saliency service: a picture in, a mask or a cut-out back.

    limelight serve                                          # the champion, on 127.0.0.1:3000
    curl -F image=@photo.jpg 127.0.0.1:3000/predict -o mask.png

One plain class: on a CPU batching buys little, and a batch would let one bad picture fail its neighbours.
"""

from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

import bentoml
import numpy as np
from bentoml.validators import ContentType
from PIL import Image, UnidentifiedImageError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from limelight.inference.predictor import Predictor
from limelight.media.images import FORMATS, read_image
from limelight.media.outputs import encode, output
from models.errors import UserError
from services.guard import Guard
from services.settings import service_settings

PAGE = Path(__file__).with_name("page.html")
NAME = "limelight"
SETTINGS = service_settings()

PngFile = Annotated[Path, ContentType("image/png")]


async def _page(request: Request) -> Response:
    return FileResponse(PAGE, headers={"Content-Security-Policy": "default-src 'self' 'unsafe-inline' blob:"})


@bentoml.service(
    name=NAME,
    workers=1,
    # One picture at a time keeps memory bounded; the others wait their turn, and what would wait too long is told so.
    traffic={"timeout": 60, "max_concurrency": 16},
)
@bentoml.asgi_app(Starlette(routes=[Route("/", _page)]), path="/")
class Limelight:
    """Salient object detection. Errors are JSON: {"error": "one line"}."""

    def __init__(self) -> None:
        self._predictor = Predictor.load(_weights(), runtime=SETTINGS.runtime, threads=SETTINGS.threads)
        # The first call compiles and allocates; nobody's request should wait for that.
        self._predictor.predict([np.zeros((8, 8, 3), np.uint8)])
        print(self._predictor.description, flush=True)

    @bentoml.api
    def predict(self, image: Path) -> PngFile:
        """The saliency map as an 8-bit grey PNG of the picture's size: black is background, white is the object."""
        return self._answer(image, "map")

    @bentoml.api
    def cutout(self, image: Path) -> PngFile:
        """The object on a transparent ground, as an RGBA PNG of the picture's size."""
        return self._answer(image, "rgba")

    @bentoml.api
    def describe(self) -> dict[str, Any]:
        """What is being served: the model's card, and one line on how it runs."""
        return {"description": self._predictor.description, "card": self._predictor.card.model_dump(mode="json")}

    def _answer(self, path: Path, kind: str) -> Any:
        # Responses of our own: an exception would be logged with its traceback, and its text wrapped in a list.
        if _pixels(path) > SETTINGS.max_pixels:
            reason = f"the picture has more than the limit of {SETTINGS.max_pixels} pixels; send a smaller one"
            return JSONResponse({"error": reason}, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        try:
            image_HW3 = read_image(path.read_bytes(), max_pixels=SETTINGS.max_pixels, max_bytes=SETTINGS.max_body)
        except UserError as error:
            return JSONResponse({"error": str(error)}, HTTPStatus.BAD_REQUEST)
        (found,) = self._predictor.predict([image_HW3])
        timing = ", ".join(f"{step};dur={spent:.1f}" for step, spent in found.milliseconds.items())
        content = encode(output(kind).render(image_HW3, found.saliency_HW))
        return Response(content, media_type="image/png", headers={"Server-Timing": timing})


def _pixels(path: Path) -> int:
    """Width times height by the file's header; 0 where there is none to read, which the decoder then reports."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            return image.width * image.height
    except Image.DecompressionBombError:
        return SETTINGS.max_pixels + 1
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        return 0


def _weights() -> Path:
    """The weights folder: LIMELIGHT_MODEL, else the model that was packaged into this bento.

    Raises:
        UserError: neither is there.
    """
    if SETTINGS.model is not None:
        return SETTINGS.model
    bento = Limelight.bento
    try:
        # By the bento's own tag: the store may hold later models of the same name.
        tag = bento.info.all_models[0].tag if bento else f"{NAME}:latest"
        return Path(bentoml.models.get(tag).path)
    except bentoml.exceptions.NotFound as error:
        raise UserError(f"no model to serve ({error}); name a weights folder in LIMELIGHT_MODEL") from error


Limelight.add_asgi_middleware(Guard, max_body=SETTINGS.max_body, token=SETTINGS.token)
