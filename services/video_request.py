"""What a client asks to be made of its video or its frames."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limelight.foundation.errors import UserError
from limelight.inference.saliency import SaliencyPredictor
from limelight.inference.stream import Stream
from limelight.predict.styles import Style
from limelight.services.fields import share

KINDS = ("map", "rgba", "green", "white", "blur", "overlay")
"""Kinds of `limelight.media.outputs` of 8 bits. Its others are exact numbers, colours, and paths of pictures."""
NAMES = ("kind", "threshold", "smoothing", "look_ahead", "format")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


def schemas(formats: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """OpenAPI's schemas of these texts, by `NAMES`."""
    shares = {"type": "number", "minimum": 0, "maximum": 1}
    return {
        "kind": {"type": "string", "pattern": f"^({'|'.join((*KINDS, _COLOUR.pattern))})$"},
        "threshold": shares,
        "smoothing": shares | {"exclusiveMaximum": True, "default": 0},
        "look_ahead": {"type": "integer", "minimum": 0, "maximum": 999},
        "format": {"type": "string", "enum": [*formats]},
    }


@dataclass(frozen=True)
class VideoRequest:
    """The texts of a request, checked one by one; `style` and `stream` check whether they fit together.

    Raises:
        UserError: one is of none of its values.
    """

    texts: Mapping[str, str]
    """By `NAMES`; what is absent has its default."""
    formats: tuple[str, ...]
    """Allowed formats."""

    def __post_init__(self) -> None:
        for name in ("threshold", "smoothing"):
            if name in self.texts:
                share(name, self.texts[name])
        if "kind" in self.texts and self.texts["kind"] not in KINDS and not _COLOUR.fullmatch(self.texts["kind"]):
            # Never passed on: it could be the path of a file of this machine.
            raise UserError(f"'kind' must be one of {', '.join(KINDS)}, or a colour as '#rrggbb'")
        if "format" in self.texts and self.texts["format"] not in self.formats:
            raise UserError(f"'format' must be one of {', '.join(self.formats)}")
        if "look_ahead" in self.texts and not re.fullmatch(r"[0-9]{1,3}", self.texts["look_ahead"]):
            raise UserError(f"look_ahead {self.texts['look_ahead'][:40]!r} is not a number of frames; leave it out")

    @property
    def suffix(self) -> str | None:
        """Of files in the format, such as '.mp4'; None = the usual one."""
        return f".{self.texts['format']}" if "format" in self.texts else None

    @property
    def smoothing(self) -> float:
        return float(self.texts.get("smoothing", 0))

    @property
    def look_ahead(self) -> int | None:
        return int(self.texts["look_ahead"]) if "look_ahead" in self.texts else None

    def style(self, max_pixels: int, *, file_type: str = ".png", background: Path | None = None) -> Style:
        """What becomes of each frame.

        Args:
            max_pixels: of a frame, and of the background.
            file_type: that a frame is encoded as.
            background: a picture to put behind the object, as the kind.

        Raises:
            UserError: a kind and a background, an unreadable background, or no such kind in this type of file.
        """
        if background is not None and "kind" in self.texts:
            raise UserError("a 'background' is a kind of its own; leave 'kind' out")
        threshold = float(self.texts["threshold"]) if "threshold" in self.texts else None
        kind = self.texts.get("kind", "map") if background is None else str(background)
        return Style(kind, threshold=threshold, file_type=file_type, max_pixels=max_pixels)

    def stream(self, predictor: SaliencyPredictor) -> Stream:
        """A stream of its own for the frames.

        Raises:
            UserError: as `Stream`.
        """
        return Stream(predictor, smoothing=self.smoothing, look_ahead=self.look_ahead)
