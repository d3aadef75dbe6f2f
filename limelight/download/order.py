"""What is to be downloaded."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from limelight.download.hashes import Hash
from limelight.foundation.errors import UserError

Announce = Callable[[int | None], None]
"""Called with the file's size in bytes, if the server says it."""


def _silently(size: int | None) -> None:
    pass


@dataclass(frozen=True)
class Order:
    """One file of the net, and what is known of it."""

    url: str
    expected: Hash | None
    """None = any contents are taken."""
    most: int | None = None
    """Bytes; a larger file is refused. None = no limit."""
    announce: Announce = _silently
    """Called once, before the first byte is written."""
    advice: str = "check the address and the hash"
    """What to do where the hash differs."""

    @property
    def shown(self) -> str:
        """The address as messages have it, without a user's name and password."""
        return re.sub(r"^(\w+://)[^/?#]*@", r"\1", self.url)

    @property
    def name(self) -> str:
        """The last part of the address."""
        return self.url.partition("?")[0].rstrip("/").rsplit("/", 1)[-1]

    def check_size(self, size: int) -> None:
        """Refuse a file of more bytes than allowed.

        Raises:
            UserError: it has more.
        """
        if self.most is not None and size > self.most:
            raise UserError(f"{self.shown} sends more than {self.most:,} bytes; nothing was kept: {self.advice}")


def check_is_no_page(url: str, start: bytes, content_type: str = "") -> None:
    """Refuse a web page in place of a file: a proxy's or a host's message, sent with the status of a success.

    Args:
        start: the first bytes.

    Raises:
        UserError: it is one.
    """
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if content_type.lower().startswith("text/html") or text.startswith((b"<!doctype html", b"<html")):
        raise UserError(
            f"{url} sends a web page instead of the file, as proxies and hosts do that want a log-in or have reached a "
            "limit; nothing was kept: open the address in a browser to see what it says"
        )
