"""prepare: datasets -> data/lists/: the manifest, the systems' own lists, and what was left out."""

from collections import Counter
from itertools import groupby
from pathlib import Path

from limelight.config import Params
from limelight.data.census import CENSUS, census_lines, write_census
from limelight.data.classes import vocabulary_tree
from limelight.data.hashes import HashCache
from limelight.data.index import read_index
from limelight.data.lists import write_lists
from limelight.data.manifest import MANIFEST, write_manifest
from limelight.data.prepare import Prepared, describe, prepare_dataset, rejected_csv
from limelight.foundation.errors import UserError
from limelight.foundation.files import atomic_path, write_json, write_text
from limelight.stages.runner import stage_main
from limelight.tracking.journal import noted_run


def run(params: Params) -> None:
    """Write data/lists anew from data/index.json.

    Raises:
        UserError: a dataset fits no layout or is broken, or the index does not hold it.
    """
    with noted_run(params, "prepare") as note:
        prepared = prepare(params)
        for name, dataset in prepared.items():
            splits = Counter(sample.split for sample in dataset.samples)
            note.log_metrics({name: {**splits, "left_out": len(dataset.problems)}})


def prepare(params: Params) -> dict[str, Prepared]:
    """As `run`; returns what was written."""
    index = read_index()
    cache = HashCache()
    prepared: dict[str, Prepared] = {}
    for request in params.active.data.datasets:
        if request.name not in index:
            raise UserError(f"dataset {request.name} is not in data/index.json; run the download stage")
        prepared[request.name] = prepare_dataset(request, index[request.name], params.active.data.seed, cache)
        print(describe(prepared[request.name], request.name))
        for problem in prepared[request.name].problems[:5]:
            print(f"  left out {problem.path}: {problem.reason}")
        for line in census_lines(prepared[request.name].odd_masks):
            print(line)
    cache.save()
    with atomic_path(MANIFEST.parent) as folder:
        write_all(folder, prepared, {name: index[name].sha256 for name in prepared})
    return prepared


def write_all(folder: Path, prepared: dict[str, Prepared], trees: dict[str, str]) -> None:
    """Write the manifest, each dataset's lists, its classes, rejected.csv and masks.csv into `folder`."""
    folder.mkdir()
    samples = [sample for dataset in prepared.values() for sample in dataset.samples]
    write_manifest(samples, folder / MANIFEST.name, trees=trees)
    problems = [problem for dataset in prepared.values() for problem in dataset.problems]
    write_text(folder / "rejected.csv", rejected_csv(problems))
    odd = [finding for dataset in prepared.values() for finding in dataset.odd_masks]
    if odd:
        write_census(odd, folder / CENSUS.name)
    for name, dataset in prepared.items():
        for split, members in groupby(dataset.samples, key=lambda sample: sample.split):
            write_lists(list(members), folder / name / split)
        if dataset.classes:
            write_json(folder / name / "classes.json", vocabulary_tree(dataset.classes, dataset.source))


if __name__ == "__main__":
    stage_main(run)
