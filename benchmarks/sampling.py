"""Benchmark of one-step diffusion trained end to end against the published multi-step sampling, at equal training.

    python -m benchmarks.sampling
    python -m benchmarks.sampling --scenes 1000 --epochs 24 --seeds 0 1 2

The published method learns the velocities of noisy latents under multi-resolution noise and samples each mask in ten
DDIM steps with leading spacing, in an ensemble of ten. The one-step method learns the masks themselves in one step from
the last timestep. Both are runs of one params.yaml that differ only in `objective`: the same initial weights,
autoencoder and optimiser, and the same augmented pictures in the same order, equally often. They train through the
pipeline's own stages, in a separate folder, on rendered scenes; depth and thermal pictures show what some images hide.

Figures are those of the evaluate stage, at the network's input size. Evaluations are pictures that pass the UNet,
counted by its forward hook; time is CPU time on one thread, in batches of eight.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from torch import Tensor

from benchmarks._command import new_parser, run_command
from limelight.config import Params, parse
from limelight.data.loader import evaluation_batches
from limelight.data.manifest import read_manifest
from limelight.data.samples import Batch
from limelight.evaluation.sod import ImageScores, score_image
from limelight.foundation.files import write_json
from limelight.models.card import Card
from limelight.models.diffusion.diffsod.network import DiffSOD
from limelight.models.inputs import bind
from limelight.models.weights import load_weights
from limelight.reporting.speed import hardware
from limelight.stages import download, prepare
from limelight.training.runs import train

PRESET = Path(__file__).resolve().parent.parent / "presets" / "diffusion.yaml"
ONE_STEP, VELOCITY = "one-step", "velocity"
REFERENCE = "one step, end to end"
BATCH = 8
Draw = Callable[[DiffSOD, Batch, list[int]], Tensor]


def denoise(steps: int, members: int, spacing: str) -> Draw:
    """Make a `Draw` that samples in several steps, from each picture's own noise."""

    def draw(network: DiffSOD, batch: Batch, seeds: list[int]) -> Tensor:
        given = bind(network.inputs, batch.inputs)
        return network.denoise(**given, steps=steps, ensemble_size=members, seeds=seeds, spacing=spacing)[0]

    return draw


ROWS: dict[str, tuple[str, Draw]] = {
    REFERENCE: (ONE_STEP, lambda network, batch, seeds: network.logits(batch.inputs)[0].sigmoid()),
    "velocities, 1 step, trailing": (VELOCITY, denoise(1, 1, "trailing")),
    "velocities, 10 steps, trailing": (VELOCITY, denoise(10, 1, "trailing")),
    "velocities, 10 steps x 10, trailing": (VELOCITY, denoise(10, 10, "trailing")),
    "velocities, 10 steps x 10, leading (published)": (VELOCITY, denoise(10, 10, "leading")),
    "velocities, 1 step, leading": (VELOCITY, denoise(1, 1, "leading")),
}


@dataclass(frozen=True)
class Drawn:
    """Results of one method, a row of the table, on the test pictures."""

    scores: list[ImageScores]
    evaluations: int
    """Pictures that passed the UNet."""
    seconds: float


def main() -> None:
    options = _parse()
    seconds: list[dict[str, float]] = []
    drawn: dict[str, list[Drawn]] = {name: [] for name in ROWS}
    for seed in options.seeds:
        with tempfile.TemporaryDirectory() as folder, chdir(folder):
            seconds.append(train_all(settings(options, seed)))
            trained = options.epochs * len(read_manifest(splits=["train"]))
            for name, (run, draw) in ROWS.items():
                drawn[name].append(measure(Path("artifacts") / run, draw, options.images))
    report = {
        "machine": hardware(),
        "seeds": options.seeds,
        "pictures": {"seen in training": trained, "drawn": len(drawn[REFERENCE][0].scores)},
        "training_cpu_seconds": {run: float(np.mean([spent[run] for spent in seconds])) for run in seconds[0]},
        "rows": {name: summarise(runs, drawn[REFERENCE]) for name, runs in drawn.items()},
    }
    print_table(report)
    if options.json:
        write_json(options.json, report)


def settings(options: argparse.Namespace, seed: int) -> Params:
    """Settings of the runs: the shipped preset's autoencoder, and its diffSOD with each of the two objectives."""
    tree = yaml.safe_load(PRESET.read_text(encoding="utf-8"))
    profile = tree["profiles"][tree["profile"]]
    datasets = [request for request in profile["data"]["datasets"] if request.get("labels") != "classes"]
    for request in datasets:
        request["render"] |= {"scenes": options.scenes}
    vae, diffsod = (profile["runs"][name] for name in ("vae", "diffsod"))
    for run in (vae, diffsod):
        run["samples"] = run.get("samples", {}) | {"validation": None}
    diffsod |= {"epochs": options.epochs, "parts": {"vae": "artifacts/autoencoder"}}
    runs = {
        "autoencoder": vae | {"epochs": options.autoencoder_epochs},
        ONE_STEP: diffsod | {"objective": {"name": "supervised"}},
        VELOCITY: diffsod | {"objective": {"name": "velocity"}},
    }
    whole: dict[str, Any] = {
        "profile": "benchmark",
        "seed": seed,
        "device": "cpu",
        "train": {"autoencoder": "diffusion"},
        "finetune": {name: {"family": "diffusion", "base": "autoencoder"} for name in (ONE_STEP, VELOCITY)},
    }
    whole |= {"tracking": {"enabled": False}, "profiles": {"benchmark": {"data": {"datasets": datasets}, "runs": runs}}}
    return parse(Params, whole, "the benchmark's settings")


def train_all(params: Params) -> dict[str, float]:
    """Render the scenes in the working folder and train on them.

    Returns:
        Each run's CPU seconds.
    """
    download.run(params)
    prepare.run(params)
    seconds = {}
    for name in params.active.runs:
        before = time.process_time()
        train(params, name)
        seconds[name] = time.process_time() - before
    return seconds


@torch.inference_mode()
def measure(folder: Path, draw: Draw, images: int) -> Drawn:
    """Predict and score test pictures, equally many of each modality."""
    torch.set_num_threads(1)
    network, card = load_weights(folder)
    assert isinstance(network, DiffSOD)
    scores: list[ImageScores] = []
    seconds = 0.0
    with counted(network.get_submodule("unet")) as passes:
        for batch in test_batches(card, images):
            before = time.process_time()
            probability_B1HW = draw(network, batch, list(range(len(scores), len(scores) + len(batch))))
            seconds += time.process_time() - before
            maps_BHW, masks_BHW = (
                np.rint(part.numpy()[:, 0] * 255).astype(np.uint8) for part in (probability_B1HW, batch.mask_B1HW)
            )
            scores += map(score_image, maps_BHW, masks_BHW)
    return Drawn(scores, sum(passes), seconds)


@contextmanager
def counted(unet: torch.nn.Module) -> Iterator[list[int]]:
    """Within the block, record the number of pictures in each pass through the UNet."""
    passes: list[int] = []
    hook = unet.register_forward_hook(lambda module, given, output: passes.append(len(output.sample)))
    try:
        yield passes
    finally:
        hook.remove()


def test_batches(card: Card, images: int) -> Iterator[Batch]:
    """Batches of test pictures, equally many from each dataset."""
    samples = read_manifest(splits=["test"])
    names = sorted({sample.dataset for sample in samples})
    chosen = [
        sample
        for name in names
        for sample in [one for one in samples if one.dataset == name][: -(-images // len(names))]
    ]
    prepare, inputs = card.prepare, card.architecture.inputs
    return evaluation_batches(chosen, prepare.size[0], BATCH, normalisation=prepare.normalisation, inputs=inputs)


def summarise(runs: list[Drawn], reference: list[Drawn]) -> dict[str, float]:
    """Average over the seeds and pictures; standard errors are over the pictures, each a mean over the seeds.

    Every seed draws the same test pictures, so that their figures are not independent.

    Args:
        runs: one for each seed.
        reference: another method's results on the same pictures.
    """

    def by_picture(each: list[Drawn], name: str) -> NDArray[np.float64]:
        return np.mean([[getattr(score, name) for score in one.scores] for one in each], axis=0)

    scores = [score for one in runs for score in one.scores]
    mae, iou = by_picture(runs, "mae"), by_picture(runs, "iou")
    further = mae - by_picture(reference, "mae")
    error = len(mae) ** -0.5
    return {
        "evaluations": sum(one.evaluations for one in runs) / len(scores),
        "mae": float(mae.mean()),
        "mae_further": float(further.mean()),
        "mae_further_se": float(further.std(ddof=1) * error),
        "iou": float(iou.mean()),
        "iou_se": float(iou.std(ddof=1) * error),
        "max_f": float(np.mean([score.f_256 for score in scores], axis=0).max()),
        "times": sum(one.seconds for one in runs) / sum(one.seconds for one in reference),
        "milliseconds": 1000 * sum(one.seconds for one in runs) / len(scores),
    }


def print_table(report: dict[str, Any]) -> None:
    """Print the rows as a Markdown table."""
    pictures, spent = report["pictures"], report["training_cpu_seconds"]
    print(f"\n{report['machine']}")
    print(
        f"seeds {report['seeds']}; {pictures['seen in training']:,} pictures seen by either training "
        f"({spent[ONE_STEP]:.0f} processor seconds end to end, {spent[VELOCITY]:.0f} on velocities), "
        f"{pictures['drawn']} test pictures per seed\n"
    )
    print("| way | UNet evaluations per picture | MAE | more than one step | IoU | max F | time |")
    print("|---|---|---|---|---|---|---|")
    for name, row in report["rows"].items():
        further = f"{row['mae_further']:+.4f} ± {row['mae_further_se']:.4f}" if name != REFERENCE else ""
        print(
            f"| {name} | {row['evaluations']:g} | {row['mae']:.4f} | {further} | {row['iou']:.3f} ± "
            f"{row['iou_se']:.3f} | {row['max_f']:.3f} | {row['times']:.1f} |"
        )


def _parse() -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("--scenes", type=int, default=400, help="drawn per modality; 40 %% of them to train on")
    parser.add_argument("--autoencoder-epochs", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=7, help="of either way")
    parser.add_argument("--images", type=int, default=90, help="test pictures, at most 14 %% of the scenes")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of weights, batches and noise")
    return parser.parse_args()


if __name__ == "__main__":
    run_command(main)
