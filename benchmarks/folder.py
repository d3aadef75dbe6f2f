"""Benchmark of `limelight predict` on a folder against the network alone on the same pictures.

    python -m benchmarks.folder --photos folder                            # limelight-base in OpenVINO
    python -m benchmarks.folder --photos folder --model sdnet.duts --runtime onnx-fp32 --kind rgba

What the command does after loading is timed: reading, preparing, the network, finishing, encoding and writing, with all
that it overlaps. The network alone has its inputs in memory, batch after batch of the same size. Both take turns, and
the medians of the rounds are compared, so that other load on the machine affects both alike.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks._command import new_parser, run_command
from limelight.deploy.export_cache import with_export
from limelight.foundation.errors import UserError
from limelight.foundation.files import write_json
from limelight.imaging.feeds import Feeds, picture_feeds
from limelight.imaging.images import read_image
from limelight.inference.backends import open_backend
from limelight.inference.loading import load
from limelight.inference.plan import Request
from limelight.media.sources import find_sources
from limelight.predict.job import PictureJob
from limelight.predict.styles import Style
from limelight.predict.tree import predict_tree
from limelight.reporting.speed import hardware


def main() -> None:
    options = _parse()
    folder = with_export(options.model, options.runtime, lasting=True)
    predictor = load(folder, Request(options.runtime, "cpu", options.threads))
    sources = find_sources([options.photos])[: options.count]
    job = PictureJob(predictor, Style(options.kind), batch_size=options.batch_size)
    if predictor.plan.fixed is None:
        raise UserError(f"{options.model} takes pictures of their own sizes; give a model that stretches them")
    backend, feeds = open_backend(predictor.plan), []
    for start in range(0, len(sources), options.batch_size):
        images = [read_image(source.path) for source in sources[start : start + options.batch_size]]
        none, rgb = [None] * len(images), ["rgb"] * len(images)
        feeds.append(picture_feeds(images, none, rgb, predictor.card, predictor.plan.fixed))

    def command() -> None:
        with tempfile.TemporaryDirectory() as results:
            predict_tree(job, sources, Path(results), quiet=True)

    def network() -> None:
        for each in feeds:
            backend.run(contiguous(each))

    seconds = take_turns({"command": command, "network": network}, options.rounds)
    report = {
        "machine": hardware(),
        "model": predictor.description,
        "pictures": len(sources),
        "command_pictures_per_second": len(sources) / seconds["command"],
        "network_pictures_per_second": len(sources) / seconds["network"],
        "ratio": seconds["network"] / seconds["command"],
    }
    print(json.dumps(report, indent=2))
    if options.json:
        write_json(options.json, report)


def contiguous(feeds: Feeds) -> Feeds:
    return {name: np.ascontiguousarray(array) for name, array in feeds.items()}


def take_turns(candidates: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Median seconds of each candidate over the rounds, after one round that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds + 1):
        for name, run in candidates.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    return {name: float(np.median(times[1:])) for name, times in seconds.items()}


def _parse() -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("--photos", type=Path, default=Path(__file__).parent.parent / "tests/photos")
    parser.add_argument("--model", default="limelight-base", help="a weights folder or a name")
    parser.add_argument("--runtime", default="openvino-fp32")
    parser.add_argument("--kind", default="map", help="as of limelight predict")
    parser.add_argument("--count", type=int, default=300, help="most pictures")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    run_command(main)
