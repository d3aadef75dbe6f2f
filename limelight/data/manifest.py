"""The manifest: one row per sample of every dataset, as Parquet."""

import hashlib
import json
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from limelight.config import Labels
from limelight.foundation.errors import UserError
from limelight.foundation.files import atomic_path
from limelight.models.card import Modality
from limelight.models.inputs import Size

MANIFEST = Path("data/lists/manifest.parquet")
_TREES = b"limelight.trees"


@dataclass(frozen=True)
class Sample:
    """One image, its files and metadata. Paths are relative to the repository's root, or absolute outside it."""

    sample_id: str
    """Unique: '<dataset>/<relative stem>', '<dataset>/<split>/...' where splits have folders of their own."""
    dataset: str
    split: str
    sensor: Modality
    """A camera alone, or with a depth or thermal sensor, whose picture is the companion."""
    labels: Labels
    """What `mask` holds; 'none' where there is no mask."""
    image: str
    companion: str | None
    """Depth or thermal picture, as `sensor` says."""
    mask: str | None
    """Saliency mask or map of class ids, as `labels` says; None = unlabelled."""
    clip: str | None
    """Unique within its dataset and split; None = a still."""
    frame: int | None
    """Number within the clip; frames that were left out leave gaps."""
    classes: tuple[str, ...]
    """Names of the classes present; empty without a map of class ids."""
    width: int
    height: int
    sha256: str
    """Of the image file."""

    @property
    def modality(self) -> Modality:
        """The modality as network input: the sensor's if the companion exists, else 'rgb'."""
        return self.sensor if self.companion else "rgb"

    @property
    def size(self) -> Size:
        return self.height, self.width


COLUMNS = tuple(field.name for field in fields(Sample))


def _schema() -> Any:
    import pyarrow as pa

    kinds = {"frame": pa.int32(), "width": pa.int32(), "height": pa.int32(), "classes": pa.list_(pa.string())}
    optional = {"companion", "mask", "clip", "frame"}
    return pa.schema([pa.field(name, kinds.get(name, pa.string()), nullable=name in optional) for name in COLUMNS])


def write_manifest(
    samples: Iterable[Sample], path: Path | str = MANIFEST, *, trees: dict[str, str] | None = None
) -> None:
    """Write the samples, whole or not at all; equal samples give an equal file.

    Args:
        trees: dataset -> hash of its whole folder. Kept in the file, so that it changes with the masks and companions
            too, which have no hash of their own.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [asdict(sample) for sample in samples]
    schema = _schema().with_metadata({_TREES: json.dumps(trees or {}, sort_keys=True).encode()})
    table = pa.table({name: [row[name] for row in rows] for name in COLUMNS}, schema=schema)
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_manifest(
    path: Path | str = MANIFEST,
    *,
    splits: Collection[str] | None = None,
) -> list[Sample]:
    """Read the samples in the file's order, all or those of the given splits.

    Raises:
        UserError: the file is missing or is not a manifest, or has no sample of a split.
    """
    rows = _read_table(path).to_pylist()
    check_splits(splits or (), {row["split"] for row in rows})
    return [
        Sample(**{**row, "classes": tuple(row["classes"])}) for row in rows if splits is None or row["split"] in splits
    ]


def check_splits(named: Collection[str], present: Collection[str]) -> None:
    """Refuse names of splits that no sample has: misspelt, they would be passed over.

    Raises:
        UserError: there is one.
    """
    if unknown := sorted({*named} - {*present}):
        raise UserError(
            f"no sample has the split {unknown[0]!r}; {MANIFEST} has the splits {', '.join(sorted(present)) or 'none'}"
        )


def manifest_trees(path: Path | str = MANIFEST) -> dict[str, str]:
    """Dataset -> hash of its whole folder when the manifest was written."""
    return json.loads((_read_table(path).schema.metadata or {}).get(_TREES, b"{}"))


def manifest_hash(samples: Iterable[Sample]) -> str:
    """Hash the samples' fields (SHA-256), whatever their order, to identify what a training ran on."""
    lines = sorted(json.dumps(asdict(sample), sort_keys=True, ensure_ascii=False) for sample in samples)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _read_table(path: Path | str) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not Path(path).is_file():
        raise UserError(f"{path} does not exist; run the prepare stage (dvc repro prepare)")
    try:
        table = pq.read_table(path)
    except pa.ArrowException as error:
        raise UserError(f"{path} is not a Parquet file ({error}); run the prepare stage anew") from None
    if tuple(table.column_names) != COLUMNS:
        raise UserError(
            f"{path} has columns {', '.join(table.column_names)}, not {', '.join(COLUMNS)}; run the prepare stage anew"
        )
    return table
