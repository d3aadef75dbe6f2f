"""Label a large pool of pictures with a teacher's maps: a dataset that students learn from.

Maps are kept by content: a map's file is named by its picture's hash, its folder by all that the maps depend on
besides. So each is computed once, by whichever process comes to it, for whatever pools the picture is in; an
interrupted run goes on where it was, and the result is the same for any number of workers.
"""

import fcntl
import hashlib
import json
import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from limelight.deploy.export_cache import with_export
from limelight.foundation.cache import cache_folder
from limelight.foundation.errors import UserError
from limelight.foundation.files import atomic_path, sha256_file
from limelight.imaging.images import read_picture
from limelight.imaging.map_store import place_of, write_map
from limelight.inference.loading import load
from limelight.inference.plan import Plan, Request, plan
from limelight.inference.saliency import SaliencyPredictor
from limelight.media.sources import Source
from limelight.models.weights import read_card
from limelight.predict.failures import Failure

IMAGES, MASKS = "images", "masks"
MARKER = ".limelight-maps.json"
"""File of each written dataset, which alone may be replaced. It is hidden: readers and hashes of datasets skip it."""
_STORE = re.compile("[0-9a-f]{16}")
"""Names of the folders that `Teacher.store` returns."""
_FICLONE = 0x40049409
"""Linux's request to copy a file by sharing its blocks (ioctl_ficlone(2)); Python has no name for it."""


@dataclass(frozen=True)
class Teacher:
    """What makes the maps."""

    model: str
    """A weights folder or a name."""
    runtime: str = "auto"
    threads: int = 1
    """Of each worker; the maps' last digits may depend on it."""
    size: int | None = None
    """See `limelight.inference.plan.Request`."""

    @cached_property
    def folder(self) -> Path:
        """Weights with the runtime's export, made or fetched where they are not there yet."""
        return with_export(self.model, self.runtime, lasting=True)

    def plan(self) -> Plan:
        """
        Raises:
            UserError: as `limelight.inference.plan.plan`, or it makes no saliency maps.
        """
        card = read_card(self.folder)
        if card.architecture.task != "saliency":
            raise UserError(f"{self.model} makes no saliency maps ({card.architecture.task}); choose another teacher")
        return plan(self.folder, card, self._request)

    def store(self, root: Path | None = None) -> Path:
        """The folder of its maps below `root`; None = the user's cache, which only this machine sees."""
        planned = self.plan()
        card, runtime = planned.card, planned.runtime
        facts = [card.provenance.sha256, card.prepare.model_dump(), card.finish.model_dump(), runtime.engine]
        text = json.dumps([*facts, runtime.computed_in(), self.threads], sort_keys=True)
        return (root or cache_folder("maps")) / hashlib.sha256(text.encode()).hexdigest()[:16]

    def open(self) -> SaliencyPredictor:
        predictor = load(self.folder, self._request)
        assert isinstance(predictor, SaliencyPredictor), "see plan"
        return predictor

    @property
    def _request(self) -> Request:
        return Request(self.runtime, "cpu", self.threads, self.size)


def add_maps(teacher: Teacher, store: Path, pictures: Sequence[Path]) -> list[Failure]:
    """Add the maps of pictures to a teacher's store, but those that are there.

    Returns:
        The pictures that cannot be read, each with the reason.
    """
    failures = []
    for picture in pictures:
        try:
            target = map_path(store, picture)
            if not target.is_file():
                image_HW3 = read_picture(picture).photo.image_HW3
                (prediction,) = _opened(teacher).predict([image_HW3], batch_size=1)
                write_map(target, prediction.saliency_HW)
        except UserError as error:
            failures.append((picture, str(error)))
    return failures


def map_path(store: Path, picture: Path) -> Path:
    """Where the map of a picture is."""
    return place_of(store, sha256_file(picture))


def check_replaceable(folder: Path) -> None:
    """Refuse a folder that holds something else than a dataset of `write_dataset`, which replaces it as a whole.

    Raises:
        UserError: it does, or it is a file.
    """
    if folder.is_file():
        raise UserError(f"{folder} is a file, but a dataset is a folder; choose another name")
    if folder.exists() and any(folder.iterdir()) and not (folder / MARKER).is_file():
        raise UserError(
            f"{folder} is not empty, and no dataset of maps written by Limelight (it has no {MARKER}); choose another "
            "folder"
        )


def stores_below(root: Path | None) -> list[Path]:
    """The folders of any teacher's maps below `root`, see `Teacher.store`, whose contents are no pictures to label."""
    return [path for path in (root or cache_folder("maps")).glob("*") if _STORE.fullmatch(path.name) and path.is_dir()]


def check_names(sources: Sequence[Source]) -> None:
    """Refuse pictures whose masks would have the same name.

    Raises:
        UserError: two differ by their suffix alone.
    """
    places: dict[str, Source] = {}
    for source in sources:
        other = places.setdefault(str(source.below.with_suffix("")), source)
        if other is not source:
            raise UserError(f"{other.path} and {source.path} would have the same map; rename one")


def write_dataset(store: Path, sources: Sequence[Source], folder: Path) -> int:
    """Write a dataset of the pictures whose maps are in the store: copies, in `images` and `masks`.

    Both may be edited there: neither the pictures nor the store change with them. Disks that can (Btrfs, XFS) keep
    what is equal once.

    Args:
        folder: replaced if this function wrote it.

    Returns:
        The number of pictures.

    Raises:
        UserError: two pictures differ by their suffix alone, or `folder` holds something else.
    """
    check_replaceable(folder)
    check_names(sources)
    count = 0
    with atomic_path(folder) as scratch:
        for source in sources:
            made = map_path(store, source.path)
            if made.is_file():
                _copy(source.path, scratch / IMAGES / source.below)
                _copy(made, scratch / MASKS / source.below.with_suffix(".png"))
                count += 1
        about = {"what": "pictures and a teacher's maps; this folder is replaced as a whole", "maps": store.name}
        (scratch / MARKER).write_text(json.dumps(about), encoding="utf-8")
    return count


def _copy(source: Path, target: Path) -> None:
    """Copy a file's contents; where the disk can, both share their blocks until one is changed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb") as reading, target.open("wb") as writing, suppress(OSError):
        fcntl.ioctl(writing, _FICLONE, reading.fileno())
        return
    shutil.copyfile(source, target)


@lru_cache(maxsize=1)
def _opened(teacher: Teacher) -> SaliencyPredictor:
    """The teacher, once in each process."""
    return teacher.open()
