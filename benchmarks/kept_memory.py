"""Benchmark of a training step with and without the freed memory that the C library keeps (`keep_freed_memory`).

    python -m benchmarks.kept_memory                     # the small student of presets/base.yaml, one thread
    python -m benchmarks.kept_memory --size 256 --pairs 30 --json kept.json

Two fresh processes train the same network on the same batch of noise, as the pipeline does on the CPU: the run's own
loss, backward, AdamW, its first stages frozen. They take turns, one step each, and change places in every pair, so that
other load on the machine affects both alike. Of the ratio of a pair's times the (geometric) mean and its standard error
are given: of processor time, which counts the system's clearing of pages too, and of the clock's. Linux alone.
"""

import argparse
import json
import multiprocessing
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

import torch
import yaml

from benchmarks._command import new_parser, run_command
from benchmarks._pairs import add_pairs, paired_ratio
from limelight.config import Run
from limelight.data.samples import Batch
from limelight.foundation.files import write_json
from limelight.foundation.progress import track
from limelight.models.registry import create_model
from limelight.reporting.speed import hardware, peak_memory_mb
from limelight.training.device import keep_freed_memory
from limelight.training.freezing import freeze
from limelight.training.objectives import make_learner
from limelight.training.optimisers import make_optimiser

PRESET, STUDENT = Path(__file__).parent.parent / "presets/base.yaml", "small-masks"
WARM_UP = 3
CLOCKS = ("processor", "wall")


def main() -> None:
    options = _parse()
    if sys.platform != "linux":
        raise SystemExit(f"the memory that is freed is kept on Linux alone; this is {sys.platform}")
    context = multiprocessing.get_context("spawn")  # a fork would inherit what this process has taken and freed
    pipes = {}
    for kept in (False, True):
        pipes[kept], theirs = context.Pipe()
        context.Process(target=_train, args=(kept, options, theirs), daemon=True).start()
    for pipe in pipes.values():
        pipe.recv()  # it is warm
    seconds: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    for pair in track(range(options.pairs), options.pairs, "timing", "pairs"):
        for kept in (False, True) if pair % 2 else (True, False):
            pipes[kept].send(True)
            seconds[kept].append(pipes[kept].recv())
    for pipe in pipes.values():
        pipe.send(False)
    ratios = {}
    for at, clock in enumerate(CLOCKS):
        plain, freed_is_kept = ([each[at] for each in seconds[which]] for which in (False, True))
        ratios[clock] = paired_ratio(plain, freed_is_kept)
        print(f"kept / plain, {clock} time: {ratios[clock]['ratio']:.3f} ± {ratios[clock]['standard_error']:.3f}")
    report = {
        "machine": hardware(),
        "step": f"{STUDENT} of {PRESET.name}, batch {options.batch}, {options.size} px, {options.threads} threads",
        "pairs": options.pairs,
        "peak_mb": {"plain": pipes[False].recv(), "kept": pipes[True].recv()},
        **ratios,
    }
    print(json.dumps(report, indent=2))
    if options.json:
        write_json(options.json, report)


def _train(kept: bool, options: argparse.Namespace, pipe: Connection) -> None:
    """Make a step each time the parent says so: (seconds of the processor, of the clock)."""
    torch.set_num_threads(options.threads)
    if kept:
        keep_freed_memory()
    torch.manual_seed(0)
    settings = yaml.safe_load(PRESET.read_text(encoding="utf-8"))["profiles"]["base"]["runs"][STUDENT]
    settings["options"]["pretrained"] = False  # as quick as with ImageNet's weights
    run = Run.model_validate(settings)
    network = create_model(run.model, **run.options).to(memory_format=torch.channels_last)
    learner = make_learner(run.objective, network, epochs=run.epochs).train()
    for module in freeze(network, run.optimiser.freeze):
        module.eval()
    optimiser = make_optimiser(learner.parameter_groups(), run.optimiser)
    batch = _noise(options.batch, options.size)

    def step() -> None:
        optimiser.zero_grad()
        loss, _ = learner(batch, 0)
        loss.backward()
        optimiser.step()

    for _ in range(WARM_UP):
        step()
    pipe.send(None)
    while pipe.recv():
        started = time.process_time(), time.perf_counter()
        step()
        pipe.send((time.process_time() - started[0], time.perf_counter() - started[1]))
    pipe.send(round(peak_memory_mb()))


def _noise(count: int, size: int) -> Batch:
    mask_B1HW = torch.zeros(count, 1, size, size)
    mask_B1HW[..., size // 4 : size // 2, size // 4 : size // 2] = 1
    batch = Batch(
        image_B3HW=torch.randn(count, 3, size, size),
        mask_B1HW=mask_B1HW,
        labelled_B=torch.ones(count, dtype=torch.bool),
        companion_B1HW=None,
        modality_B=torch.zeros(count, dtype=torch.long),
        ids=[str(row) for row in range(count)],
    )
    return batch.to("cpu", channels_last=True)


def _parse() -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("--size", type=int, default=224, help="of the pictures, pixels")
    parser.add_argument("--batch", type=int, default=16)
    add_pairs(parser, 20, "of steps, one with and one without")
    return parser.parse_args()


if __name__ == "__main__":
    run_command(main)
