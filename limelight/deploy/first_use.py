"""Exports of weights that are used by name: made when a runtime first needs them, in the user's cache."""

import sys
from pathlib import Path

from limelight.foundation.cache import cache_folder
from limelight.inference.runtimes import parse
from limelight.models.weights import read_card
from limelight.models.zoo.names import find_weights_folder, is_ours

FASTEST = "openvino-fp32"
"""What 'auto' stands for, where its package is installed."""


def with_export(source: Path | str, runtime: str, *, lasting: bool = False) -> Path:
    """Return the weights folder of a path or a name that has the runtime's file.

    Weights folders of the user's are returned as they are. Published weights are fetched at their first use. Of them,
    and of weights that come with the package, whose folder may not be writable, a copy with the export is made on first
    use below `cache()`, and used from then on.

    Args:
        runtime: 'auto' is served by an export that is there, and makes one only if `lasting`.
        lasting: many pictures are to come, which repay the seconds that an export takes.

    Raises:
        UserError: an unknown name or runtime, weights that cannot be fetched, are damaged or cannot be exported, or a
            cache that cannot be written.
    """
    folder = find_weights_folder(source)
    chosen = parse(FASTEST if runtime == "auto" else runtime)
    if not is_ours(folder) or not chosen.exported:
        return folder
    place = cache() / f"{folder.name}-{read_card(folder).provenance.sha256[:12]}-{chosen.export_name}"
    if chosen.file(place).is_file():
        return place
    if runtime == "auto" and not (lasting and chosen.installed):
        return folder
    _make(folder, place, chosen.export_name)
    return place


def cache() -> Path:
    """Where these exports lie."""
    return cache_folder("exports")


def _make(folder: Path, place: Path, runtime: str) -> None:
    from limelight.deploy.merged import export_weights

    print(f"exporting {folder.name} to {runtime}, once; it stays in {place}", file=sys.stderr)
    export_weights(folder, place, [runtime])
