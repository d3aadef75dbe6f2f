"""From a name to a weights folder: fetched and imported at the first use, in the user's cache from then on."""

import shutil
import sys
from pathlib import Path

from limelight.download.turns import alone
from limelight.foundation.errors import UserError
from limelight.foundation.files import sha256_file
from limelight.models.importers import import_published
from limelight.models.importers.files import Files
from limelight.models.weights import check_weights, read_card
from limelight.models.zoo.foreign import import_foreign
from limelight.models.zoo.obtain import obtained
from limelight.models.zoo.pin import ByHand, Onnx, Pin
from limelight.models.zoo.places import folder_of
from limelight.models.zoo.record import expected_hash, record_file, remember


def published_folder(pin: Pin) -> Path:
    """Return the weights folder of a name, making it first if it is not there; one process at a time.

    Raises:
        UserError: the file cannot be fetched or has another hash, it is not the network that it should be, or the
            cache cannot be written. Nothing is left of the weights folder then.
    """
    place = folder_of(pin)
    if is_here(pin):
        return place
    if isinstance(pin.content, ByHand):
        raise UserError(
            f"how the files of {pin.name} are packed is not known here; get {pin.file} from {pin.url}, unpack them, "
            f"and: {pin.content.command}"
        )
    with alone(place):
        if not is_here(pin):
            _make(pin, place)
    return place


def whole_folder(pin: Pin) -> Path:
    """As `published_folder`, for use later: a weights folder that was damaged since is made anew.

    Raises:
        UserError: as `published_folder`.
    """
    place = published_folder(pin)
    if _damage(place) is None:
        return place
    with alone(place):
        if damage := _damage(place):  # still: another process may have made it anew meanwhile
            print(f"{pin.name} is made anew: {damage}", file=sys.stderr)
            if place.exists():  # else the other process could not make it
                shutil.rmtree(place)
            _make(pin, place)
    return place


def is_here(pin: Pin) -> bool:
    """Whether the weights folder of a name is there, and of this version."""
    try:
        read_card(folder_of(pin))
    except UserError:
        return False
    return True


def _damage(place: Path) -> UserError | None:
    """Why a weights folder cannot be used, if it cannot."""
    try:
        check_weights(place, read_card(place))
    except UserError as error:
        return error
    return None


def _make(pin: Pin, place: Path) -> None:
    with obtained(pin) as file:
        digest = sha256_file(file)
        _import(pin, file, place, digest)
        if expected_hash(pin) is None:  # only now: the file has proved to be the network
            remember(pin, digest)
            print(
                f"{pin.name}: no hash is published; sha256 {digest} is recorded in {record_file()}, and later fetches "
                "must have it",
                file=sys.stderr,
            )


def _import(pin: Pin, file: Path, place: Path, digest: str) -> None:
    content, origin = pin.content, f"published as {pin.url}"
    if isinstance(content, Onnx):
        import_foreign(pin, content, file, place, f"{file.name}, sha256 {digest}, {origin}")
    elif not isinstance(content, ByHand):
        import_published(
            content.network,
            place,
            Files(file, sha256=digest),
            licence=pin.terms_of_use,
            trained_on=content.trained_on,
            options=content.options,
            size=content.size,
            prepare=content.prepare,
            origin=origin,
        )
