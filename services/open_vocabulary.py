"""The open-vocabulary segmentation service: takes a picture and class names, returns labels.

limelight serve --task open-vocabulary                   # on 127.0.0.1:3000
curl -F image=@photo.jpg -F classes="dog, grass" 127.0.0.1:3000/segment -o labels.png
curl -F image=@photo.jpg -F classes="dog, grass" -F kind=overlay 127.0.0.1:3000/segment -o overlay.png
"""

import base64
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import bentoml
import numpy as np
from bentoml.validators import ContentType
from pydantic import BeforeValidator
from starlette.responses import JSONResponse, Response

from limelight.foundation.errors import Shortage, UserError, raising_shortage
from limelight.imaging.encoding import encode, with_dpi
from limelight.imaging.images import Picture
from limelight.imaging.transparency import without_hidden
from limelight.inference.loading import load
from limelight.inference.open_vocabulary import OpenVocabularyPredictor
from limelight.inference.segment import BACKGROUND, Segmentation
from limelight.media.labels import colour, encode_labels, tinted
from limelight.services.app import CONFIG, TIMEOUT_S, GuardedService, add_middleware
from limelight.services.concurrency import Slots
from limelight.services.fields import Text, as_text, share
from limelight.services.forms import Form, Refusal
from limelight.services.page import page
from limelight.services.uploads import (
    LIMITS,
    SETTINGS,
    answer_error,
    as_header,
    description,
    notes_of,
    read_upload,
    timed,
    timing,
    weights_of,
)

NAME = "open-vocabulary"
_SLOTS = Slots(1, TIMEOUT_S)
MAX_CLASSES_CHARS = 3000
"""Characters of the header with the classes' names; those of all headers together must stay below 8 KiB."""
LABELS, OVERLAY, JSON = "labels", "overlay", "json"
UPLOAD = Form(
    "and the names to find as 'classes', and may have 'template', 'background' and 'kind'",
    texts=frozenset({"classes", "template", "background", "kind"}),
    needs=frozenset({"classes"}),
    choices={"kind": (LABELS, OVERLAY, JSON)},
)


def as_names(value: Any) -> list[str]:
    """Split names at commas, or read them from a JSON list, where they may hold commas."""
    if isinstance(value, list):
        return [as_text(name) for name in value]
    text = as_text(value)
    return text.split(",") if text.strip() else []


Names = Annotated[list[str], BeforeValidator(as_names)]
PngFile = Annotated[Path, ContentType("image/png")]


def _weights() -> Path:
    return weights_of(OpenVocabulary, NAME)


@bentoml.service(name=NAME, service_class=GuardedService, **CONFIG)
class OpenVocabulary:
    """Open-vocabulary segmentation. Errors are JSON: {"error": "one line"}."""

    def __init__(self) -> None:
        predictor = load(_weights(), SETTINGS.request())
        assert isinstance(predictor, OpenVocabularyPredictor), "weights of another task"
        self._predictor = predictor
        # The first call compiles and allocates; no request should wait for that.
        size = self._predictor.card.prepare.size
        with suppress(Shortage):  # fewer classes may fit
            self._predictor.measure(SETTINGS.max_classes)
        self._predictor.predict([np.zeros((*size, 3), np.uint8)], ["thing"], batch_size=1)
        print(self._predictor.description, flush=True)

    @bentoml.api
    def segment(
        self,
        image: Path,
        classes: Names,
        template: Text | None = None,
        background: Text = str(BACKGROUND),
        kind: Text = LABELS,
    ) -> PngFile:
        """Segment the picture: for every pixel the most probable of the classes.

        `classes`: names separated by commas, or a JSON list. `template`: the text prompt of a class, with {} for its
        name. `background`: where no class is as probable (0 to 1), the label is 0; 0 leaves no such pixel. `kind`:
        'labels', a PNG of the picture's size whose pixel values number the classes from 1, with their colours as its
        palette; 'overlay', the picture tinted in these colours; 'json', the labels' PNG in base64 beside each class's
        label, name, colour and share of the pixels. The header X-Limelight-Classes has the names as a JSON list; where
        they are too long for a header, their number.
        """
        return self._answer(image, classes, template, background, kind)

    @bentoml.api
    def describe(self) -> dict[str, Any]:
        """What is being served: the model's card, one line on how it runs, and the limits of a request."""
        return description(self._predictor.plan, LIMITS | {"max_classes"})

    def _answer(self, path: Path, classes: Sequence[str], template: str | None, background: str, kind: str) -> Any:
        try:
            with _SLOTS.hold(), raising_shortage():
                if len(classes) > SETTINGS.max_classes:
                    limit = SETTINGS.max_classes
                    raise UserError(f"{len(classes)} classes, the limit is {limit}; ask for fewer at once")
                least = share("background", background)
                steps: dict[str, float] = {}
                with timed(steps, "read"):
                    picture = read_upload(path)
                images = [picture.photo.image_HW3]
                (segmentation,) = self._predictor.predict(
                    images, classes, template=template, background=least, batch_size=1
                )
                return _response(picture, segmentation, kind, steps | segmentation.milliseconds)
        except (Refusal, UserError) as error:
            return answer_error(error)


def _response(picture: Picture, segmentation: Segmentation, kind: str, steps: dict[str, float]) -> Response:
    photo, names = picture.photo, segmentation.classes
    with timed(steps, "draw"):
        labels_HW = without_hidden(segmentation.labels_HW, photo.transparency)
        overlay_HW3 = tinted(photo.image_HW3, labels_HW) if kind == OVERLAY else None
    with timed(steps, "encode"):
        if overlay_HW3 is None:
            content = with_dpi(encode_labels(labels_HW), photo.dpi)
        else:
            content = encode(overlay_HW3, dpi=photo.dpi)
    headers = timing(steps) | _classes_header(names) | notes_of(picture)
    if kind == JSON:
        return JSONResponse(_as_json(labels_HW, content, names), headers=headers)
    return Response(content, media_type="image/png", headers=headers)


def _classes_header(names: Sequence[str]) -> dict[str, str]:
    """Build the header of the classes: a JSON list of at most MAX_CLASSES_CHARS characters, or their number."""
    listed = as_header(names)
    return {"X-Limelight-Classes": listed if len(listed) <= MAX_CLASSES_CHARS else str(len(names))}


def _as_json(labels_HW: np.ndarray, labels: bytes, names: Sequence[str]) -> dict[str, Any]:
    pixels = np.bincount(labels_HW.ravel(), minlength=len(names) + 1)
    classes = [
        {
            "label": label,
            "name": name,
            "colour": "#{:02x}{:02x}{:02x}".format(*colour(label)),
            "share": round(pixels[label] / labels_HW.size, 6),
        }
        for label, name in enumerate(names, start=1)
    ]
    return {"classes": classes, "labels": base64.b64encode(labels).decode()}


add_middleware(OpenVocabulary, {"/segment": UPLOAD}, page=page(_weights))
