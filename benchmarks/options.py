"""The time that options of a network save or cost: its inference form with them against the one without.

    python -m benchmarks.options sdnet stem=space-to-depth
    python -m benchmarks.options stdnet fine_planes=16 --size 256 --pairs 100

Both have random weights, are merged where they can be, and run in OpenVINO, in fp32, on one input of random numbers, in
pairs that change places each time, so that other load on the machine affects both alike. Of the ratio of a pair's
processor times the (geometric) mean and its standard error are given.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks._command import new_parser, run_command
from benchmarks._pairs import add_pairs, paired_ratio
from limelight.deploy.export import export
from limelight.foundation.errors import UserError
from limelight.foundation.files import write_json
from limelight.foundation.progress import track
from limelight.imaging.feeds import Feeds
from limelight.inference.backends import open_backend
from limelight.inference.backends.backend import Backend
from limelight.inference.plan import Request, plan
from limelight.models.examples import example
from limelight.models.registry import create_model
from limelight.models.weights import describe
from limelight.reporting.speed import hardware

RUNTIME = "openvino-fp32"
WARM_UP = 3


def main() -> None:
    options = _parse()
    given = dict(_read(each) for each in options.options)
    with tempfile.TemporaryDirectory() as scratch:
        forms = [
            exported(options.model, each, options.size, Path(scratch) / name, options.threads)
            for name, each in (("without", {}), ("with", given))
        ]
        without, with_options = timed(forms, options.pairs)
    figures = paired_ratio(without, with_options)
    report: dict[str, Any] = {
        "machine": hardware(),
        "network": f"{options.model}, {options.size}, {RUNTIME}, {options.threads} threads",
        "options": given,
        "pairs": options.pairs,
        "with_to_without": figures,
    }
    print(f"with / without, processor time: {figures['ratio']:.4f} ± {figures['standard_error']:.4f}")
    print(json.dumps(report, indent=2))
    if options.json:
        write_json(options.json, report)


def exported(model: str, options: Mapping[str, Any], size: int, folder: Path, threads: int) -> tuple[Backend, Feeds]:
    """The inference form of a network with random weights, opened, and an input for it."""
    network = create_model(model, **options).eval()
    network = network.reparameterize() if network.capabilities.merge else network
    card = describe(network, model, input_size=(size, size))
    export(network, card, folder, [RUNTIME], {})
    numbers = np.random.default_rng(0)
    shapes = {name: tuple(zeros.shape) for name, zeros in example(network, 1, (size, size), companions=False).items()}
    feeds = {name: numbers.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    return open_backend(plan(folder, card, Request(RUNTIME, "cpu", threads))), feeds


def timed(forms: list[tuple[Backend, Feeds]], pairs: int) -> tuple[list[float], list[float]]:
    """Processor seconds of both forms, pair by pair."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for backend, feeds in forms:
        for _ in range(WARM_UP):
            backend.run(feeds)
    for pair in track(range(pairs), pairs, "timing", "pairs"):
        for place in (0, 1) if pair % 2 else (1, 0):
            backend, feeds = forms[place]
            started = time.process_time()
            backend.run(feeds)
            seconds[place].append(time.process_time() - started)
    return seconds


def _read(option: str) -> tuple[str, Any]:
    name, found, value = option.partition("=")
    if not found:
        raise UserError(f"{option!r} is no option of a network: give name=value, such as stem=space-to-depth")
    return name, yaml.safe_load(value)


def _parse() -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("model", help="of limelight models")
    parser.add_argument("options", nargs="+", help="name=value; values as in params.yaml")
    parser.add_argument("--size", type=int, default=320, help="of the input, pixels")
    add_pairs(parser, 60, "of calls")
    return parser.parse_args()


if __name__ == "__main__":
    run_command(main)
