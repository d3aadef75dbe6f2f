"""Score other methods' published saliency maps by the same protocol."""

import sys
from collections.abc import Collection
from pathlib import Path

from limelight.config import SlowMeasure
from limelight.data.manifest import Sample
from limelight.evaluation.clips import score_with_clips
from limelight.evaluation.metrics import Scorer
from limelight.evaluation.scored import Datasets, Method
from limelight.foundation.errors import UserError

SUFFIXES = (".png", ".jpg", ".bmp")


def evaluate_maps_folder(
    folder: Path | str, datasets: Datasets, workers: int | None = None, slow: Collection[SlowMeasure] = ()
) -> Method:
    """Score a folder of precomputed maps.

    A map whose size differs from its ground truth is resized, bilinear, and reported.

    Args:
        folder: holds <sample id>.png, or <dataset>/<name of the image>.png as published archives do; .jpg and .bmp too.
        datasets: the samples of the maps; every sample has a mask.
        slow: the slow measures to compute too.

    Raises:
        UserError: no such folder, or maps are missing: a mean over the rest would not be comparable.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder of maps; correct evaluate.maps in params.yaml")
    map_paths, results = find_maps(folder, datasets), {}
    with Scorer(workers, slow) as scorer:
        for dataset, paths in map_paths.items():
            results[dataset] = score_with_clips(scorer, paths)
            if resized := results[dataset].resized:
                print(
                    f"{folder}: {len(resized)} of {len(paths)} maps of {dataset} had another size than their masks and "
                    f"were resized, {resized[0]} for one",
                    file=sys.stderr,
                )
    return Method(results, {sample.sample_id: path for paths in map_paths.values() for sample, path in paths})


def find_maps(folder: Path, datasets: Datasets) -> dict[str, list[tuple[Sample, Path]]]:
    """Find the map of each sample, by dataset.

    Raises:
        UserError: maps are missing; the message gives their number and the first five. Or two samples share a map.
    """
    pairs = {name: [(sample, _find(folder, sample)) for sample in group] for name, group in datasets.items()}
    missing = [sample.sample_id for group in pairs.values() for sample, path in group if path is None]
    if missing:
        total = sum(len(group) for group in pairs.values())
        raise UserError(
            f"{folder} lacks {len(missing)} of {total} maps: {', '.join(missing[:5])}{', ...' if missing[5:] else ''}; "
            "put them there as <dataset>/<name of the image>.png, or take the folder out of evaluate.maps"
        )
    found = {name: [(sample, path) for sample, path in group if path is not None] for name, group in pairs.items()}
    first: dict[Path, Sample] = {}
    for sample, path in (pair for group in found.values() for pair in group):
        if (other := first.setdefault(path, sample)) is not sample:
            raise UserError(
                f"{path} would be the map of both {other.sample_id} and {sample.sample_id}, whose images have the same "
                "name; name the maps <sample id>.png"
            )
    return found


def _find(folder: Path, sample: Sample) -> Path | None:
    names = (sample.sample_id, f"{sample.dataset}/{Path(sample.image).stem}")
    candidates = (folder / f"{name}{suffix}" for name in names for suffix in SUFFIXES)
    return next((path for path in candidates if path.is_file()), None)
