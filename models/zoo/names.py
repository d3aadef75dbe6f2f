"""From what a user writes to a weights folder: a path, weights that come with the package, or a published name."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from limelight.foundation.close_names import close_names
from limelight.foundation.errors import UserError
from limelight.models import shipped
from limelight.models.zoo.folder import published_folder, whole_folder
from limelight.models.zoo.pins import PINS
from limelight.models.zoo.places import cache

_ALIASES = {
    "transparent-background": "inspyrenet-swinb.plus-ultra",
    "rmbg": "bria-rmbg",
    "rmbg-2.0": "bria-rmbg",
    "isnet": "isnet-general-use",
    "birefnet": "birefnet-general",
    "inspyrenet": "inspyrenet-swinb.plus-ultra",
    "stdnet": "sdnet.duts",
}
"""What others call these weights, in small letters."""


def find_weights_folder(source: Path | str) -> Path:
    """Return the weights folder of a path or a name; what is here goes before shipped weights, they before published.

    Published weights are fetched and imported at the first use.

    Raises:
        UserError: the name is unknown, or see `limelight.models.zoo.folder.published_folder`.
    """
    name, path = str(source), shipped.weights_folder(source)
    if path.exists():
        return path
    if name in PINS:
        return published_folder(PINS[name])
    if path.name == name:  # not where a folder should be: it was meant as a name
        raise UserError(f"{name!r} is neither a weights folder nor the name of weights; {advice(name)}")
    return path


def pull_published(names: Sequence[str]) -> Iterator[Path]:
    """Yield the weights folder of each published name, fetched if it is not there, made anew if it is damaged.

    Raises:
        UserError: a name is unknown, before anything is fetched; or as `find_weights_folder`.
    """
    for name in names:
        if name in shipped.shipped_names():
            raise UserError(f"{name!r} comes with Limelight; there is nothing to fetch, leave it out")
        if name not in PINS:
            raise UserError(f"{name!r} is not the name of published weights; {advice(name)}")
    for name in names:
        yield whole_folder(PINS[name])


def advice(name: str) -> str:
    """What to write instead of an unknown name."""
    close = close_names(name, [*shipped.shipped_names(), *PINS], _ALIASES)
    listed = "limelight weights lists published ones"
    return f"did you mean {' or '.join(close)}? {listed}" if close else listed


def is_ours(folder: Path) -> bool:
    """Whether a weights folder came with the package or lies in the cache: nothing is to be written beside it."""
    return folder.parent in (shipped.FOLDER, cache())
