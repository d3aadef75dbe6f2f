"""The published file of a pin: another program's, if it has the right hash, else fetched for the time of its import."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from limelight.download import download
from limelight.download.order import Order
from limelight.models.zoo.pin import Pin
from limelight.models.zoo.places import file_of, places_elsewhere
from limelight.models.zoo.record import expected_hash, record_file

MIRROR = "LIMELIGHT_WEIGHTS_URL"
"""Environment variable: a server that has the files as <name>/<file>; hashes hold for it as well."""


@contextmanager
def obtained(pin: Pin) -> Iterator[Path]:
    """Yield the file, checked. It is removed after the block, unless that fails and the file is right or was put there.

    Raises:
        UserError: see `limelight.download.download`.
    """
    if (path := found_elsewhere(pin)) is not None:
        _say(f"{pin.name}: using {path}, which is here for {pin.program}; licence: {pin.terms_of_use}")
        yield path
        return
    was_here = file_of(pin).is_file()
    file = download(order_of(pin), file_of(pin))
    try:
        yield file
    except BaseException:
        if expected_hash(pin) is None and not was_here:  # it may be the file that is wrong
            file.unlink(missing_ok=True)
        raise
    shutil.rmtree(file.parent, ignore_errors=True)


def order_of(pin: Pin) -> Order:
    """What is to be downloaded, and what is said before it."""
    mirror = os.environ.get(MIRROR, "").rstrip("/")
    url = f"{mirror}/{pin.name}/{pin.file}" if mirror else pin.url

    def announce(size: int | None) -> None:
        known = pin.bytes if size is None else size
        text = f"{known / 1e6:.1f} MB" if known else f"about {pin.about} MB" if pin.about else "of unknown size"
        _say(
            f"fetching {pin.name} once: {pin.file}, {text}, from {urlsplit(url).hostname}; licence: {pin.terms_of_use}"
        )

    return Order(url, expected_hash(pin), pin.most, announce, _advice(pin))


def found_elsewhere(pin: Pin, *, checked: bool = True) -> Path | None:
    """The file in another program's folder.

    Args:
        checked: it must have the expected hash; otherwise a file of that name is enough.
    """
    for path in places_elsewhere(pin):
        if not path.is_file():
            continue
        expected = expected_hash(pin)
        if not checked or expected is None or expected.fits(path):
            return path
        _say(f"{pin.name}: {path} has another {expected.algorithm} than the published file; it is left alone")
    return None


def _advice(pin: Pin) -> str:
    if pin.hash:
        return "it was damaged or replaced; try again, and if that does not help, do not use it"
    return (
        f"that is the hash of its first fetch, in {record_file()}; if its authors say that they replaced the file, "
        f"remove {pin.name} there"
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr)
