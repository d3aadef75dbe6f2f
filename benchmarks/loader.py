"""Benchmark of the loader in training: an epoch with its batches in memory against one through `epoch_batches`.

    python -m benchmarks.loader                                            the demo's scale
    python -m benchmarks.loader --images PHOTOS --masks MASKS --size 320   photos on disk

Both epochs take the same batches through the same optimiser steps, alternating in one process; the shortest time of
all repeats counts, since the machine may have other load. The ratio of CPU times (threads included, worker processes
not) is less sensitive to that. `--cache-mb 0` decodes every file in every epoch.
"""

import argparse
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from benchmarks._command import run_command
from limelight.config import Run
from limelight.data.batches.plans import batches_per_epoch
from limelight.data.loader import epoch_batches
from limelight.data.manifest import Sample
from limelight.data.samples import Batch
from limelight.imaging.encoding import write_png
from limelight.imaging.extensions import EXTENSIONS
from limelight.models.registry import create_model, list_models

AUGMENT = [
    {"name": "photometric", "blur": 0.1, "contrast": 0.5, "brightness": 0.06},
    {"name": "crop", "share": 0.125},
    {"name": "rotate", "degrees": 10},
    {"name": "flip", "vertical": 0.2},
]
"""All augmentations at once: no published recipe costs more."""


def main() -> None:
    options = _options()
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory() as folder:
        images, masks = (options.images, options.masks) if options.images else _draw(Path(folder), options.count)
        samples = _pair(images, masks)[: options.count]
        settings = {
            "model": options.model,
            "batch": {"size": options.batch},
            "size": {"input": options.size},
            "augment": AUGMENT,
            "compute": {"workers": options.workers, "cache_mb": options.cache_mb},
        }
        run = Run.model_validate(settings)
        _compare(samples, run, device, options.repeats)


def _compare(samples: list[Sample], run: Run, device: torch.device, repeats: int) -> None:
    steps = batches_per_epoch(len(samples), run)
    shown = f"{steps} batches of {run.batch.size}, {run.size.input} px, workers {run.compute.workers}"
    print(f"{run.model} on {device}, {shown}")
    model = create_model(run.model).to(device).to(memory_format=torch.channels_last).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4)
    begun = time.perf_counter()
    in_memory = list(epoch_batches(samples, run, seed=0, epoch=0, device=device))
    print(f"loading alone, from disk: {(time.perf_counter() - begun) / steps * 1e3:.1f} ms a batch")
    begun = time.perf_counter()
    for _ in epoch_batches(samples, run, seed=0, epoch=0, device=device):
        pass
    print(f"loading alone, again:     {(time.perf_counter() - begun) / steps * 1e3:.1f} ms a batch")
    _epoch(model, optimiser, in_memory, device)
    memory, loaded = [], []
    for repeat in range(repeats):
        memory.append(_epoch(model, optimiser, in_memory, device))
        loaded.append(_epoch(model, optimiser, epoch_batches(samples, run, seed=0, epoch=0, device=device), device))
        stored, used, read, worked = (seconds / steps * 1e3 for seconds in (*memory[-1], *loaded[-1]))
        shown = f"in memory {stored:.1f} (processor {used:.1f}), loaded {read:.1f} ({worked:.1f})"
        print(f"repeat {repeat}: {shown} ms a batch")
    wall, processor = np.min(loaded, 0) / np.min(memory, 0)
    print(f"loaded / in memory = {wall:.3f} (to be at most 1.1), of processor time {processor:.3f}")


def _epoch(
    model: torch.nn.Module, optimiser: torch.optim.Optimizer, batches: Iterable[Batch], device: torch.device
) -> tuple[float, float]:
    """Train on the batches; return wall-clock seconds and CPU seconds."""
    begun, used = time.perf_counter(), time.process_time()
    for batch in batches:
        moved = batch.to(device)
        optimiser.zero_grad()
        binary_cross_entropy_with_logits(model(moved.image_B3HW)[0], moved.mask_B1HW).backward()
        optimiser.step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begun, time.process_time() - used


def _draw(folder: Path, count: int) -> tuple[Path, Path]:
    """Make pictures of the demo's size: an ellipse on a noisy background."""
    for number in range(count):
        generator = np.random.default_rng(number)
        ground = cv2.resize(generator.integers(0, 256, (20, 20, 3), np.uint8), (160, 160))
        image = cv2.add(ground, generator.integers(0, 20, ground.shape, np.uint8))
        mask = np.zeros((160, 160), np.uint8)
        centre, axes = generator.integers(50, 110, 2).tolist(), generator.integers(15, 50, 2).tolist()
        cv2.ellipse(mask, centre, axes, float(generator.uniform(0, 180)), 0, 360, 255, -1)
        image[mask > 0] = image[mask > 0] // 2
        write_png(folder / f"images/{number}.png", image)
        write_png(folder / f"masks/{number}.png", mask)
    return folder / "images", folder / "masks"


def _pair(images: Path, masks: Path) -> list[Sample]:
    """Pair images with the masks of the same stem."""
    by_stem = {path.stem: str(path) for path in masks.iterdir()}
    return [
        Sample(path.stem, "", "train", "rgb", "mask", str(path), None, by_stem[path.stem], None, None, (), 0, 0, "")
        for path in sorted(images.iterdir())
        if path.suffix.lower() in EXTENSIONS and path.stem in by_stem
    ]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="sdnet", choices=list_models())
    parser.add_argument("--images", type=Path, help="folder of pictures; without it the demo's kind is drawn")
    parser.add_argument("--masks", type=Path, help="folder of their masks, of the same stems")
    parser.add_argument("--count", type=int, default=96, help="samples in an epoch")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--cache-mb", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    if (options.images is None) != (options.masks is None):
        parser.error("--images and --masks go together")
    return options


if __name__ == "__main__":
    run_command(main)
