"""Other methods' maps: folders that their authors publish, scored by the same protocol."""

import sys
from collections.abc import Sequence
from pathlib import Path

from limelight.data.manifest import Sample
from limelight.evaluation.metrics import Scorer, Scores
from limelight.evaluation.protocol import by_dataset
from limelight.foundation.errors import UserError

SUFFIXES = (".png", ".jpg", ".bmp")


def evaluate_maps_folder(
    folder: Path | str, samples: Sequence[Sample], workers: int | None = None
) -> dict[str, Scores]:
    """Score a folder of precomputed maps.

    A map of another size than its ground truth is resized, bilinear, with a notice.

    Args:
        folder: holds <sample id>.png, or <dataset>/<name of the image>.png as published archives do; .jpg and .bmp too.
        samples: what the maps are of; those without a mask are passed over.

    Returns:
        Scores by dataset.

    Raises:
        UserError: no such folder, or maps are missing: a mean over the rest would compare with nothing.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder of maps; correct evaluate.maps in params.yaml")
    results = {}
    with Scorer(workers) as scorer:
        for dataset, paths in find_maps(folder, samples).items():
            results[dataset] = scorer.score((sample.sample_id, path, sample.mask) for sample, path in paths)
            if resized := results[dataset].resized:
                print(
                    f"{folder}: {len(resized)} of {len(paths)} maps of {dataset} had another size than their masks and "
                    f"were resized, {resized[0]} for one",
                    file=sys.stderr,
                )
    return results


def find_maps(folder: Path, samples: Sequence[Sample]) -> dict[str, list[tuple[Sample, Path]]]:
    """Each dataset's samples with their maps.

    Raises:
        UserError: maps are missing; how many, and the first five.
    """
    datasets = by_dataset(samples, ["rgb"])
    found = {name: [(sample, _find(folder, sample)) for sample in group] for name, group in datasets.items()}
    missing = [sample.sample_id for pairs in found.values() for sample, path in pairs if path is None]
    if missing:
        total = sum(len(pairs) for pairs in found.values())
        raise UserError(
            f"{folder} lacks {len(missing)} of {total} maps: {', '.join(missing[:5])}{', ...' if missing[5:] else ''}; "
            "put them there as <dataset>/<name of the image>.png, or take the folder out of evaluate.maps"
        )
    return found


def _find(folder: Path, sample: Sample) -> Path | None:
    names = (sample.sample_id, f"{sample.dataset}/{Path(sample.image).stem}")
    candidates = (folder / f"{name}{suffix}" for name in names for suffix in SUFFIXES)
    return next((path for path in candidates if path.is_file()), None)
