"""Benchmark of map scoring against plain PySODMetrics on the same maps: speed, and equality of the figures.

    python -m benchmarks.evaluation                                # synthetic maps of 400 x 300
    python -m benchmarks.evaluation --maps maps/ECSSD --masks data/datasets/ECSSD/masks

Every candidate reads the PNG files itself. Rounds alternate between the candidates, and the medians of the rounds are
compared, so that other load on the machine affects all of them alike.
"""

import json
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from benchmarks._command import new_parser, run_command
from limelight.evaluation.metrics import Pair, Scorer
from limelight.evaluation.worker import read_map, read_truth
from limelight.foundation.errors import UserError
from limelight.imaging.encoding import write_png
from limelight.reporting.speed import hardware

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import py_sod_metrics

T = TypeVar("T")


def synthetic(folder: Path, count: int, height: int, width: int) -> list[Pair]:
    """Ellipses, and blurred noisy maps of them, as files in `folder`."""
    rng = np.random.default_rng(0)
    pairs: list[Pair] = []
    for index in range(count):
        truth = np.zeros((height, width), np.uint8)
        centre = int(rng.integers(width // 4, width * 3 // 4)), int(rng.integers(height // 4, height * 3 // 4))
        axes = int(rng.integers(width // 12, width // 3)), int(rng.integers(height // 12, height // 3))
        cv2.ellipse(truth, centre, axes, float(rng.integers(0, 180)), 0, 360, 255, -1)
        noisy = cv2.GaussianBlur(truth, (0, 0), 5) + rng.normal(0, 12, truth.shape)
        saliency_path, truth_path = folder / f"{index:05}-map.png", folder / f"{index:05}-truth.png"
        write_png(saliency_path, np.clip(noisy, 0, 255).astype(np.uint8))
        write_png(truth_path, truth)
        pairs.append((f"{index:05}", saliency_path, truth_path))
    return pairs


def from_folders(maps: Path, masks: Path, count: int) -> list[Pair]:
    """The first `count` maps that have a mask of the same name."""
    by_stem = {path.stem: path for path in masks.iterdir()}
    paths = [path for path in sorted(maps.iterdir()) if path.stem in by_stem][:count]
    if not paths:
        raise UserError(f"no file of {maps} has the name of a mask in {masks}")
    return [(path.stem, path, by_stem[path.stem]) for path in paths]


def pysodmetrics(pairs: list[Pair]) -> dict[str, float]:
    """Compute the nine figures that the library has, with its own classes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        s, mae, wf = py_sod_metrics.Smeasure(), py_sod_metrics.MAE(), py_sod_metrics.WeightedFmeasure()
        e, f = py_sod_metrics.Emeasure(), py_sod_metrics.Fmeasure()
        for _, saliency, truth in pairs:
            assert not isinstance(saliency, UserError)
            saliency_HW, truth_HW = read_map(saliency), read_truth(truth)
            for measure in (s, mae, wf, e, f):
                measure.step(saliency_HW, truth_HW)
    curves = {"Em": e.get_results()["em"], "Fm": f.get_results()["fm"]}
    figures = {"Sm": s.get_results()["sm"], "mae": mae.get_results()["mae"], "wFm": wf.get_results()["wfm"]}
    for name, values in curves.items():
        figures |= {
            f"adp{name}": values["adp"],
            f"max{name}": values["curve"].max(),
            f"avg{name}": values["curve"].mean(),
        }
    return {name: float(value) for name, value in figures.items()}


def measure(pairs: list[Pair], workers: list[int], rounds: int) -> dict[str, object]:
    """Images per second of each candidate, the ratios between them, and the largest difference of any figure."""
    seconds: dict[str, list[float]] = {}
    figures: dict[str, dict[str, float]] = {}
    started: dict[str, float] = {}
    scorers = {f"{count} worker{'s' if count > 1 else ''}": Scorer(count) for count in workers}
    candidates: dict[str, Callable[[], dict[str, float]]] = {"PySODMetrics": lambda: pysodmetrics(pairs)}
    for name, scorer in scorers.items():
        started[name] = _timed(partial(_start, scorer, pairs[:8]))[0]
        candidates[name] = partial(_score, scorer, pairs)
    for _ in range(rounds):
        for name, run in candidates.items():
            elapsed, figures[name] = _timed(run)
            seconds.setdefault(name, []).append(elapsed)
    for scorer in scorers.values():
        scorer.__exit__()
    rate = {name: len(pairs) / float(np.median(times)) for name, times in seconds.items()}
    oracle = figures["PySODMetrics"]
    return {
        "images": len(pairs),
        "images_per_second": {name: round(value, 1) for name, value in rate.items()},
        "times_pysodmetrics": {name: round(value / rate["PySODMetrics"], 2) for name, value in rate.items()},
        "times_first_worker_count": {name: round(rate[name] / rate[next(iter(scorers))], 2) for name in scorers},
        "start_seconds": {name: round(value, 2) for name, value in started.items()},
        "largest_difference": max(abs(run[name] - oracle[name]) for run in figures.values() for name in oracle),
        "hardware": hardware(),
    }


def _start(scorer: Scorer, pairs: list[Pair]) -> None:
    scorer.__enter__().score(pairs)


def _score(scorer: Scorer, pairs: list[Pair]) -> dict[str, float]:
    return scorer.score(pairs).metrics


def _timed(run: Callable[[], T]) -> tuple[float, T]:
    before = time.perf_counter()
    result = run()
    return time.perf_counter() - before, result


def main() -> None:
    parser = new_parser(__doc__)
    parser.add_argument("--maps", type=Path, help="a folder of maps")
    parser.add_argument("--masks", type=Path, help="the folder of their ground truths")
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--size", type=int, nargs=2, default=(300, 400), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        if given.maps and given.masks:
            pairs = from_folders(given.maps, given.masks, given.images)
        else:
            pairs = synthetic(Path(folder), given.images, *given.size)
        text = json.dumps(measure(pairs, given.workers, given.rounds), indent=2)
    print(text)
    if given.json:
        given.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    run_command(main)
