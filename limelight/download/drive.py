"""Files on Google Drive, through `gdown`, which knows the pages that Drive shows before a large file."""

import sys
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from limelight.download.order import Order, check_is_no_page
from limelight.foundation.errors import UserError, reason_of

_SNIFFED = 512


def is_drive(url: str) -> bool:
    """Whether an address is of Google Drive, which plain HTTP clients get no large file from."""
    return urlsplit(url).hostname == "drive.google.com"


def receive_drive(order: Order, target: Path, place: Path, attempts: int) -> None:
    """Fetch a file of Google Drive into `target`, from its beginning: Drive does not say whether a file has changed.

    Args:
        place: where the user may put the file instead.
        attempts: how often a transfer is continued that was interrupted.

    Raises:
        UserError: gdown is not installed, Drive refuses, or it sends a web page or too many bytes.
    """
    by_hand = f"or get {order.shown} with a browser and put it at {place}"
    if find_spec("gdown") is None:
        raise UserError(
            f"{place.name} is on Google Drive, which needs the package gdown: pip install 'limelight[drive]'; {by_hand}"
        )
    import gdown

    order.announce(None)
    try:
        gdown.download(
            order.url,
            str(target),
            quiet=not sys.stderr.isatty(),
            use_cookies=False,
            timeout=30.0,
            retries=attempts - 1,
            progress=lambda received, total: order.check_size(max(received, total or 0)),
        )
    except TypeError as error:
        raise UserError(f"{place.name} needs a later gdown ({error}): pip install 'limelight[drive]'") from error
    except Exception as error:  # gdown raises its own types, and those of what it parses Drive's pages with
        of_the_net = not isinstance(error, OSError) or type(error).__module__.startswith("requests")
        if isinstance(error, UserError) or not of_the_net:
            raise
        reason = reason_of(error, 300)
        raise UserError(f"{order.shown} cannot be fetched ({reason}); try again later, {by_hand}") from error
    with target.open("rb") as received:
        check_is_no_page(order.shown, received.read(_SNIFFED))
