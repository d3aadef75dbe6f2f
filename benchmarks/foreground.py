"""Benchmark of the colours of cut-outs: ours, pymatting's (what transparent-background uses), and the picture's own.

    pip install pymatting
    python -m benchmarks.foreground --photos folder

Each photo is laid over the next one with its saliency map as alpha, so that the object's true colours are known. From
that mixture and the alpha every candidate estimates them. The error is that of the cut-out on any new background: the
absolute difference of the estimated and the true colours times alpha, in grey levels, mean over the pixels that mix.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks._command import new_parser, run_command
from limelight.evaluation.averages import standard_error
from limelight.foundation.errors import UserError
from limelight.foundation.files import write_json
from limelight.foundation.progress import track
from limelight.imaging.extensions import EXTENSIONS
from limelight.imaging.images import read_image
from limelight.inference.loading import load
from limelight.inference.saliency import SaliencyPredictor
from limelight.media.outputs import Layer, foreground_colours
from limelight.reporting.speed import hardware

MIXED = (0.02, 0.98)
"""Alpha of the pixels that count."""
Estimate = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""image_HW3 uint8, alpha_HW -> colours_HW3 uint8."""


def main() -> None:
    options = _parse()
    if not options.photos.is_dir():
        raise UserError(f"{options.photos} is no folder; give one of photos")
    paths = sorted(path for path in options.photos.iterdir() if path.suffix.lower() in EXTENSIONS)[: options.count]
    if len(paths) < 2:
        raise UserError(f"{options.photos} needs two pictures or more")
    candidates: dict[str, Estimate] = {"ours": _ours, "pymatting": _pymatting(), "the picture's own": _as_it_is}
    predictor, photos = load(options.model), [read_image(path) for path in paths]
    if not isinstance(predictor, SaliencyPredictor):
        raise UserError("--model takes text prompts; name a network of saliency")
    errors: dict[str, list[float]] = {name: [] for name in candidates}
    seconds = dict.fromkeys(candidates, 0.0)
    for at, true_HW3 in enumerate(track(photos, len(photos), "estimating colours")):
        alpha_HW = predictor.predict([true_HW3])[0].saliency_HW
        mixed_HW = (alpha_HW > MIXED[0]) & (alpha_HW < MIXED[1])
        if not mixed_HW.any():
            continue
        image_HW3 = mixture(true_HW3, photos[(at + 1) % len(photos)], alpha_HW)
        for name, estimate in candidates.items():
            started = time.perf_counter()
            colours_HW3 = estimate(image_HW3, alpha_HW)
            seconds[name] += time.perf_counter() - started
            difference_HW = np.abs(colours_HW3.astype(np.float32) - true_HW3).mean(2) * alpha_HW
            errors[name].append(float(difference_HW[mixed_HW].mean()))
    report = {"machine": hardware(), "model": options.model, **_rows(errors, seconds)}
    if options.json:
        write_json(options.json, report)


def mixture(front_HW3: np.ndarray, back_HW3: np.ndarray, alpha_HW: np.ndarray) -> np.ndarray:
    """One photo over another, which is stretched to its size: uint8."""
    back_HW3 = cv2.resize(back_HW3, front_HW3.shape[1::-1], interpolation=cv2.INTER_AREA)
    alpha_HW1 = alpha_HW[..., None]
    return np.rint(alpha_HW1 * front_HW3 + (1 - alpha_HW1) * back_HW3).astype(np.uint8)


def _as_it_is(image_HW3: np.ndarray, alpha_HW: np.ndarray) -> np.ndarray:
    return image_HW3


def _ours(image_HW3: np.ndarray, alpha_HW: np.ndarray) -> np.ndarray:
    return foreground_colours(Layer(image_HW3, alpha_HW))


def _pymatting() -> Estimate:
    """As transparent-background calls it, compiled by one call."""
    try:
        from pymatting import estimate_foreground_ml
    except ModuleNotFoundError as error:
        raise UserError("pymatting is not installed; pip install pymatting") from error

    def estimate(image_HW3: np.ndarray, alpha_HW: np.ndarray) -> np.ndarray:
        colours_HW3 = estimate_foreground_ml(image_HW3 / 255.0, alpha_HW.astype(np.float64))
        return np.rint(255 * np.clip(colours_HW3, 0, 1)).astype(np.uint8)

    estimate(np.zeros((32, 32, 3), np.uint8), np.zeros((32, 32)))
    return estimate


def _rows(errors: dict[str, list[float]], seconds: dict[str, float]) -> dict[str, Any]:
    """Figures of each candidate, printed as a table."""
    rows = {}
    for name, values in errors.items():
        more = np.array(values) - np.array(errors["ours"])
        mean, error, ms = float(np.mean(values)), standard_error(more), 1000 * seconds[name] / len(values)
        rows[name] = {"error": mean, "more_than_ours": float(more.mean()), "standard_error": error, "ms": ms}
        against = f"{more.mean():+.2f} ± {error:.2f} against ours"
        print(f"{name:>18}: {mean:.2f} grey levels, {against}, {ms:.1f} ms a picture, {len(values)} photos")
    return rows


def _parse() -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("--photos", type=Path, required=True, help="folder of photos")
    parser.add_argument("--model", default="limelight-base", help="the network whose maps are the alpha")
    parser.add_argument("--count", type=int, default=100, help="most photos")
    return parser.parse_args()


if __name__ == "__main__":
    run_command(main)
