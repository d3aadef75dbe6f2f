"""The saliency service: a picture in, a mask or a cut-out back.

    limelight serve                                          # the champion, on 127.0.0.1:3000
    curl -F image=@photo.jpg 127.0.0.1:3000/predict -o mask.png
    curl -F image=@photo.jpg -F companion=@depth.png 127.0.0.1:3000/predict -o mask.png

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
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from limelight.inference.predictor import Predictor
from limelight.inference.preprocess import fit_companion
from limelight.media.images import FORMATS, read_companion, read_image
from limelight.media.outputs import encode, output
from models.errors import UserError
from models.weights import read_card
from services.guard import Guard
from services.settings import service_settings

PAGE = Path(__file__).with_name("page.html")
NAME = "limelight"
SETTINGS = service_settings()

PngFile = Annotated[Path, ContentType("image/png")]
NONE: list[Path] = []
"""A list stands for a file that may be missing, which BentoML cannot say otherwise. The guard lets one at most pass."""


async def _page(request: Request) -> Response:
    # The page asks for what the model takes, so that it has no field that would be refused.
    takes = " ".join(read_card(_weights()).modalities)
    text = PAGE.read_text(encoding="utf-8").replace('data-takes="rgb"', f'data-takes="{takes}"')
    return HTMLResponse(text, headers={"Content-Security-Policy": "default-src 'self' 'unsafe-inline' blob:"})


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
        kinds = self._predictor.card.companions
        self._predictor.predict(
            [np.zeros((8, 8, 3), np.uint8)], [np.eye(8) if kinds else None], modality=kinds[0] if kinds else None
        )
        print(self._predictor.description, flush=True)

    @bentoml.api
    def predict(self, image: Path, companion: list[Path] = NONE, modality: str | None = None) -> PngFile:
        """The saliency map as an 8-bit grey PNG of the picture's size: black is background, white is the object.

        A model that takes depth or thermal pictures is sent one as `companion`; one that takes both is told which it
        is, 'rgbd' or 'rgbt', as `modality`.
        """
        return self._answer(image, companion, modality, "map")

    @bentoml.api
    def cutout(self, image: Path, companion: list[Path] = NONE, modality: str | None = None) -> PngFile:
        """The object on a transparent ground, as an RGBA PNG of the picture's size; `companion` as for predict."""
        return self._answer(image, companion, modality, "rgba")

    @bentoml.api
    def describe(self) -> dict[str, Any]:
        """What is being served: the model's card, and one line on how it runs."""
        return {"description": self._predictor.description, "card": self._predictor.card.model_dump(mode="json")}

    def _answer(self, path: Path, companions: list[Path], modality: str | None, kind: str) -> Any:
        # Responses of our own: an exception would be logged with its traceback, and its text wrapped in a list.
        if max(map(_pixels, [path, *companions])) > SETTINGS.max_pixels:
            reason = f"the picture has more than the limit of {SETTINGS.max_pixels} pixels; send a smaller one"
            return JSONResponse({"error": reason}, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        try:
            self._predictor.modality_for(bool(companions), modality)
            limits = {"max_pixels": SETTINGS.max_pixels, "max_bytes": SETTINGS.max_body}
            image_HW3, companion_HW = read_image(path.read_bytes(), **limits), None
            for companion in companions:
                companion_HW = read_companion(companion.read_bytes(), **limits)
                companion_HW = fit_companion(companion_HW, image_HW3.shape[:2])
        except UserError as error:
            return JSONResponse({"error": str(error)}, HTTPStatus.BAD_REQUEST)
        (found,) = self._predictor.predict([image_HW3], [companion_HW], modality=modality)
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
