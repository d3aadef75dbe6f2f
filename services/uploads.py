"""Shared by the services: the served weights, reading of uploads, error responses and headers."""

import json
import time
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import bentoml
from starlette.responses import JSONResponse, Response

from limelight.foundation.errors import Shortage, TooLarge, UserError
from limelight.imaging.images import Picture, read_picture
from limelight.inference.plan import Plan
from limelight.services.forms import Refusal
from limelight.services.settings import service_settings

SETTINGS = service_settings()
LIMITS = frozenset({"max_body", "max_pixels"})
"""Settings that clients are told, so that they need not send what will be refused."""
MAX_NOTE_CHARS = 200
MAX_NOTES_CHARS = 4000
"""Characters of the header with all notes; proxies and clients refuse headers from 8 KiB on."""


def read_upload(image: Path, companions: Sequence[Path] = (), modality: str = "rgb") -> Picture:
    """Read an uploaded picture, with its companion (depth or thermal picture).

    Args:
        companions: one at most.
        modality: the picture's modality for the model.

    Raises:
        UserError: a file is not a picture, or the companion does not belong to the image.
        TooLarge: it has more pixels than `SETTINGS.max_pixels`.
    """
    companion = companions[0].read_bytes() if companions else None
    return read_picture(image.read_bytes(), companion, modality, SETTINGS.max_pixels)


def answer_error(error: Refusal | UserError) -> Response:
    """Make a one-line JSON response of an error: BentoML would log a traceback, and wrap the text in a list."""
    if isinstance(error, TooLarge):
        error = Refusal(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"the picture has more than the limit of {SETTINGS.max_pixels} pixels; send a smaller one",
        )
    if isinstance(error, Shortage):  # its text names command-line options
        error = Refusal(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            "the picture needs more memory than there is; send a smaller one or ask for fewer classes",
        )
    return JSONResponse({"error": str(error)}, getattr(error, "status", HTTPStatus.BAD_REQUEST))


def description(plan: Plan, limits: Set[str] = LIMITS) -> dict[str, Any]:
    """Describe what is being served, as JSON: its name, how it runs in one line, the model's card, a request's limits.

    Args:
        limits: names of settings.
    """
    return {
        "name": plan.name,
        "description": plan.description,
        "card": plan.card.model_dump(mode="json"),
        "limits": {name: getattr(SETTINGS, name) for name in sorted(limits)},
    }


@contextmanager
def timed(milliseconds: dict[str, float], step: str) -> Iterator[None]:
    """Add the time that the block takes, as a step."""
    started = time.perf_counter()
    yield
    milliseconds[step] = 1000 * (time.perf_counter() - started)


def timing(milliseconds: dict[str, float]) -> dict[str, str]:
    """Build the Server-Timing header, which browsers' developer tools show."""
    return {"Server-Timing": ", ".join(f"{step};dur={spent:.1f}" for step, spent in milliseconds.items())}


def as_header(value: Any) -> str:
    """Encode a value as JSON for a header: printable ASCII on one line, whatever its texts hold."""
    return json.dumps(value).replace("\x7f", "\\u007f")


def notes_of(picture: Picture) -> dict[str, str]:
    """Build the header on what the answer leaves out of a picture's file, such as all frames but the first."""
    return notes_header([*picture.photo.notes, *([picture.photo.omitted] if picture.photo.omitted else [])])


def notes_header(notes: Sequence[str]) -> dict[str, str]:
    """Build the header of notes for the client on an answer.

    Args:
        notes: a sentence each. Long ones are cut, and those that do not fit are only counted.

    Returns:
        The header X-Limelight-Notes, a JSON list of at most MAX_NOTES_CHARS characters; no header without notes.
    """
    if not notes:
        return {}
    texts: list[str] = []
    for note in notes:
        shown = note[:MAX_NOTE_CHARS]
        if len(as_header([*texts, shown, f"and {len(notes)} more"])) > MAX_NOTES_CHARS:
            break
        texts.append(shown)
    left_out = len(notes) - len(texts)
    return {"X-Limelight-Notes": as_header([*texts, f"and {left_out} more"] if left_out else texts)}


def weights_of(service: Any, name: str) -> Path:
    """Find the weights folder: LIMELIGHT_MODEL, else the model packaged in the service's bento.

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
