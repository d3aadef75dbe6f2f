"""Sources of datasets. Each provides and verifies one folder, or raises with instructions."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from limelight.config import DatasetRequest
from limelight.data.catalogue import catalogue, labels_of, lookup, sensor_of
from limelight.data.dataset import OWN_LICENCE, UNKNOWN_LICENCE
from limelight.data.hashes import HashCache, file_hashes, tree_hash
from limelight.data.index import DATASETS, Entry, portable
from limelight.data.sources import archive, embedded, local, manual, rendered
from limelight.foundation.close_names import close_names
from limelight.foundation.errors import UserError

_ALIASES = {
    "nju2k": "NJUD",
    "nju2000": "NJUD",
    "nju": "NJUD",
    "dut-rgbd": "DUTLF",
    "dutrgbd": "DUTLF",
    "dutlf-depth": "DUTLF",
    "dutomron": "DUT-OMRON",
    "hkuis": "HKU-IS",
    "pascals": "PASCAL-S",
    "davis16": "DAVIS",
    "davis2016": "DAVIS",
    "davis-2016": "DAVIS",
    "voc": "PASCAL-VOC",
    "voc2012": "PASCAL-VOC",
    "cocostuff": "COCO-Stuff",
}
"""What papers call datasets of the catalogue, in small letters."""


@dataclass(frozen=True)
class DataSource:
    """A kind of source: its name in the index, and the function that provides the folder and returns it."""

    name: str
    fetch: Callable[[DatasetRequest, HashCache], Path]


def source_of(request: DatasetRequest) -> DataSource:
    """Choose the source of a request.

    Raises:
        UserError: the name is not in the catalogue, and there is neither a path nor a url.
    """
    entry = lookup(request.name)
    if request.path:
        return DataSource("local", local.fetch)
    if request.render:
        return DataSource("rendered", rendered.fetch)
    if request.url:
        return DataSource("archive", archive.fetch)
    if entry and entry.pack:
        return DataSource("embedded", embedded.fetch)
    if entry and not entry.homepage:
        raise UserError(f"dataset {request.name} is drawn; give it `render: {{scenes: ...}}` in params.yaml")
    if entry or (DATASETS / request.name).is_dir():
        return DataSource("manual", manual.fetch)
    close = close_names(request.name, catalogue(), _ALIASES)
    meant = f"did you mean {' or '.join(close)}? Else " if close else ""
    raise UserError(
        f"dataset {request.name!r} is not in the catalogue (docs/data.md); {meant}give it a `path`, or a `url` and "
        "`sha256`"
    )


def fetch(request: DatasetRequest, cache: HashCache) -> Entry:
    """Provide a dataset's folder and verify it.

    Returns:
        Its entry for the index.

    Raises:
        UserError: it is unavailable; the text says what to do.
    """
    source = source_of(request)
    sensor, labels = sensor_of(request), labels_of(request)  # raises before anything is fetched
    root = source.fetch(request, cache)
    hashes = file_hashes(root, cache)
    if not hashes:
        raise UserError(f"dataset {request.name}: {root} is empty; fill it or remove it")
    return Entry(
        root=portable(root),
        files=len(hashes),
        sha256=tree_hash(hashes),
        source=source.name,
        licence=_licence(request, source),
        sensor=sensor,
        labels=labels,
        layout=request.layout.model_dump() if request.layout else None,
    )


def _licence(request: DatasetRequest, source: DataSource) -> str:
    if source.name == "rendered":
        return OWN_LICENCE
    entry = lookup(request.name)
    if entry:
        return entry.licence
    return "your own" if source.name == "local" else UNKNOWN_LICENCE
