"""A real but tiny training problem: coloured discs on noise, and a network of three layers."""

from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from limelight.config import Run
from limelight.data.manifest import Sample
from limelight.foundation.files import sha256_file
from limelight.models.base import Network
from limelight.training.objectives.supervised import Supervised

SIZE = 32


class ToyNetwork(Network):
    """Three convolutions with batch norm and dropout, so that buffers and generators matter, and two outputs."""

    def __init__(self, *, norm: bool = True, dropout: float = 0.2) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.BatchNorm2d(8) if norm else nn.Identity(),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Conv2d(8, 8, 3, padding=1),
            nn.ReLU(),
        )
        self.head = nn.Conv2d(8, 2, 1)

    def forward(self, image_B3HW: Tensor) -> list[Tensor]:
        return list(self.head(self.body(image_B3HW)).split(1, dim=1))

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        return {"body": list(self.body.parameters()), "head": list(self.head.parameters())}


def toy_network(seed: int = 0, **options: object) -> ToyNetwork:
    torch.manual_seed(seed)
    return ToyNetwork(**options)


def toy_samples(folder: Path, count: int, split: str = "train", labelled: bool = True) -> list[Sample]:
    """Write `count` pictures and their masks."""
    random = np.random.default_rng(len(split))
    samples = []
    for number in range(count):
        image_HW3 = random.integers(0, 120, (40, 48, 3), dtype=np.uint8)
        mask_HW = np.zeros((40, 48), np.uint8)
        centre, radius = tuple(int(value) for value in random.integers(12, 28, 2)), int(random.integers(6, 11))
        cv2.circle(mask_HW, centre, radius, 255, -1)
        image_HW3[mask_HW > 0] += np.uint8(120)
        stem = folder / split / f"{number:03}"
        stem.parent.mkdir(parents=True, exist_ok=True)
        if not Path(f"{stem}-mask.png").exists():  # another process may be reading them
            cv2.imwrite(f"{stem}.png", image_HW3)
            cv2.imwrite(f"{stem}-mask.png", mask_HW)
        mask = f"{stem}-mask.png" if labelled else None
        name = f"toy/{split}/{number:03}"
        rest = (f"{stem}.png", None, mask, None, None, (), 48, 40, sha256_file(f"{stem}.png"))
        samples.append(Sample(name, "toy", split, "rgb", "mask" if mask else "none", *rest))
    return samples


def toy_run(**settings: object) -> Run:
    """Two epochs at one size, with crops and flips."""
    base = {
        "model": "toy",
        "epochs": 2,
        "batch": {"size": 4},
        "size": {"input": SIZE},
        "optimiser": {"name": "adamw", "lr": 0.02},
        "schedule": {"name": "cosine", "warmup_epochs": 0.5},
        "augment": [{"name": "crop", "share": 0.2}, {"name": "flip"}],
        "objective": {"name": "supervised", "loss": "bce-iou"},
    }
    return Run.model_validate({**base, **settings})


def supervised(network: Network, run: Run) -> Supervised:
    """A learner of masks."""
    return Supervised(network, run.objective, epochs=run.epochs)


def weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    """Bit for bit."""
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
