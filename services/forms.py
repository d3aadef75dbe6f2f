"""Validation of uploaded forms before the service sees them."""

import json
import unicodedata
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field

from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartParser

FIELD = "image"
MAX_NAME_BYTES = 200
"""Bytes; the uploaded file's name becomes part of a temporary file's."""
MAX_TEXT_BYTES = 16 << 10
"""Bytes of a text field."""


class Refusal(Exception):
    """A request refused before the service sees it."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class Form:
    """The fields of one kind of upload. Each may come once; the picture must."""

    fields_message: str
    """End of the error message for a form with other fields; it begins "the form must have the picture's file as"."""
    files: frozenset[str] = frozenset()
    """Fields that may hold a file besides the picture."""
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
        kind = media_type(headers)
        if kind != "multipart/form-data":
            reason = f"content type {kind!r} is not accepted; send multipart/form-data with the file as {FIELD!r}"
            raise Refusal(415, reason)
        form = await self._read(headers, body)
        fields = form.multi_items()
        await form.close()
        self._check_names([name for name, _ in fields])
        for name, value in fields:
            if name in self.texts:
                _check_text(name, value, self.choices.get(name))
            else:
                _check_file(name, value)

    async def _read(self, headers: Headers, body: bytes) -> FormData:
        async def stream() -> AsyncGenerator[bytes, None]:
            yield body

        limits = {"max_files": 2 + len(self.files), "max_fields": 1 + len(self.texts), "max_part_size": MAX_TEXT_BYTES}
        try:
            return await _InMemoryParser(headers, stream(), **limits).parse()
        except Exception as error:  # hostile bytes can raise anything, and an escaping exception stalls the request
            reason = getattr(error, "message", "its encoding is wrong")
            raise Refusal(400, f"the form cannot be read ({reason}); send one file as {FIELD!r}") from error

    def _check_names(self, names: list[str]) -> None:
        given = set(names)
        complete = {FIELD, *self.needs} <= given <= {FIELD, *self.files, *self.texts}
        missing_partner = [name for name, other in self.requires_field.items() if name in given and other not in given]
        if not complete or missing_partner or len(names) > len(given):
            raise Refusal(
                400, f"the form must have the picture's file as {FIELD!r} {self.fields_message}; nothing else"
            )


def media_type(headers: Headers) -> str:
    """The content type without its parameters; empty where there is none."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _check_text(name: str, value: UploadFile | str, choices: tuple[str, ...] | None) -> None:
    if not isinstance(value, str) or (choices and value not in choices):
        raise Refusal(400, f"{name!r} must be text{', one of ' if choices else ''}{', '.join(choices or ())}")
    try:
        json.loads(value)  # as BentoML does, which catches only JSONDecodeError
    except json.JSONDecodeError:
        pass
    except (ValueError, RecursionError) as error:
        raise Refusal(400, f"{name!r} cannot be read; send plain text") from error


def _check_file(name: str, value: UploadFile | str) -> None:
    if not isinstance(value, UploadFile):
        raise Refusal(415, f"{name!r} holds text, not a file; send the picture itself, not its address")
    given = value.filename or ""
    # Other unprintable characters are common: macOS screenshots have a narrow space in their names.
    if len(given.encode()) > MAX_NAME_BYTES or any(unicodedata.category(letter) == "Cc" for letter in given):
        raise Refusal(
            400, f"the file's name must be at most {MAX_NAME_BYTES} bytes without control characters; rename it"
        )


class _InMemoryParser(MultiPartParser):
    """Form parser that keeps files in memory: the body is there already and its size is limited."""

    spool_max_size = 1 << 40
