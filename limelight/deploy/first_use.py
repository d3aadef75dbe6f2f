"""Exports of weights that come with the package: made when a runtime first needs them, in the user's cache."""

import os
import sys
from pathlib import Path

from limelight.inference.runtimes import parse
from limelight.models import shipped
from limelight.models.weights import read_card

FASTEST = "openvino-fp32"
"""What 'auto' stands for, where its package is installed."""


def with_export(source: Path | str, runtime: str, *, lasting: bool = False) -> Path:
    """Return the weights folder of a path or a name that has the runtime's file.

    Weights folders of the user's are returned as they are. Of weights that come with the package, whose folder may not
    be writable, a copy with the export is made on first use below `cache()`, and used from then on.

    Args:
        runtime: 'auto' is served by an export that is there, and makes one only if `lasting`.
        lasting: many pictures are to come, which repay the seconds that an export takes.

    Raises:
        UserError: an unknown runtime, weights that are damaged or cannot be exported, or a cache that cannot be
            written.
    """
    folder = shipped.weights_folder(source)
    chosen = parse(FASTEST if runtime == "auto" else runtime)
    if folder.parent != shipped.FOLDER or not chosen.exported:
        return folder
    place = cache() / f"{folder.name}-{read_card(folder).provenance.sha256[:12]}-{chosen.export_name}"
    if chosen.file(place).is_file():
        return place
    if runtime == "auto" and not (lasting and chosen.installed):
        return folder
    _make(folder, place, chosen.export_name)
    return place


def cache() -> Path:
    """Where these exports lie: below XDG_CACHE_HOME, or ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "limelight" / "exports"


def _make(folder: Path, place: Path, runtime: str) -> None:
    from limelight.deploy.merged import export_weights

    print(f"exporting {folder.name} to {runtime}, once; it stays in {place}", file=sys.stderr)
    export_weights(folder, place, [runtime])
