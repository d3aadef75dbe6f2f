"""Networks, weights and datasets that are available, as lines of text; nothing here imports PyTorch."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from limelight.data.index import INDEX, read_index
from limelight.foundation.artifacts import ARTIFACTS
from limelight.foundation.errors import UserError
from limelight.models.card import Architecture, Card
from limelight.models.registry import entry, list_models
from limelight.models.shipped import FOLDER, shipped_names
from limelight.models.weights import CARD, read_card
from limelight.models.zoo.folder import is_here
from limelight.models.zoo.obtain import found_elsewhere
from limelight.models.zoo.pin import ByHand, Pin
from limelight.models.zoo.pins import PINS
from limelight.models.zoo.places import folder_of


def model_lines(pattern: str, artifacts: Path) -> list[str]:
    """List the networks whose names match a shell pattern, then their weights folders: shipped ones, and those below
    `artifacts`. A pattern may also match the weights' names; then their networks are listed with them.

    Raises:
        UserError: no name matches, or `artifacts` is given and not there.
    """
    if artifacts != ARTIFACTS and not artifacts.is_dir():
        raise UserError(f"{artifacts} is not a folder; give the one that holds weights folders, or leave it out")
    found, names = {**_shipped(), **find_weights(artifacts)}, list_models(pattern)
    if not names:
        found = {folder: card for folder, card in found.items() if fnmatchcase(folder.name, pattern)}
        names = sorted({card.architecture.model for card in found.values() if isinstance(card, Card)})
    if not (names or found):
        raise UserError(f"no network or weights are called {pattern!r}; there are {', '.join(list_models())}")
    networks = [("network", "family", "input", "options", "what")]
    for name in names:
        network = entry(name)
        networks.append((name, network.family, str(network.input_size), _options(network.options), network.summary))
    weights = [("weights", "network", "form", "takes", "input", "parameters", "sha256", "licence")]
    damaged = []
    for folder, card in found.items():
        if isinstance(card, UserError):
            damaged.append(f"{folder}  cannot be used: {card}")
        elif card.architecture.model in names:
            known, origin = card.architecture, card.provenance
            row = (
                known.model,
                _form(known),
                "+".join(known.modalities),
                "x".join(str(side) for side in card.prepare.size),
                f"{known.parameters:,}",
                origin.sha256[:12],
                origin.licence,
            )
            weights.append((str(folder), *row))
    lines = _table(networks)
    if len(weights) > 1 or damaged:
        return [*lines, "", *_table(weights), *damaged]
    return [
        *lines,
        "",
        f"no weights of these in {artifacts}; train some (dvc repro), import published ones (limelight import), or use "
        "some by name (limelight weights)",
    ]


def _form(known: Architecture) -> str:
    """Training or merged, and the kinds of difference convolutions of the option `difference`."""
    option = known.options.get("difference")
    return f"{known.form}, difference {' '.join(option['kinds'])}" if option else known.form


def _shipped() -> dict[Path, Card | UserError]:
    """The weights that come with the package, by their names."""
    return {Path(name): _card(FOLDER / name) for name in shipped_names()}


def find_weights(artifacts: Path) -> dict[Path, Card | UserError]:
    """Map each weights folder directly below `artifacts` to its card, or to the error in reading it."""
    return {path.parent: _card(path.parent) for path in sorted(artifacts.glob(f"*/{CARD}"))}


def _card(folder: Path) -> Card | UserError:
    try:
        return read_card(folder)
    except UserError as error:
        return error


def published_lines() -> list[str]:
    """List published weights by name, and where they are on this machine."""
    rows = [("weights", "network", "MB", "input", "licence", "host", "here")]
    for pin in PINS.values():
        rows.append(
            (
                pin.name,
                pin.content.network,
                pin.megabytes(),
                str(pin.content.size),
                pin.terms_of_use,
                pin.host,
                _where(pin),
            )
        )
    return _table(rows)


def _where(pin: Pin) -> str:
    if is_here(pin):
        return str(folder_of(pin))
    if isinstance(pin.content, ByHand):
        return "to be imported by hand"
    elsewhere = found_elsewhere(pin, checked=False)
    return f"not imported, but the file: {elsewhere}" if elsewhere else "no"


def data_lines() -> list[str]:
    """Describe the datasets of the catalogue and of this folder's index, and whether they are present."""
    from limelight.data.catalogue import catalogue

    here = read_index() if INDEX.is_file() else {}
    rows = [("dataset", "sensor", "labels", "expected", "here", "licence", "source")]
    for name, known in catalogue().items():
        present = f"{here[name].files} files" if name in here else "no"
        source = known.homepage or ("comes with it" if known.pack else "drawn")
        rows.append((name, known.sensor, known.labels, known.expected_text(), present, known.licence, source))
    for name in here.keys() - catalogue().keys():
        own = here[name]
        rows.append((name, own.sensor, own.labels, "", f"{own.files} files", own.licence, own.source))
    return _table(rows)


def _options(options: dict[str, object]) -> str:
    return " ".join(f"{key}={value}" for key, value in options.items()) or "-"


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(_pad(row, widths)).rstrip() for row in rows]


def _pad(row: Iterable[str], widths: Iterable[int]) -> list[str]:
    return [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
