"""Trust on first use: hashes of files whose authors publish none, as the first fetch found them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from limelight.download.hashes import Hash
from limelight.download.turns import alone
from limelight.foundation.files import read_json, write_json
from limelight.models.zoo.pin import Pin
from limelight.models.zoo.places import cache


def record_file() -> Path:
    """The lock file: name -> url and sha256."""
    return cache() / "hashes.json"


def expected_hash(pin: Pin) -> Hash | None:
    """The hash that a pin's file must have: the published one, else the one recorded; None = it was never fetched.

    Raises:
        UserError: the record is damaged.
    """
    if pin.expected is not None:
        return pin.expected
    known = _records().get(pin.name, {})
    return Hash("sha256", known["sha256"]) if known.get("url") == pin.url else None


def remember(pin: Pin, sha256: str) -> None:
    """Record the hash of a file that was fetched for the first time, unless one is published.

    Raises:
        UserError: the record cannot be written.
    """
    with alone(record_file()):
        write_json(record_file(), {**_records(), pin.name: {"url": pin.url, "sha256": sha256}})


def _records() -> Mapping[str, Any]:
    return read_json(record_file()) if record_file().is_file() else {}
