"""Validation of uploaded forms before the service sees them."""

import asyncio
import errno
import json
import unicodedata
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartParser

from limelight.foundation.files import FULL_DISK

FIELD = "image"
MAX_NAME_BYTES = 200
"""Bytes; the uploaded file's name becomes part of a temporary file's."""
MAX_TEXT_BYTES = 16 << 10
"""Bytes of a text field."""
MAX_BOUNDARIES = 100
"""Boundaries in a body; no form has ten fields. The parser takes long for each, and meanwhile holds up all else."""
_PIECE = 64 << 10
"""Bytes that are parsed at a time."""
EXHAUSTED = (*FULL_DISK, errno.EMFILE, errno.ENFILE)
"""Numbers of errors of the machine, whoever asks: a full disk, too many open files."""


class Refusal(Exception):
    """A request refused before the service sees it, with headers of the answer."""

    def __init__(self, status: int, reason: str, **headers: str) -> None:
        super().__init__(reason)
        self.status, self.headers = status, headers


def not_stored(error: OSError) -> Refusal:
    """The trouble of this machine to store what was sent, or what is made of it; no request is to blame for it."""
    full = error.errno in FULL_DISK
    what = "the service's disk is full" if full else f"the service cannot store files ({error.strerror or error})"
    return Refusal(503, f"{what}; send it again later", **{"retry-after": "30"})


@dataclass(frozen=True)
class Form:
    """The fields of one kind of upload. Each may come once; the picture, or what is sent in its place, must."""

    fields_message: str
    """End of the error message for a form with other fields; it begins "the form must have the picture's file as"."""
    file_field: str = FIELD
    """Name of the field with the file that must come."""
    what: str = "picture"
    """What is in it."""
    files: frozenset[str] = frozenset()
    """Fields that may hold a file besides it."""
    texts: frozenset[str] = frozenset()
    """Fields that may hold text."""
    needs: frozenset[str] = frozenset()
    """Of these fields, the required ones."""
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Text field -> its allowed values."""
    requires_field: Mapping[str, str] = field(default_factory=dict)
    """Field -> the other field that it describes and must not come without."""

    async def check(self, headers: Headers, body: bytes) -> None:
        """Read a body as this form.

        Raises:
            Refusal: 415 if it is not a form, or has text in place of a file, which BentoML would fetch as a URL; 400 if
                it cannot be parsed or holds something else.
        """

        async def stream() -> AsyncGenerator[bytes, None]:
            yield body

        form = await self.read(headers, stream(), _InMemoryParser)
        fields = form.multi_items()
        await form.close()
        self.check_fields(fields)

    def check_file_name(self, name: str) -> None:
        """Check that a field may hold a file.

        Raises:
            Refusal: 400.
        """
        if name not in {self.file_field, *self.files}:
            raise self._refusal([f"{name[:40]!r} is {'not a file' if name in self.texts else 'no field'}"])

    def check_fields(self, fields: Sequence[tuple[str, UploadFile | str]]) -> None:
        """Check the fields of a form that has been read.

        Raises:
            Refusal: as `check`.
        """
        self._check_names([name for name, _ in fields])
        for name, value in fields:
            if name in self.texts:
                _check_text(name, value, self.choices.get(name))
            else:
                _check_file(name, value, self.what)

    async def read(
        self, headers: Headers, stream: AsyncGenerator[bytes, None], parser: Callable[..., MultiPartParser]
    ) -> FormData:
        """Read a body as a form, whose fields `check_fields` is still to check.

        Raises:
            Refusal: it is none, or cannot be parsed, or there is no room for it; or what `stream` raises.
        """
        kind = media_type(headers)
        if kind != "multipart/form-data":
            reason = (
                f"content type {kind!r} is not accepted; send multipart/form-data with the file as {self.file_field!r}"
            )
            raise Refusal(415, reason)
        limits = {"max_files": 2 + len(self.files), "max_fields": 1 + len(self.texts), "max_part_size": MAX_TEXT_BYTES}
        try:
            return await parser(headers, _in_pieces(headers, stream), **limits).parse()
        except Refusal:
            raise
        except OSError as error:
            raise not_stored(error) from error
        except Exception as error:  # hostile bytes can raise anything, and an escaping exception stalls the request
            reason = getattr(error, "message", "its encoding is wrong")
            raise Refusal(400, f"the form cannot be read ({reason}); send one file as {self.file_field!r}") from error

    def _check_names(self, names: list[str]) -> None:
        given = set(names)
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise Refusal(400, f"the form has {twice!r} twice; send it once")
        wrong = [f"{name!r} is missing" for name in (self.file_field, *sorted(self.needs)) if name not in given]
        wrong += [f"{name[:40]!r} is no field" for name in sorted(given - {self.file_field, *self.files, *self.texts})]
        pairs = self.requires_field.items()
        wrong += [f"{name!r} needs {other!r}" for name, other in pairs if name in given and other not in given]
        if wrong:
            raise self._refusal(wrong)

    def _refusal(self, wrong: Sequence[str]) -> Refusal:
        return Refusal(
            400,
            f"{', '.join(wrong)}; the form must have the {self.what}'s file as {self.file_field!r} "
            f"{self.fields_message}; nothing else",
        )


def media_type(headers: Headers) -> str:
    """The content type without its parameters; empty where there is none."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


async def _in_pieces(headers: Headers, stream: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """Pass a form's body on in pieces, between which other requests have their turn.

    Raises:
        Refusal: it has what the parser takes very long for, and clients do not send: many boundaries, or blanks after
            one.
    """
    _, options = parse_options_header(headers["content-type"])
    boundary = b"\r\n--" + options.get(b"boundary", b"")
    count, before = 0, b"\r\n"  # the first boundary has no line before it
    async for chunk in stream:
        for start in range(0, len(chunk), _PIECE):
            piece = chunk[start : start + _PIECE]
            seen = before + piece
            count += seen.count(boundary)
            if count > MAX_BOUNDARIES or boundary + b" " in seen or boundary + b"\t" in seen:
                raise Refusal(
                    400, "the form cannot be read (its boundary is in what it holds); choose another boundary"
                )
            before = seen[-len(boundary) :]
            yield piece
            await asyncio.sleep(0)


def _check_text(name: str, value: UploadFile | str, choices: tuple[str, ...] | None) -> None:
    if not isinstance(value, str) or (choices and value not in choices):
        raise Refusal(400, f"{name!r} must be text{', one of ' if choices else ''}{', '.join(choices or ())}")
    try:
        json.loads(value)  # as BentoML does, which catches only JSONDecodeError
    except json.JSONDecodeError:
        pass
    except (ValueError, RecursionError) as error:
        raise Refusal(400, f"{name!r} cannot be read; send plain text") from error


def _check_file(name: str, value: UploadFile | str, what: str) -> None:
    if not isinstance(value, UploadFile):
        raise Refusal(415, f"{name!r} holds text, not a file; send the {what} itself, not its address")
    given = value.filename or ""
    # Other unprintable characters are common: macOS screenshots have a narrow space in their names.
    odd = any(unicodedata.category(letter) in ("Cc", "Cs") for letter in given)  # control characters, half a pair
    if odd or len(given.encode()) > MAX_NAME_BYTES:
        raise Refusal(
            400, f"the file's name must be at most {MAX_NAME_BYTES} bytes without control characters; rename it"
        )


class _InMemoryParser(MultiPartParser):
    """Form parser that keeps files in memory: the body is there already and its size is limited."""

    spool_max_size = 1 << 40
