"""Benchmark of a mergeable network in every form and runtime: speed, and the accuracy that each loses.

    python -m benchmarks.runtimes
    python -m benchmarks.runtimes --images photos/images --masks photos/masks
    python -m benchmarks.runtimes --weights artifacts/sdnet --images photos/images --masks photos/masks

The reference is the training form in eager PyTorch, as the network was published: of SDNet each branch of a difference
layer is a separate convolution. (Limelight sums the branches in weight space in training too: a row of the table.)

The forms take turns, one call each per round, so that other load on the machine affects all alike; the table gives the
fastest call and ratios of fastest calls. Without --weights an SDNet is trained on every other photo for a minute or
two; without photos its weights are random, which is enough for speed but not for accuracy.
"""

import argparse
import copy
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from benchmarks._command import new_parser, run_command
from limelight.deploy.export import export
from limelight.deploy.parity import accuracy
from limelight.foundation.errors import UserError
from limelight.foundation.files import write_json
from limelight.foundation.progress import track
from limelight.imaging.extensions import EXTENSIONS
from limelight.imaging.feeds import Feeds, picture_feeds, single_rows
from limelight.imaging.geometry import stretch
from limelight.imaging.images import read_image
from limelight.imaging.masks import read_mask
from limelight.inference.backends import open_backend
from limelight.inference.plan import Request, plan
from limelight.inference.runtimes import EXPORTED
from limelight.models.base import Network
from limelight.models.card import Card
from limelight.models.registry import create_model
from limelight.models.weights import describe, load_weights, write_weights
from limelight.reporting.speed import hardware

Form = Callable[[Feeds], np.ndarray]
REFERENCE = "PyTorch, branches apart"
PAUSE_S = 0.005
"""Pause between calls, in which the previous form's worker threads stop spinning."""


def main() -> None:
    options = _parse()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    size = options.size, options.size
    if options.weights:
        model, card = load_weights(options.weights)
        architecture = card.architecture
        if not model.capabilities.merge or architecture.form != "training":
            raise UserError(
                f"{options.weights} holds {architecture.model} in {architecture.form} form; give the training form of "
                "a network that merges, such as SDNet"
            )
        card = card.derived(size=size)
    else:
        model = create_model("sdnet")
        card = describe(model, "sdnet", input_size=size)
    photos = read_photos(options.images, options.masks, card) if options.images else None
    if photos and not options.weights:
        train(model, photos[0][::2], photos[1][::2], options.train_steps)
    model.eval()
    held_out = slice(1, 2 * options.samples, 2)
    images_N3HW = photos[0][held_out] if photos else torch.randn(4, 3, *size).numpy()
    calibration = photos[0][::2][:: max(1, len(photos[0]) // 64)] if photos else images_N3HW

    unmerged_model = copy.deepcopy(model)
    with tempfile.TemporaryDirectory() as folder, unmerged_model.unmerged():
        forms = open_forms(model, unmerged_model, card, Path(folder) / "weights", calibration, options.threads)
        milliseconds = time_forms(forms, images_N3HW[:1], options.rounds)
        maps = {name: run(form, images_N3HW) for name, form in track(forms.items(), len(forms), "comparing", "forms")}
    rows = summarise(milliseconds, maps, photos[1][held_out] if photos else None)
    report = {
        "machine": hardware(),
        "model": card.architecture.model,
        "size": options.size,
        "threads": options.threads,
        "images": len(images_N3HW),
        "forms": rows,
    }
    print_table(report)
    if options.json:
        write_json(options.json, report)


def read_photos(images: Path, masks: Path, card: Card) -> tuple[np.ndarray, np.ndarray]:
    """(images_N3HW normalised, masks_NHW) of every photo that has a mask of the same stem, at the card's size."""
    by_stem = {path.stem: path for path in sorted(masks.iterdir()) if path.suffix.lower() in EXTENSIONS}
    paths = [path for path in sorted(images.iterdir()) if path.stem in by_stem]
    if len(paths) < 4:
        raise UserError(f"{len(paths)} photos in {images} have a mask of the same name in {masks}; give at least 4")
    size, count = card.prepare.size, len(paths)
    feeds = picture_feeds([read_image(path) for path in paths], [None] * count, ["rgb"] * count, card, size)
    return feeds["image"], np.stack([stretch(read_mask(by_stem[path.stem]), size) for path in paths])


def train(model: Network, images_N3HW: np.ndarray, masks_NHW: np.ndarray, steps: int) -> None:
    """Train briefly at half the size, so that the maps are meaningful."""
    images, masks = (
        torch.from_numpy(images_N3HW[..., ::2, ::2].copy()),
        torch.from_numpy(masks_NHW[:, None, ::2, ::2].copy()),
    )
    model.to(memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in track(range(steps), steps, "training", "steps"):
        chosen = torch.randint(len(images), (8,))
        image, mask = images[chosen], masks[chosen]
        if torch.rand(()) < 0.5:
            image, mask = image.flip(3), mask.flip(3)
        loss = binary_cross_entropy_with_logits(model(image.to(memory_format=torch.channels_last))[0], mask)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    model.to(memory_format=torch.contiguous_format)


def open_forms(
    model: Network, unmerged_model: Network, card: Card, folder: Path, calibration: np.ndarray, threads: int
) -> dict[str, Form]:
    """Every way to run `model`, the reference first.

    Args:
        unmerged_model: a copy of `model` that runs its branches unmerged.
    """
    merged = model.reparameterize()
    card = write_weights(folder, merged, card.derived(form="merged", options=merged.build_options))
    export(merged, card, folder, EXPORTED, {"image": calibration})
    forms = {
        REFERENCE: _eager(unmerged_model),
        "PyTorch, branches summed in weight space": _eager(model),
        "PyTorch, merged": _eager(merged),
        "PyTorch, merged, channels last (torch)": _opened(folder, card, "torch", threads),
    }
    for name in ("torch-bf16", *EXPORTED):
        forms[name] = _opened(folder, card, name, threads)
    return forms


def _eager(model: Network) -> Form:
    @torch.inference_mode()
    def form(feeds: Feeds) -> np.ndarray:
        return model.maps({name: torch.from_numpy(array) for name, array in feeds.items()}).numpy()

    return form


def _opened(folder: Path, card: Card, runtime: str, threads: int) -> Form:
    backend = open_backend(plan(folder, card, Request(runtime, "cpu", threads)))
    return lambda feeds: backend.run(feeds).probability_BKhw


def run(form: Form, images_N3HW: np.ndarray) -> np.ndarray:
    """Probability maps, (N, H, W), one picture at a time."""
    return np.concatenate([form(row) for row in single_rows({"image": images_N3HW})])[:, 0]


def time_forms(forms: dict[str, Form], image_13HW: np.ndarray, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each form's calls, round by round."""
    feeds = {"image": image_13HW}
    for form in forms.values():
        for _ in range(3):
            form(feeds)
    milliseconds: dict[str, list[float]] = {name: [] for name in forms}
    for _ in track(range(rounds), rounds, "timing", "rounds"):
        for name, form in forms.items():
            time.sleep(PAUSE_S)
            started = time.perf_counter()
            form(feeds)
            milliseconds[name].append(1000 * (time.perf_counter() - started))
    return milliseconds


def summarise(
    milliseconds: dict[str, list[float]], maps: dict[str, np.ndarray], masks_NHW: np.ndarray | None
) -> dict[str, dict[str, float]]:
    """Per form: times, how much faster than the reference, and how far its maps are from the reference's."""
    expected = maps[REFERENCE]
    base = None if masks_NHW is None else accuracy(expected, masks_NHW)
    rows = {}
    for name, times in milliseconds.items():
        difference = np.abs(maps[name] - expected)
        rows[name] = {
            "fastest_ms": min(times),
            "median_ms": float(np.median(times)),
            "times_faster": min(milliseconds[REFERENCE]) / min(times),
            "max_probability_difference": float(difference.max()),
            "mean_probability_difference": float(difference.mean()),
        }
        if base and masks_NHW is not None:
            scores = accuracy(maps[name], masks_NHW)
            rows[name] |= {
                "mae": scores.mae,
                "mae_change": scores.mae - base.mae,
                "max_f_change": scores.max_f - base.max_f,
            }
    return rows


def print_table(report: dict[str, Any]) -> None:
    """The report as a Markdown table."""
    size = f"{report['size']} x {report['size']}"
    print(f"{report['model']}, {size}, batch 1, {report['threads']} threads, {report['machine']}")
    print("| form | fastest ms | median ms | times faster | max difference | MAE change | max F change |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for name, row in report["forms"].items():
        change = [f"{row[key]:+.5f}" if key in row else "" for key in ("mae_change", "max_f_change")]
        print(
            f"| {name} | {row['fastest_ms']:.1f} | {row['median_ms']:.1f} | {row['times_faster']:.2f} "
            f"| {row['max_probability_difference']:.1e} | {change[0]} | {change[1]} |"
        )


def _parse() -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("--weights", type=Path, help="folder of a network that merges, in training form")
    parser.add_argument("--images", type=Path, help="folder of photos")
    parser.add_argument("--masks", type=Path, help="folder of their masks, same names")
    parser.add_argument("--size", type=int, default=320, help="pixels")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--samples", type=int, default=64, help="photos on which the forms are compared")
    parser.add_argument("--train-steps", type=int, default=200, help="of the training that stands in for --weights")
    options = parser.parse_args()
    if bool(options.images) != bool(options.masks):
        parser.error("give --images and --masks together")
    return options


if __name__ == "__main__":
    run_command(main)
