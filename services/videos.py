"""`POST /video`: a video in, the result video out.

    curl -F video=@clip.mp4 -F kind=green 127.0.0.1:3000/video -o green.mp4

One video at a time is predicted; a few others wait for their turn, on disk, and further ones are refused. It stands
beside BentoML's own paths, whose time limit is one for pictures.
"""

import asyncio
import importlib.util
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO, cast

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartParser
from starlette.responses import FileResponse
from starlette.types import Receive, Scope, Send

from limelight.foundation.errors import Shortage, TooLarge, UserError
from limelight.foundation.scratch import scratch_folder
from limelight.inference.saliency import SaliencyPredictor
from limelight.media.video.clip import Limits
from limelight.media.video.formats import FORMATS
from limelight.media.video.reader import VideoReader
from limelight.predict.video import VideoJob, VideoReport, predict_to_file, video_suffix
from limelight.services.forms import EXHAUSTED, Form, Refusal, not_stored
from limelight.services.guard import Incoming, body_chunks, check_address, check_token, refuse
from limelight.services.schema import ERRORS, form_body, refusals
from limelight.services.sending import TRANSFER_S, without_stalls
from limelight.services.settings import ServiceSettings
from limelight.services.uploads import notes_header
from limelight.services.video_request import NAMES, VideoRequest, schemas

PATH = "/video"
MAX_WAITING = 4
"""Videos that are being received, predicted or sent at once; each is a file or two on disk."""
RETRY = {"retry-after": "30"}
"""Header of a 429, seconds: videos take longer than pictures."""
FORM = Form(
    "and may have 'kind' or a picture as 'background', 'threshold', 'smoothing', 'look_ahead' and 'format'",
    file_field="video",
    what="video",
    files=frozenset({"background"}),
    texts=frozenset(NAMES),
)
_TYPES = {".mp4": "video/mp4", ".mkv": "video/x-matroska", ".mov": "video/quicktime", ".webm": "video/webm"}
_FORMATS = tuple(name[1:] for name in FORMATS)
_VIDEO = {"schema": {"type": "string", "format": "binary"}}
SCHEMA = {
    "post": {
        "description": "A video of what `kind` or the picture `background` makes of each frame.",
        "requestBody": form_body(FORM, schemas(_FORMATS)),
        "responses": {
            "200": {"description": "Done", "content": dict.fromkeys(_TYPES.values(), _VIDEO)},
            **refusals((*ERRORS, 501)),
        },
    }
}
"""OpenAPI's description of the path."""


class Abandoned(Exception):
    """Nobody waits for this video any more."""


class Videos:
    """ASGI application: the form `FORM` in, a video file out, or {"error": "one line"}.

    Args:
        predictor: returns it, or None until the service is ready.
    """

    def __init__(self, predictor: Callable[[], SaliencyPredictor | None], settings: ServiceSettings) -> None:
        self._predictor, self._settings = predictor, settings
        self._inside = 0
        self._turn = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        incoming = Incoming(receive)
        try:
            if scope["method"] != "POST":
                raise Refusal(HTTPStatus.METHOD_NOT_ALLOWED, "send a form with POST", allow="POST")
            check_token(Headers(scope=scope), self._settings.token)
            check_address(scope)
            predictor = ready(self._predictor)
            if self._inside >= MAX_WAITING:
                raise Refusal(
                    HTTPStatus.TOO_MANY_REQUESTS, "other videos are being processed; send it again later", **RETRY
                )
            self._inside += 1
            try:
                await self._answer(predictor, scope, incoming, send)
            finally:
                self._inside -= 1
        except Refusal as refusal:
            await refuse(refusal, scope, incoming, send, close=True)  # most of the body may still be to come

    async def _answer(self, predictor: SaliencyPredictor, scope: Scope, receive: Incoming, send: Send) -> None:
        with _folder() as folder:
            headers = Headers(scope=scope)
            texts = await self._received(headers, receive, folder)
            try:
                report, suffix = await self._made(predictor, texts, folder, receive)
            except UserError as error:
                raise _as_refusal(error, folder) from error
            notes = notes_header([note.replace(f"{folder}/", "") for note in report.notes])
            facts = {"X-Limelight-Frames": str(report.frames), "Accept-Ranges": "none", **notes}
            answer = FileResponse(report.target, headers=facts, media_type=_TYPES[suffix])
            whole = {**scope, "headers": []}  # whatever range of it is asked for
            with suppress(TimeoutError):  # a client that takes nothing: the server closes the connection
                async with asyncio.timeout(TRANSFER_S):
                    await answer(whole, receive, without_stalls(send))

    async def _received(self, headers: Headers, receive: Incoming, folder: Path) -> dict[str, str]:
        """Store the form's files in `folder` under their fields' names, and return its texts."""
        chunks = body_chunks(headers, receive, self._settings.max_video_body, "video")
        try:
            async with asyncio.timeout(TRANSFER_S):
                form = await FORM.read(headers, chunks, partial(_ToFolder, folder))
        except TimeoutError as error:
            raise Refusal(408, f"the video was not there after {TRANSFER_S} s; send a smaller one") from error
        fields = form.multi_items()
        await form.close()
        FORM.check_fields(fields)
        return {name: value for name, value in fields if isinstance(value, str)}

    async def _made(
        self, predictor: SaliencyPredictor, texts: Mapping[str, str], folder: Path, receive: Receive
    ) -> tuple[VideoReport, str]:
        request, background = VideoRequest(texts, _FORMATS), folder / "background"
        settings = self._settings
        behind = background if background.exists() else None
        style = await asyncio.to_thread(request.style, settings.max_frame_pixels, background=behind)  # it decodes that
        suffix = video_suffix(style, request.suffix)
        stopped = threading.Event()

        def watch() -> None:
            if stopped.is_set():
                raise Abandoned

        # It refuses what does not fit before the video waits for its turn.
        job = VideoJob(predictor, style, request.smoothing, request.look_ahead, quiet=True, watch=watch)
        limits = Limits(settings.max_frames, settings.max_seconds)

        def call() -> VideoReport:
            with VideoReader(folder / FORM.file_field, max_pixels=style.max_pixels, limits=limits) as clip:
                return predict_to_file(job, clip, folder / f"result{suffix}")

        return await self._in_turn(call, stopped, receive), suffix

    async def _in_turn(
        self, call: Callable[[], VideoReport], stopped: threading.Event, receive: Receive
    ) -> VideoReport:
        """Run a call in a thread, one at a time, unless it takes too long or the client goes."""
        begun = asyncio.Event()
        work = asyncio.ensure_future(self._run(call, begun))
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait({work, gone}, timeout=self._settings.video_timeout, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            if gone.done():
                raise Refusal(HTTPStatus.BAD_REQUEST, "the request ended early; send it again")
            raise Refusal(
                HTTPStatus.GATEWAY_TIMEOUT,
                f"the video was not done in {self._settings.video_timeout:g} seconds; send a shorter one",
            )
        finally:
            stopped.set()
            gone.cancel()
            if not begun.is_set():
                work.cancel()
            # Its thread reads and writes files that are about to be removed. What it raises has been raised here.
            await asyncio.gather(work, return_exceptions=True)

    async def _run(self, call: Callable[[], VideoReport], begun: asyncio.Event) -> VideoReport:
        async with self._turn:
            begun.set()
            return await asyncio.to_thread(call)


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder for one request's files.

    Raises:
        Refusal: 503, the disk is full.
    """
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(scratch_folder(Path(tempfile.gettempdir())))
        except OSError as error:
            raise not_stored(error) from error
        yield folder


def ready(predictor: Callable[[], SaliencyPredictor | None]) -> SaliencyPredictor:
    """The predictor, if videos can be predicted.

    Raises:
        Refusal: 503 until the service is ready, 501 without the package for videos.
    """
    loaded = predictor()
    if loaded is None:
        raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "the service is not ready; send it again")
    if importlib.util.find_spec("av") is None:
        reason = "this service has no package for videos; it is installed with: pip install 'limelight[video]'"
        raise Refusal(HTTPStatus.NOT_IMPLEMENTED, reason)
    return loaded


def _as_refusal(error: UserError, folder: Path) -> Refusal:
    """An error without names of this machine, and with what helps a client."""
    if (own := _of_this_machine(error)) is not None:
        return not_stored(own)
    large = isinstance(error, TooLarge | Shortage)
    if isinstance(error, Shortage):
        return Refusal(413, "the video needs more memory than there is; send one of smaller frames")
    text = error.without_option if isinstance(error, TooLarge) else str(error)
    text = text.replace(f"{folder}/{FORM.file_field}", "the video").replace(f"{folder}/", "")
    return Refusal(413 if large else 400, text)


def _of_this_machine(error: BaseException) -> OSError | None:
    """The error of a full disk, or of too many open files, that led to another."""
    cause: BaseException | None = error
    while cause is not None and not (isinstance(cause, OSError) and cause.errno in EXHAUSTED):
        cause = cause.__cause__
    return cause


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class _ToFolder(MultiPartParser):
    """Form parser that writes files into a folder as they come, under their fields' names."""

    def __init__(self, folder: Path, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._folder = folder

    def on_headers_finished(self) -> None:
        super().on_headers_finished()
        part = self._current_part
        if part.file is None:
            return
        FORM.check_file_name(part.field_name)
        try:
            opened = (self._folder / part.field_name).open("xb")
        except FileExistsError:
            raise Refusal(400, f"the form has {part.field_name!r} twice; send it once") from None
        part.file.file.close()
        part.file = UploadFile(cast("BinaryIO", opened), size=0, filename=part.file.filename, headers=part.file.headers)
        self._files_to_close_on_error.append(cast("Any", opened))
