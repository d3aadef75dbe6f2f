"""A weights folder: `model.safetensors`, `card.json` and, where a network needs more (a tokenizer), `assets/`. Nothing
here reads a pickle.

PyTorch is imported by the functions that need it alone: a card can be read, and an exported model served, without it.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from limelight.foundation.errors import UserError
from limelight.foundation.files import atomic_path, read_json, sha256_file, write_json
from limelight.models.card import Architecture, Card, Prepare
from limelight.models.inputs import Size
from limelight.models.registry import create_model, entry
from limelight.models.shipped import shipped_names

if TYPE_CHECKING:
    from limelight.models.base import Network

WEIGHTS, CARD, ASSETS = "model.safetensors", "card.json", "assets"


def describe(model: "Network", name: str, *, input_size: Size | None = None, **facts: Any) -> Card:
    """Make the card of a built network; `write_weights` fills in hashes and the number of parameters.

    Args:
        name: the model's registry name; its options are read from `model.build_options`.
        input_size: (height, width) in pixels; None = a square of the registry's size.
        facts: further fields, as `Card.derived` takes them; without `mean` and `std` they are the network's own.
    """
    defaults, capabilities = entry(name), model.capabilities
    architecture = Architecture(
        model=name,
        options=model.build_options,
        family=defaults.family,
        task=capabilities.task,
        inputs=model.inputs,
        modalities=capabilities.modalities,
    )
    prepare = Prepare(
        size=input_size or (defaults.input_size, defaults.input_size),
        divisor=capabilities.divisor,
        least=capabilities.min_side,
        mean=model.mean,
        std=model.std,
    )
    card = Card(architecture=architecture, prepare=prepare)
    return card.derived(**{"licence": defaults.licence, "independent": capabilities.independent, **facts})


def check_replaceable(folder: Path | str) -> None:
    """Refuse a folder of something else: weights take the place of all that is in theirs.

    Raises:
        UserError: it is not empty, and holds no weights.
    """
    folder = Path(folder)
    if folder.is_dir() and any(folder.iterdir()) and not (folder / CARD).is_file():
        raise UserError(f"{folder} is not empty, and no weights folder; choose another place, or empty it")


def save_weights(
    folder: Path | str, model: "Network", *, name: str, input_size: Size | None = None, **facts: Any
) -> Card:
    """Describe a network and write its weights folder; arguments as `describe`, returns as `write_weights`."""
    return write_weights(folder, model, describe(model, name, input_size=input_size, **facts))


def write_weights(folder: Path | str, model: "Network", card: Card) -> Card:
    """Write `model` as a weights folder, whole or not at all, replacing one that stood there.

    Args:
        card: its description, see `describe`.

    Returns:
        The card as written, with the hashes of the files and the number of parameters.

    Raises:
        UserError: the folder cannot be written, or holds something else.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    check_replaceable(folder)
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        state = {key: value.cpu().contiguous() for key, value in model.state_dict().items()}
        try:
            save_file(state, temporary / WEIGHTS)
        except SafetensorError as error:  # a full disk, say
            raise UserError(f"cannot write {folder}: {error}; free some space or choose another place") from error
        # save_file makes it readable by the owner alone, whatever the umask says.
        (temporary / WEIGHTS).chmod(temporary.stat().st_mode & 0o666)
        model.write_assets(temporary / ASSETS)
        card = card.derived(
            parameters=model.count_parameters(),
            sha256=sha256_file(temporary / WEIGHTS),
            assets=_hashes(temporary / ASSETS),
        )
        write_json(temporary / CARD, card.model_dump(mode="json"))
    return card


def read_card(folder: Path | str) -> Card:
    """Read a weights folder's card without touching its weights.

    Raises:
        UserError: no such folder, or its card is missing or malformed.
    """
    path = Path(folder) / CARD
    if not path.is_file():
        known = ", ".join(shipped_names())
        raise UserError(
            f"{folder} is not a weights folder: {CARD} is missing; train or import a model there first"
            + (f", or name one that comes with Limelight: {known}" if known else "")
        )
    try:
        return Card.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(
            f"{path}: {where}: {first['msg']}; the card was written by another version or by hand; "
            "make the weights anew (train, import or export them again)"
        ) from error


def load_weights(folder: Path | str) -> tuple["Network", Card]:
    """Re-create the network that a weights folder holds, in evaluation mode, on the CPU.

    Raises:
        UserError: a missing file, a hash that differs from the card's, a card that describes another network, or
            weights that do not fit the network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from limelight.models.state import load_strict

    card = read_card(folder)
    check_weights(folder, card)
    model = empty_network(folder, card)
    _check_described(model, card, Path(folder) / CARD)
    path = Path(folder) / WEIGHTS
    try:
        # Memory-mapped tensors would be unaligned, which changes the last bits of what is computed.
        state = load_file(path, backend="pread")
    except SafetensorError as error:
        raise UserError(f"{path} is no file of weights ({error}); get it anew, with its card") from error
    load_strict(model, state, str(path), assign=True)
    return model.eval(), card


def empty_network(folder: Path | str, card: Card) -> "Network":
    """Build the network of a weights folder without reading its weights; its parameters have no memory.

    Raises:
        UserError: unknown network, or an option that it does not take.
    """
    from limelight.models.empty import empty_parameters

    with empty_parameters():
        return create_model(card.architecture.model, **card.architecture.options, **assets_option(folder, card))


def _check_described(model: "Network", card: Card, path: Path) -> None:
    """Check that a card says of the network what the network says of itself: pictures are prepared by the card."""
    built = {"task": model.capabilities.task, "modalities": model.capabilities.modalities, "inputs": model.inputs}
    for field, own in built.items():
        if (stated := getattr(card.architecture, field)) != own:
            raise UserError(
                f"{path}: architecture.{field} is {stated!r}, but {card.architecture.model} has {own!r}; the card was "
                "changed by hand; restore the weights folder"
            )


def check_weights(folder: Path | str, card: Card) -> None:
    """Check that a folder holds the files that its card describes.

    Raises:
        UserError: a file is missing, or its hash differs from the card's.
    """
    path = Path(folder) / WEIGHTS
    if not path.is_file():
        raise UserError(f"{path} is missing; restore the weights folder (dvc checkout) or train again")
    digest, known = sha256_file(path), card.provenance
    if digest != known.sha256:
        raise UserError(
            f"{path} has sha256 {digest}, its card says {known.sha256}; the file was damaged or replaced; restore it"
        )
    if (actual := _hashes(Path(folder) / ASSETS)) != known.assets:
        names = sorted(
            name for name in actual.keys() | known.assets.keys() if actual.get(name) != known.assets.get(name)
        )
        raise UserError(f"{folder}/{ASSETS} does not match its card: {', '.join(names)}; restore the weights folder")


def assets_option(folder: Path | str, card: Card) -> dict[str, Path]:
    """The option of `create_model` that says where a weights folder's assets are; empty where it has none."""
    return {"assets": Path(folder) / ASSETS} if card.provenance.assets else {}


def _hashes(folder: Path) -> dict[str, str]:
    """Relative path -> SHA-256 of every file below a folder; empty where there is none."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256_file(path) for path in files}
