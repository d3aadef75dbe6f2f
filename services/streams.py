"""`/stream`: frames in over a WebSocket, a result for each of them out, in their order.

Each binary message is a frame's file (JPEG, PNG, ...), each binary answer its result. The text 'end' asks for what is
left, and for the end. A frame that cannot be used closes the connection with a reason, and so does any other text.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from limelight.foundation.errors import Shortage, TooLarge, UserError, raising_shortage
from limelight.imaging.images import Photo, read_photo
from limelight.inference.prediction import Prediction
from limelight.inference.saliency import SaliencyPredictor
from limelight.inference.stream import Stream
from limelight.predict.styles import Style
from limelight.services.answers import FAILED, LOG
from limelight.services.cors import is_own_or_listed
from limelight.services.forms import Refusal
from limelight.services.guard import STALL_S, Incoming, check_token, refuse
from limelight.services.schema import refusals
from limelight.services.settings import ServiceSettings
from limelight.services.video_request import NAMES, VideoRequest, schemas
from limelight.services.videos import RETRY, ready

PATH = "/stream"
MAX_STREAMS = 4
"""Streams at once; each holds some frames in memory."""
IDLE_S = 60
"""Longest time without a frame."""
END = "end"
FORMATS = ("png", "jpg", "webp")
DONE, UNSUPPORTED, UNUSABLE, POLICY, TOO_BIG, BROKEN = 1000, 1003, 1007, 1008, 1009, 1011
"""Codes of a WebSocket's end (RFC 6455, section 7.4.1)."""
_MAX_REASON_BYTES = 123
SCHEMA = {
    "get": {
        "description": "A WebSocket: a frame's file in each binary message, its result in each answer; 'end' ends it.",
        "parameters": [{"name": name, "in": "query", "schema": each} for name, each in schemas(FORMATS).items()],
        "responses": {"101": {"description": "The WebSocket is open"}, **refusals((400, 401, 403, 426, 429, 501, 503))},
    }
}
"""OpenAPI's description of the path."""


class Closed(Exception):
    """The reason for which this side closes a WebSocket."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Streams:
    """ASGI application: one `Stream` per WebSocket.

    Args:
        predictor: returns it, or None until the service is ready.
    """

    def __init__(self, predictor: Callable[[], SaliencyPredictor | None], settings: ServiceSettings) -> None:
        self._predictor, self._settings = predictor, settings
        self._open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            refusal = Refusal(HTTPStatus.UPGRADE_REQUIRED, f"{PATH} takes frames over a WebSocket; connect with one")
            await refuse(refusal, scope, Incoming(receive), send, close=True)
            return
        socket = WebSocket(scope, receive, send)
        await socket.receive()  # 'websocket.connect'
        try:
            frames = self._admitted(socket)
        except (Refusal, UserError) as error:
            status, headers = getattr(error, "status", HTTPStatus.BAD_REQUEST), getattr(error, "headers", None)
            await socket.send_denial_response(JSONResponse({"error": str(error)}, status, headers))
            return
        self._open += 1
        try:
            await socket.accept()
            await _close(socket, await self._closed(socket, frames))
        except (WebSocketDisconnect, OSError):
            pass  # the client is gone
        finally:
            self._open -= 1

    def _admitted(self, socket: WebSocket) -> "_Frames":
        """Check a handshake.

        Raises:
            Refusal: the token is wrong, another origin's page asks, or too many streams are open.
            UserError: a parameter is unknown, or cannot be served.
        """
        check_token(socket.headers, self._settings.token)
        check_origin(socket.headers, self._settings.cors_origins)
        predictor = ready(self._predictor)
        if self._open >= MAX_STREAMS:
            reason = f"{MAX_STREAMS} streams are open; connect again later"
            raise Refusal(HTTPStatus.TOO_MANY_REQUESTS, reason, **RETRY)
        given = parse_qsl(socket.scope["query_string"].decode("latin-1"), keep_blank_values=True)
        texts = dict(given)
        if len(texts) < len(given) or not texts.keys() <= set(NAMES):
            raise UserError(f"the address takes {', '.join(NAMES)}, each once; leave out all else")
        request = VideoRequest(texts, FORMATS)
        style = request.style(self._settings.max_frame_pixels, file_type=request.suffix or ".png")
        return _Frames(request.stream(predictor), style)

    async def _closed(self, socket: WebSocket, frames: "_Frames") -> "Closed":
        """Answer frames until this side has to close, and return why.

        Raises:
            WebSocketDisconnect: the client has gone.
        """
        try:
            await self._answer_all(socket, frames)
        except Closed as closed:
            return closed
        except (WebSocketDisconnect, OSError):
            raise
        except Exception:
            LOG.exception("%s", PATH)
            return Closed(BROKEN, FAILED)
        return Closed(DONE, "")

    async def _answer_all(self, socket: WebSocket, frames: "_Frames") -> None:
        settings, count = self._settings, 0
        deadline = asyncio.get_running_loop().time() + settings.max_seconds
        while (data := await _next_frame(socket, deadline, settings)) is not None:
            count += 1
            if count > settings.max_frames:
                raise Closed(POLICY, f"the limit is {settings.max_frames} frames; connect again for more")
            await self._send(socket, frames.push, data)
        await self._send(socket, frames.flush)

    async def _send(self, socket: WebSocket, work: Callable[..., list[bytes]], *arguments: Any) -> None:
        """Run work in a thread, and send its results before anything else is received: a slow client must wait."""
        try:
            results = await asyncio.to_thread(work, *arguments)
        except Shortage as error:
            raise Closed(TOO_BIG, "the frame needs more memory than there is; send smaller ones") from error
        except TooLarge as error:
            limit = self._settings.max_frame_pixels
            raise Closed(TOO_BIG, f"the frame has more than the limit of {limit} pixels; send smaller ones") from error
        except UserError as error:
            raise Closed(UNUSABLE, str(error)) from error
        for content in results:
            try:
                async with asyncio.timeout(STALL_S):
                    await socket.send_bytes(content)
            except TimeoutError as error:
                raise Closed(POLICY, f"no result was taken for {STALL_S} s") from error


class _Frames:
    """Files of frames in, files of results out."""

    def __init__(self, stream: Stream, style: Style) -> None:
        self._stream, self._style = stream, style
        self._waiting: deque[Photo] = deque()

    def push(self, data: bytes) -> list[bytes]:
        with raising_shortage():
            photo = read_photo(data, max_pixels=self._style.max_pixels)
            predictions = self._stream.push(photo.image_HW3)
            self._waiting.append(photo)
            return self._rendered(predictions)

    def flush(self) -> list[bytes]:
        with raising_shortage():
            return self._rendered(self._stream.flush())

    def _rendered(self, predictions: list[Prediction]) -> list[bytes]:
        return [self._style.render(self._waiting.popleft(), prediction)[0] for prediction in predictions]


async def _next_frame(socket: WebSocket, deadline: float, settings: ServiceSettings) -> bytes | None:
    """The next frame's file; None at the end.

    Raises:
        Closed: it is none, too large or too late.
        WebSocketDisconnect: the client has gone.
    """
    left = deadline - asyncio.get_running_loop().time()
    over = f"a stream is open for {settings.max_seconds:g} seconds at most; connect again for more"
    if left <= 0:  # a frame that waits already would be taken without looking at the time
        raise Closed(POLICY, over)
    try:
        async with asyncio.timeout(min(left, IDLE_S)):
            message = await socket.receive()
    except TimeoutError as error:
        raise Closed(POLICY, over if left < IDLE_S else f"no frame came for {IDLE_S} s; connect again") from error
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect
    data, text = message.get("bytes"), message.get("text")
    if text == END:
        return None
    if data is None:
        raise Closed(UNSUPPORTED, f"send each frame as a binary message, and {END!r} as text after the last")
    if len(data) > settings.max_body:
        raise Closed(TOO_BIG, f"the frame has {len(data)} bytes, the limit is {settings.max_body}; send smaller ones")
    return data


async def _close(socket: WebSocket, closed: Closed) -> None:
    """Say why this side closes; a client that takes nothing is not waited for.

    The message stands behind results that wait to be taken. The server then closes the connection in any case.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(STALL_S):
            await socket.close(closed.code, _short(str(closed)))


def check_origin(headers: Headers, allowed: tuple[str, ...]) -> None:
    """Check that a page of another origin may connect: browsers let every page open a WebSocket, and read it.

    Args:
        allowed: as `as_origin` returns them.

    Raises:
        Refusal: 403.
    """
    if not is_own_or_listed(headers, allowed):
        origin = headers["origin"][:200]
        raise Refusal(HTTPStatus.FORBIDDEN, f"the origin {origin!r} is not among those of LIMELIGHT_CORS_ORIGINS")


def _short(reason: str) -> str:
    """A reason in one line that fits into a closing message."""
    return " ".join(reason.split()).encode()[:_MAX_REASON_BYTES].decode(errors="ignore")
