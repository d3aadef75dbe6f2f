"""The saliency service: takes a picture, returns a mask or a cut-out.

    limelight serve                                          # the champion, on 127.0.0.1:3000
    curl -F image=@photo.jpg 127.0.0.1:3000/predict -o mask.png
    curl -F image=@photo.jpg -F companion=@depth.png 127.0.0.1:3000/predict -o mask.png
    curl -F image=@photo.jpg -F kind=blur 127.0.0.1:3000/predict -o blurred.png
    curl -F image=@photo.jpg -F threshold=0.5 127.0.0.1:3000/cutout -o cutout.png
    curl -F video=@clip.mp4 -F kind=green 127.0.0.1:3000/video -o green.mp4

No batching by BentoML: OpenVINO computes the pictures of several requests side by side as it is, and one bad picture
would fail the others of its batch.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import bentoml
import numpy as np
from bentoml.validators import ContentType
from starlette.responses import Response

from limelight.foundation.errors import UserError, raising_shortage
from limelight.imaging.encoding import encode
from limelight.inference.loading import load
from limelight.inference.saliency import SaliencyPredictor
from limelight.media.outputs import adjust, output
from limelight.models.card import MODALITIES
from limelight.services.app import CONFIG, TIMEOUT_S, GuardedService, add_middleware, current_service
from limelight.services.concurrency import Slots
from limelight.services.fields import Text, share
from limelight.services.forms import Form, Refusal
from limelight.services.page import page
from limelight.services.streams import PATH as STREAM
from limelight.services.streams import SCHEMA as STREAM_SCHEMA
from limelight.services.streams import Streams
from limelight.services.uploads import (
    LIMITS,
    SETTINGS,
    answer_error,
    description,
    notes_of,
    read_upload,
    timed,
    timing,
    weights_of,
)
from limelight.services.video_request import KINDS
from limelight.services.videos import PATH as VIDEO
from limelight.services.videos import SCHEMA as VIDEO_SCHEMA
from limelight.services.videos import Videos

NAME = "limelight"
_AT_A_TIME = 2
_SLOTS = Slots(_AT_A_TIME, TIMEOUT_S)
CUTOUT_UPLOAD = Form(
    "and may have its depth or thermal picture as 'companion', which of the two that is as 'modality', a 'threshold'",
    files=frozenset({"companion"}),
    texts=frozenset({"modality", "threshold"}),
    choices={"modality": MODALITIES[1:]},
    requires_field={"modality": "companion"},
)
MAP, CUTOUT = "map", "rgba"
UPLOAD = replace(
    CUTOUT_UPLOAD,
    fields_message=f"{CUTOUT_UPLOAD.fields_message} and the kind of result as 'kind'",
    texts=CUTOUT_UPLOAD.texts | {"kind"},
    choices={**CUTOUT_UPLOAD.choices, "kind": KINDS},
)

VIDEO_LIMITS = {"max_video_body", "max_frames", "max_seconds", "max_frame_pixels"}
PngFile = Annotated[Path, ContentType("image/png")]
NONE: list[Path] = []
"""Default of an optional file, which BentoML can only express as a list. The guard passes one file at most."""


def _weights() -> Path:
    return weights_of(Limelight, NAME)


# Two pictures at a time: while one is in the network the other is decoded or encoded, and both may be in it.
@bentoml.service(name=NAME, service_class=GuardedService, **CONFIG, threads=_AT_A_TIME)
class Limelight:
    """Salient object detection. Errors are JSON: {"error": "one line"}."""

    def __init__(self) -> None:
        predictor = load(_weights(), SETTINGS.request())
        assert isinstance(predictor, SaliencyPredictor), "weights of another task"
        self._predictor = predictor
        # The first calls compile and allocate, for one picture and for several; no request should wait for that.
        card = self._predictor.card
        size, kinds = card.prepare.size, card.architecture.companions
        companion = np.eye(*size) if kinds else None
        for count in (1, _AT_A_TIME):
            pictures, companions = [np.zeros((*size, 3), np.uint8)] * count, [companion] * count
            self._predictor.predict(pictures, companions, modality=kinds[0] if kinds else None)
        print(self._predictor.description, flush=True)

    @bentoml.api
    def predict(
        self,
        image: Path,
        companion: list[Path] = NONE,
        modality: str | None = None,
        threshold: Text | None = None,
        kind: str = MAP,
    ) -> PngFile:
        """The saliency map as an 8-bit grey PNG of the picture's size: black is background, white is the object.

        A model that takes depth or thermal pictures is sent one as `companion`, and if it takes both, the
        companion's kind, 'rgbd' or 'rgbt', as `modality`. `threshold` (0 to 1) makes the map black and white: white
        where it is at least that, so that 0 keeps the whole picture. `kind` selects another result of that size:
        'rgba', the object on a transparent background; 'green', 'white' or 'blur', on another background; 'overlay',
        the picture with the object under a green tint.
        """
        return self._answer(image, companion, modality, kind, threshold)

    @bentoml.api
    def cutout(
        self, image: Path, companion: list[Path] = NONE, modality: str | None = None, threshold: Text | None = None
    ) -> PngFile:
        """The object on a transparent background, as an RGBA PNG of the picture's size; other fields as for predict."""
        return self._answer(image, companion, modality, CUTOUT, threshold)

    @bentoml.api
    def describe(self) -> dict[str, Any]:
        """What is being served: the model's card, one line on how it runs, and the limits of a request."""
        return description(self._predictor.plan, LIMITS | VIDEO_LIMITS)

    def _answer(
        self, path: Path, companions: list[Path], modality: str | None, kind: str, threshold: str | None = None
    ) -> Any:
        try:
            with _SLOTS.hold(), raising_shortage():
                level = None if threshold is None else share("threshold", threshold)
                steps: dict[str, float] = {}
                with timed(steps, "read"):
                    picture = read_upload(path, companions, self._predictor.modality_for(bool(companions), modality))
                photo = picture.photo
                (prediction,) = self._predictor.predict([photo.image_HW3], [picture.companion_HW], modality=modality)
                steps |= prediction.milliseconds
                with timed(steps, "draw"):
                    saliency_HW = adjust(prediction.saliency_HW, threshold=level)
                    made = output(kind).render(photo.image_HW3, saliency_HW, photo.transparency)
                with timed(steps, "encode"):
                    content = encode(made, dpi=photo.dpi)
        except (Refusal, UserError) as error:
            return answer_error(error)
        return Response(content, media_type="image/png", headers=timing(steps) | notes_of(picture))


def _ready() -> SaliencyPredictor | None:
    """The predictor of the running service; None before it has started."""
    service = current_service()
    return None if service is None else service._predictor


add_middleware(
    Limelight,
    {"/predict": UPLOAD, "/cutout": CUTOUT_UPLOAD},
    page=page(_weights),
    beside={VIDEO: Videos(_ready, SETTINGS), STREAM: Streams(_ready, SETTINGS)},
    sockets={STREAM},
    schemas={VIDEO: VIDEO_SCHEMA, STREAM: STREAM_SCHEMA},
)
