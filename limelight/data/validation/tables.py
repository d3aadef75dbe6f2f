"""The two tables that are validated: the manifest with a few derived columns, and what decoding samples shows."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from limelight.data.census import Finding
from limelight.data.classes import label_values
from limelight.data.manifest import COLUMNS, Sample
from limelight.data.threads import in_threads
from limelight.data.validation.duplicates import Duplicate
from limelight.foundation.errors import UserError
from limelight.imaging.images import read_companion, read_image
from limelight.imaging.masks import read_mask

if TYPE_CHECKING:
    import pandas as pd

MANIFEST_COLUMNS = (*COLUMNS, "pixels", "class_count", "files_present", "splits_of_image", "duplicate_of", "faint_mask")
DECODED_COLUMNS = (
    "sample_id",
    "dataset",
    "split",
    "sensor",
    "labels",
    "error",
    "size_matches",
    "image_std",
    "mask_mean",
    "mask_empty",
    "mask_full",
    "mask_binary",
    "companion_std",
)
_NEARLY = 0.1
"""A mask's pixel this close to 0 or 1 counts as black or white."""
_BINARY_PIXELS = 0.95
"""Share of such pixels in a nearly black and white mask; its soft edge is the rest."""
_SLOW = 500
"""Fewer than where files are only hashed: each is decoded."""


def manifest_table(
    samples: Sequence[Sample], odd_masks: Sequence[Finding] = (), duplicates: Sequence[Duplicate] = ()
) -> "pd.DataFrame":
    """One row per sample: the manifest's columns and `pixels`, `class_count`, `files_present` (its image, mask and
    companion exist), `splits_of_image` (how many splits hold this file), `duplicate_of` (a sample of an earlier split
    that shows the same picture; else null) and `faint_mask` (the highest level of a mask that is at fault; else
    null)."""
    import pandas as pd

    table = pd.DataFrame([asdict(sample) for sample in samples], columns=list(COLUMNS))
    splits: dict[str, set[str]] = defaultdict(set)
    for sample in samples:
        splits[sample.sha256].add(sample.split)
    table["classes"] = [", ".join(sample.classes) for sample in samples]
    table["pixels"] = [sample.width * sample.height for sample in samples]
    table["class_count"] = [len(sample.classes) for sample in samples]
    table["files_present"] = [_files_exist(sample) for sample in samples]
    table["splits_of_image"] = [len(splits[sample.sha256]) for sample in samples]
    copies = {one.other: one.sample_id for one in duplicates}
    table["duplicate_of"] = [copies.get(sample.sample_id) for sample in samples]
    faint = {one.sample_id: f"at most {one.detail}" for one in odd_masks if one.state == "fault"}
    table["faint_mask"] = [faint.get(sample.sample_id) for sample in samples]
    return table


def _files_exist(sample: Sample) -> bool:
    return all(Path(path).is_file() for path in (sample.image, sample.mask, sample.companion) if path)


def choose(samples: Sequence[Sample], per_dataset: int) -> list[Sample]:
    """Up to `per_dataset` samples of each dataset, drawn by a fixed seed, in the manifest's order."""
    members: dict[str, list[int]] = defaultdict(list)
    for position, sample in enumerate(samples):
        members[sample.dataset].append(position)
    rng = np.random.default_rng(0)
    chosen = [
        int(position)
        for positions in members.values()
        for position in rng.choice(positions, min(per_dataset, len(positions)), replace=False)
    ]
    return [samples[position] for position in sorted(chosen)]


def decoded_table(samples: Sequence[Sample]) -> "pd.DataFrame":
    """One row per sample of what decoding it shows; levels in [0, 1], absent measurements are null.

    `mask_empty`, `mask_full` and `mask_binary` are 0 or 1, so that their means are shares.
    """
    import pandas as pd

    rows = in_threads(_decode, samples, "decoding samples", slow=_SLOW)
    return pd.DataFrame(rows, columns=list(DECODED_COLUMNS))


def _decode(sample: Sample) -> dict[str, Any]:
    row: dict[str, Any] = {
        name: getattr(sample, name) for name in ("sample_id", "dataset", "split", "sensor", "labels")
    } | dict.fromkeys(DECODED_COLUMNS[5:])
    try:
        image = read_image(sample.image)
        row["size_matches"] = image.shape[:2] == sample.size
        row["image_std"] = float(image.std()) / 255
        if sample.companion:
            row["companion_std"] = float(read_companion(sample.companion, depth=sample.sensor == "rgbd").std())
        if sample.mask and sample.labels == "classes":
            label_values(Path(sample.mask))
        elif sample.mask:
            row |= _mask_figures(read_mask(sample.mask, size=sample.size))
    except UserError as error:
        row["error"] = str(error)
    return row


def _mask_figures(mask_HW: np.ndarray) -> dict[str, float]:
    nearly = (mask_HW < _NEARLY) | (mask_HW > 1 - _NEARLY)
    return {
        "mask_mean": float(mask_HW.mean()),
        "mask_empty": float(mask_HW.max() < 0.5),
        "mask_full": float(mask_HW.min() >= 0.5),
        "mask_binary": float(nearly.mean() >= _BINARY_PIXELS),
    }
