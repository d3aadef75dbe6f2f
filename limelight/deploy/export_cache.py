"""Exports of weights that are used by name: made when a runtime first needs them, in the user's cache."""

import hashlib
import sys
from pathlib import Path

from limelight.foundation.cache import cache_folder
from limelight.foundation.errors import UserError
from limelight.inference.runtimes import Runtime, parse
from limelight.models.weights import empty_network, read_card
from limelight.models.zoo.names import find_weights_folder, is_ours

FASTEST = "openvino-fp32"
"""What 'auto' stands for, where its package is installed."""


def with_export(source: Path | str, runtime: str, *, lasting: bool = False) -> Path:
    """Return the weights folder of a path or a name that has the runtime's file.

    Weights folders of the user's are returned as they are. Published weights are fetched at their first use. Of them,
    and of weights that come with the package, whose folder may not be writable, a copy with the export is made on first
    use below `cache()`, and used from then on.

    Args:
        runtime: 'auto' is served by an export that is there, and makes one only if `lasting` and where one can serve:
            not of a network whose exports have fixed sides, if its pictures keep their proportions.
        lasting: many pictures are to come, which repay the seconds that an export takes.

    Raises:
        UserError: an unknown name or runtime, one of 8 bits, which pictures of the user's are to calibrate, weights
            that cannot be fetched, are damaged or cannot be exported, or a cache that cannot be written.
    """
    folder = find_weights_folder(source)
    chosen = parse(FASTEST if runtime == "auto" else runtime)
    if not is_ours(folder) or not chosen.exported:
        return folder
    if chosen.number_format == "int8":
        name = Path(source).name
        raise UserError(
            f"{chosen.name} is calibrated with pictures like yours: limelight export {name} --runtime {chosen.name} "
            f"--pictures FOLDER -o artifacts/{name}-int8, then --model artifacts/{name}-int8"
        )
    there = chosen.file(_place(folder, chosen)).is_file()
    if runtime == "auto" and not there and (not lasting or not chosen.installed or _takes_no_export(folder)):
        return folder
    return cached_export(folder, chosen)


def _takes_no_export(folder: Path) -> bool:
    """Whether pictures come in sizes of their own, and exports of the network have one."""
    card = read_card(folder)
    if card.prepare.policy == "stretch":
        return False
    capabilities = empty_network(folder, card).capabilities
    return capabilities.fixed_export or capabilities.size is not None


def cached_export(folder: Path, runtime: Runtime, *, pictures: Path | None = None) -> Path:
    """Return a copy of a weights folder in its inference form, with a runtime's export; made unless it is there.

    Args:
        pictures: to calibrate 8-bit exports with.

    Raises:
        UserError: see `limelight.deploy.inference_form.export_weights`.
    """
    place = _place(folder, runtime, pictures)
    if not runtime.file(place).is_file():
        _make(folder, place, runtime, pictures)
    return place


def cache() -> Path:
    """Where these exports lie."""
    return cache_folder("exports")


def _place(folder: Path, runtime: Runtime, pictures: Path | None = None) -> Path:
    card = read_card(folder)
    described = hashlib.sha256(card.model_dump_json().encode()).hexdigest()[:8]
    name = f"{folder.name}-{card.provenance.sha256[:12]}-{runtime.export_name}-{described}"
    if runtime.number_format == "int8" and pictures is not None:
        name += f"-{_state_of(pictures)}"
    return cache() / name


def _state_of(pictures: Path) -> str:
    """A short hash that changes with the files of a folder, or with a file."""
    files = sorted(path for path in (pictures.rglob("*") if pictures.is_dir() else [pictures]) if path.is_file())
    lines = [f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}\n" for path in files]
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()[:8]


def _make(folder: Path, place: Path, runtime: Runtime, pictures: Path | None) -> None:
    from limelight.deploy.inference_form import export_weights

    print(f"exporting {folder.name} to {runtime.export_name}, once; it stays in {place}", file=sys.stderr)
    export_weights(folder, place, [runtime.export_name], pictures if runtime.number_format == "int8" else None)
