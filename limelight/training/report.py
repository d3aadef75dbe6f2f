"""Curves and sample pictures of a training."""

import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import torch

from limelight.data.loader import evaluation_batches
from limelight.data.manifest import Sample
from limelight.foundation.files import atomic_path
from limelight.imaging.encoding import write_png
from limelight.models.card import Normalisation
from limelight.training.history import History
from limelight.training.learner import Learner

ROWS, TILE = 6, 160
_NONE = Normalisation((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def draw_curves(history: History, path: Path, title: str) -> None:
    """Loss and its parts, validation figures and learning rate over the epochs, side by side, as a PNG."""
    try:
        from matplotlib.figure import Figure
    except ImportError:  # not installed on a machine that only trains
        print(f"no {path}: matplotlib is not installed; the numbers are in history.csv", file=sys.stderr)
        return

    names = dict.fromkeys(key for record in history.records for key in record if key != "epoch")
    panels = {
        "loss": [name for name in names if name != "lr" and not name.startswith("val_")],
        "validation": [name for name in names if name.startswith("val_")],
        "learning rate": ["lr"],
    }
    shown = {panel: series for panel, series in panels.items() if series}
    figure = Figure(figsize=(4 * len(shown), 3), layout="constrained")
    for axes, (panel, series) in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown.items(), strict=True):
        for name in series:
            points = [(record["epoch"], record[name]) for record in history.records if name in record]
            axes.plot(*zip(*points, strict=True), marker="." if len(points) < 30 else None, label=name)
        axes.set(xlabel="epoch", title=panel)
        axes.legend(frameon=False)
    figure.suptitle(title)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)


def draw_samples(
    learner: Learner, samples: Sequence[Sample], size: int, path: Path, normalisation: Normalisation
) -> None:
    """Draw image, mask and prediction of the first few samples, a row each, as a PNG, on the learner's device.

    Args:
        size: the network's input size, pixels.
        normalisation: its pictures'.
    """
    device = next(learner.network.parameters()).device
    learner.eval()
    rows = []
    normalised = evaluation_batches(samples[:ROWS], size, 1, normalisation=normalisation, inputs=learner.inputs)
    plain = evaluation_batches(samples[:ROWS], size, 1, normalisation=_NONE)
    with closing(normalised), closing(plain), torch.inference_mode():
        for batch, picture in zip(normalised, plain, strict=True):
            probability_HW = learner.predict(batch.to(device))[0, 0].float().cpu().numpy()
            maps = [probability_to_rgb(map_HW) for map_HW in (batch.mask_B1HW[0, 0].numpy(), probability_HW)]
            image_HW3 = (picture.image_B3HW[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
            tiles = [cv2.resize(tile, (TILE, TILE), interpolation=cv2.INTER_AREA) for tile in (image_HW3, *maps)]
            rows.append(np.hstack(tiles))
    write_png(path, np.vstack(rows))


def probability_to_rgb(map_HW: np.ndarray) -> np.ndarray:
    """Convert a map in [0, 1] to grey, uint8 HxWx3."""
    return np.repeat((map_HW * 255).round().astype(np.uint8)[..., None], 3, axis=-1)
