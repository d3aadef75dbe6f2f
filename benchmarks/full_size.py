"""Benchmark of the full-size diffusion networks, with random weights: time and memory of training and prediction.

    python -m benchmarks.full_size                                     # on a GPU of 80 GB or more
    python -m benchmarks.full_size --models diffsod --batches 1 --steps 5

A training step is that of the pipeline: the run's own loss of a batch of noise at bf16 (weights and AdamW's moments
stay float32), backward, clipping, AdamW. A prediction is `predict` of photos in memory, at bf16, with what is
done before and after the network; `network` is the network alone. Memory is the peak that PyTorch allocated.
"""

import argparse
import gc
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import ModelMixin

from benchmarks._command import new_parser, run_command
from limelight.config import Run
from limelight.data.classes import Vocabulary
from limelight.data.samples import Batch
from limelight.foundation.errors import Shortage
from limelight.foundation.files import write_json
from limelight.inference.loading import load
from limelight.inference.open_vocabulary import OpenVocabularyPredictor
from limelight.inference.saliency import SaliencyPredictor
from limelight.inference.sampling import ONE_STEP, Sampling
from limelight.models.base import Network
from limelight.models.registry import create_model
from limelight.models.weights import save_weights
from limelight.reporting.speed import hardware
from limelight.training.device import make_accelerator
from limelight.training.objectives import make_learner
from limelight.training.optimisers import make_optimiser

OPTIONS: dict[str, dict[str, Any]] = {
    "diffsod": {},
    # Stable Diffusion's tokenizer needs files that are not available; its tokens have the same number and width.
    "segdiffusion": {"tokenizer": "words"},
}
CLASSES = Vocabulary(("cat", "dog", "grass", "sky", "car", "tree"), (1, 2, 3, 4, 5, 6), background=True)
WARM_UP = 3
PUBLISHED = Sampling(10, 10)
Row = dict[str, Any]


def main() -> None:
    options = _parse()
    if not torch.cuda.is_available():
        raise SystemExit("PyTorch sees no GPU here; the full-size networks' training does not fit elsewhere")
    torch.manual_seed(0)
    report: dict[str, Any] = {"machine": hardware(), "torch": torch.__version__, "training": [], "predicting": []}
    print(f"{report['machine']}, torch {torch.__version__}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for name in options.models:
            report["training"] += train(name, Path(folder), options)
            gc.collect()  # weights and moments on the GPU
            report["predicting"] += predict(Path(folder) / name, options)
    if options.json:
        write_json(options.json, report)


# ------------------------------------------------------------------------------------------------------------- training
def train(name: str, folder: Path, options: argparse.Namespace) -> list[Row]:
    """Time training steps of one network, and leave its weights in `folder`."""
    network = create_model(name, **OPTIONS[name])
    save_weights(folder / name, network, name=name, input_size=(options.size, options.size))
    objective = {"name": network.capabilities.objectives[0]}
    run = Run.model_validate({"model": name, "objective": objective, "optimiser": {"name": "adamw", "lr": 1e-5}})
    learner = make_learner(run.objective, network, epochs=run.epochs)
    accelerator = make_accelerator("auto", "bf16")
    forward = accelerator.prepare(learner)
    optimiser = make_optimiser(learner.parameter_groups(), run.optimiser)
    rows = []
    for checkpointing in (True, False):
        set_checkpointing(network, checkpointing)
        for count in options.batches:
            batch = random_batch(count, options.size, network).to(accelerator.device)

            def step(batch: Batch = batch) -> None:
                optimiser.zero_grad()
                loss, _ = forward(batch, 0)
                accelerator.backward(loss)
                accelerator.clip_grad_norm_(network.parameters(), 1.0)
                optimiser.step()

            learner.train()
            row = {"model": name, "size": options.size, "batch": count, "checkpointing": checkpointing}
            rows.append(row | measured(step, options.steps))
            print(show("training", rows[-1], count), flush=True)
    return rows


def set_checkpointing(network: Network, enabled: bool) -> None:
    for part in map(network.get_submodule, ("unet", "vae")):
        assert isinstance(part, ModelMixin)
        (part.enable_gradient_checkpointing if enabled else part.disable_gradient_checkpointing)()


def random_batch(count: int, size: int, network: Network) -> Batch:
    """Noise with random squares for masks, and labels or companions where the network takes them."""
    generator = torch.Generator().manual_seed(count)
    corners = torch.randint(size // 2, (count, 2), generator=generator).tolist()
    labels_BHW = torch.zeros(count, size, size, dtype=torch.long)
    for row, (y, x) in enumerate(corners):
        labels_BHW[row, y : y + size // 2, x : x + size // 2] = 1 + row % len(CLASSES.names)
    text = network.capabilities.task == "open-vocabulary"
    return Batch(
        image_B3HW=torch.rand(count, 3, size, size, generator=generator) * 2 - 1,
        mask_B1HW=(labels_BHW[:, None] > 0).float(),
        labelled_B=torch.ones(count, dtype=torch.bool),
        companion_B1HW=None if text else torch.rand(count, 1, size, size, generator=generator),
        modality_B=torch.zeros(count, dtype=torch.long) if text else torch.arange(count) % 3,
        ids=[str(row) for row in range(count)],
        labels_BHW=labels_BHW if text else None,
        classes=(CLASSES,) * count if text else (),
    )


# ----------------------------------------------------------------------------------------------------------- predicting
def predict(folder: Path, options: argparse.Namespace) -> list[Row]:
    """Time predictions of the weights in `folder`: one step, and the published ten steps for an ensemble of ten."""
    generator = np.random.default_rng(0)
    rows = []
    for sampling, batches in ((ONE_STEP, options.batches), (PUBLISHED, options.batches[:1])):
        predictor = load(folder, half_precision=True, sampling=sampling)
        prompts = CLASSES.names if predictor.card.architecture.task == "open-vocabulary" else None
        for count in batches:
            photos = [generator.integers(0, 256, (480, 640, 3), np.uint8) for _ in range(count)]
            network: list[float] = []
            call = partial(draw, predictor, photos, prompts, network)
            row = {"model": folder.name, "size": options.size, "batch": count, "prompts": len(prompts or ())}
            row |= {"steps": sampling.steps or 1, "ensemble": sampling.ensemble_size}
            row |= measured(call, options.steps if sampling is ONE_STEP else 3)
            rows.append(row | ({"network_seconds": float(np.median(network[WARM_UP:]))} if row["seconds"] else {}))
            print(show("predicting", rows[-1], count), flush=True)
    return rows


def draw(
    predictor: SaliencyPredictor | OpenVocabularyPredictor,
    photos: list[np.ndarray],
    prompts: tuple[str, ...] | None,
    network: list[float],
) -> None:
    """Predict all photos in one call, and record the network's seconds."""
    given = () if prompts is None else (prompts,)
    predictions = predictor.predict(photos, *given, batch_size=len(photos))
    network.append(sum(one.milliseconds["net"] for one in predictions) / 1000)


def measured(call: Callable[[], None], times: int) -> Row:
    """Measure median seconds and peak memory; both None if out of memory."""
    gpu = torch.cuda.is_available()
    seconds = []
    if gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    try:
        for _ in range(WARM_UP + times):
            before = time.perf_counter()
            call()
            if gpu:
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - before)
    except (torch.OutOfMemoryError, Shortage):
        return {"seconds": None, "memory_gb": None}
    memory = torch.cuda.max_memory_allocated() / 1e9 if gpu else None
    return {"seconds": float(np.median(seconds[WARM_UP:])), "memory_gb": memory}


def show(what: str, row: Row, images: int) -> str:
    """'training: model diffsod, batch 4, ...: 0.4 s, 10 images/s, 30.1 GB'."""
    given = ", ".join(
        f"{key} {value}" for key, value in row.items() if key not in ("seconds", "memory_gb", "network_seconds")
    )
    if row["seconds"] is None:
        return f"{what}: {given}: out of memory"
    memory = "" if row["memory_gb"] is None else f", {row['memory_gb']:.1f} GB"
    network = f" (network {row['network_seconds']:.4f} s)" if "network_seconds" in row else ""
    return f"{what}: {given}: {row['seconds']:.4f} s{network}, {images / row['seconds']:.1f} images/s{memory}"


def _parse() -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("--models", nargs="+", choices=list(OPTIONS), default=list(OPTIONS))
    parser.add_argument("--size", type=int, default=384, help="pixels, height = width")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--steps", type=int, default=10, help="timed, after three that are not")
    return parser.parse_args()


if __name__ == "__main__":
    run_command(main)
