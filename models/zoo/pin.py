"""A pin: one published file, where it is, what it must hash to and how it becomes a weights folder."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from limelight.download.hashes import Hash
from limelight.models.card import Triple

FORM = 1
"""Raised when the same file gives another weights folder than before, which is then made anew."""
MOST = 4 << 30
"""Bytes that a published file of unknown size may have."""


@dataclass(frozen=True)
class Checkpoint:
    """A file of PyTorch's or Paddle's weights, of a network that is in the registry."""

    network: str
    size: int
    """Side of the square that pictures are stretched to, pixels."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of the network, besides those that its family's published files need."""
    prepare: Mapping[str, Any] = field(default_factory=dict)
    """Of the card."""
    trained_on: tuple[str, ...] = ()


@dataclass(frozen=True)
class Onnx:
    """A network of somebody else's, as an ONNX file, used as rembg uses it."""

    size: int
    mean: Triple
    std: Triple
    logits: bool
    """Whether its map comes before its sigmoid."""
    network: str = "onnx"


@dataclass(frozen=True)
class ByHand:
    """Files whose packing is not known here: the user unpacks and imports them."""

    network: str
    size: int
    command: str
    """What imports them, after they are unpacked."""


@dataclass(frozen=True)
class Pin:
    """One name of published weights."""

    name: str
    content: Checkpoint | Onnx | ByHand
    url: str
    file: str
    """Its name here; the suffix says how it is read."""
    licence: str
    terms: str = ""
    """What the licence forbids, said before the transfer."""
    hash: str = ""
    """'sha256:...' or 'md5:...'; empty = none is published, see `limelight.models.zoo.record`."""
    bytes: int | None = None
    """None = not known here."""
    about: int | None = None
    """Megabytes, where the bytes are not known."""
    program: Literal["", "rembg", "transparent-background"] = ""
    """Whose users have the file on their disks."""

    @property
    def expected(self) -> Hash | None:
        """The published hash."""
        return Hash.parse(self.hash) if self.hash else None

    @property
    def most(self) -> int:
        """Bytes that the file may have."""
        return self.bytes or MOST

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def terms_of_use(self) -> str:
        """The licence, and what it forbids."""
        return f"{self.licence}; {self.terms}" if self.terms else self.licence

    def megabytes(self) -> str:
        """The file's size for people: '3.0', '~367', '?'."""
        if self.bytes is not None:
            return f"{self.bytes / 1e6:.1f}"
        return "?" if self.about is None else f"~{self.about}"

    @property
    def fingerprint(self) -> str:
        """12 hex digits that change when the weights folder does that is made of it."""
        text = json.dumps([FORM, type(self.content).__name__, asdict(self)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]
