"""Benchmark of maps at a large photo's own resolution: time, peak memory, and whether tiles leave seams.

    python -m benchmarks.high_resolution                               # limelight-base, a photo enlarged to 8192 x 5464
    python -m benchmarks.high_resolution --model inspyrenet-swinb.plus-ultra --photo large.jpg

Each pass has a process of its own, whose peak memory is compared: one of the whole photo at 1024 pixels, and the
refined one. A seam would be seen as a step of the refined map across a line where tiles begin; the steps there are
compared with those across all other lines.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks._command import new_parser, run_command
from limelight.deploy.export_cache import with_export
from limelight.foundation.files import write_json
from limelight.imaging.geometry import stretch
from limelight.imaging.images import read_image
from limelight.inference.loading import load
from limelight.inference.plan import Request
from limelight.inference.refinement import levels, spans
from limelight.inference.saliency import SaliencyPredictor
from limelight.reporting.speed import hardware, peak_memory_mb

PHOTO = Path(__file__).parent.parent / "tests/photos/cat.jpg"
NETWORK_SIDE = 1024
"""Pixels, of the pass whose memory the refined one's is compared with."""


def main() -> None:
    options = _parse()
    if options.child:
        print(json.dumps(one_pass(options)))
        return
    passes = {name: _in_process_of_its_own(name) for name in ("whole", "refined")}
    report = {
        "machine": hardware(),
        "photo": [options.width, options.height],
        **passes,
        "megabytes_above": passes["refined"]["peak_mb"] - passes["whole"]["peak_mb"],
    }
    print(json.dumps(report, indent=2))
    if options.json:
        write_json(options.json, report)


def one_pass(options: argparse.Namespace) -> dict[str, Any]:
    """Seconds and peak memory of one pass over the photo, and the steps of a refined map."""
    image_HW3 = cv2.resize(read_image(options.photo), (options.width, options.height), interpolation=cv2.INTER_CUBIC)
    refined = options.child == "refined"
    request = Request(
        options.runtime, "cpu", options.threads, None if refined else NETWORK_SIDE, high_resolution=refined
    )
    predictor = load(with_export(options.model, options.runtime, lasting=True), request)
    assert isinstance(predictor, SaliencyPredictor)
    started = time.perf_counter()
    (prediction,) = predictor.predict([image_HW3])
    figures = {"seconds": round(time.perf_counter() - started, 2)}
    figures["peak_mb"] = round(peak_memory_mb())
    assert predictor.plan.fixed is not None
    return figures | (steps(prediction.saliency_HW, predictor.plan.fixed) if refined else {})


def steps(map_HW: np.ndarray, tile: tuple[int, int]) -> dict[str, float]:
    """Mean step between neighbouring columns near the object's border, where tiles begin or end and elsewhere."""
    size = levels(map_HW.shape, tile)[-1]
    edges = {edge for span in spans(size[1], tile[1])[0] for edge in (span.start, span.stop)} - {0, size[1]}
    step_HW = np.abs(np.diff(stretch(map_HW, size), axis=1))
    column_steps = step_HW.mean(0)
    at = np.zeros(len(column_steps), bool)
    at[[edge - 1 for edge in edges]] = True
    return {
        "step_at_tiles_edges": float(column_steps[at].mean()),
        "step_elsewhere": float(column_steps[~at].mean()),
        "largest_step_at_tiles_edges": float(step_HW[:, at].max()),
        "largest_step_elsewhere": float(step_HW[:, ~at].max()),
    }


def _in_process_of_its_own(name: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.high_resolution", *sys.argv[1:], "--child", name]
    made: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return made


def _parse() -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("--model", default="limelight-base", help="a weights folder or a name")
    parser.add_argument("--photo", type=Path, default=PHOTO, help="enlarged to the size below")
    parser.add_argument("--width", type=int, default=8192)
    parser.add_argument("--height", type=int, default=5464)
    parser.add_argument("--runtime", default="torch")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--child", choices=("whole", "refined"), help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    run_command(main)
