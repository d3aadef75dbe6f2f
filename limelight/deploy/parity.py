"""Difference of each runtime's outputs from PyTorch's, and its effect on accuracy."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from limelight.config import Deploy
from limelight.evaluation.sod import score_image
from limelight.foundation.files import atomic_path
from limelight.imaging.feeds import Feeds, single_rows
from limelight.inference.backends import open_backend
from limelight.inference.backends.backend import Backend
from limelight.inference.plan import Request, plan
from limelight.inference.runtimes import RUNTIMES, TORCH
from limelight.models.weights import read_card


@dataclass(frozen=True)
class Accuracy:
    """Accuracy of probability maps against masks."""

    mae: float
    """Mean |p - mask|, with p not stretched."""
    max_f: float
    """Largest value of the mean F curve (beta² = 0.3, maps stretched per image as the field does)."""


@dataclass(frozen=True)
class Drift:
    """Difference of one runtime from the reference."""

    max_probability_difference: float
    mean_probability_difference: float
    mae_change: float
    max_f_change: float
    megabytes: float
    """Size of the files that the runtime reads."""


@dataclass(frozen=True)
class Parity:
    """All runtimes' drift over one set of images."""

    samples: int
    reference: Accuracy
    runtimes: dict[str, Drift]

    def as_dict(self) -> dict[str, object]:
        """Convert for JSON."""
        return asdict(self)

    def violations(self, limits: Deploy) -> list[str]:
        """Describe each limit exceeded. Probabilities are checked in full precision only: single pixels changed by
        rounding say little about an 8-bit network, unlike MAE and F."""
        problems = []
        for runtime, drift in self.runtimes.items():
            checks = [
                ("MAE change", drift.mae_change, limits.max_mae_change, "max_mae_change"),
                ("max F change", drift.max_f_change, limits.max_f_change, "max_f_change"),
            ]
            if RUNTIMES[runtime].number_format == "fp32":
                difference, limit = drift.max_probability_difference, limits.max_probability_difference
                checks.append(("probability difference", difference, limit, "max_probability_difference"))
            problems += [
                f"{runtime}: {what} {abs(value):.2g} exceeds deploy.{key} {limit:g}"
                for what, value, limit, key in checks
                if abs(value) > limit
            ]
        return problems


def measure_parity(
    folder: Path | str,
    runtimes: Iterable[str],
    feeds: Feeds,
    masks_NHW: np.ndarray,
    *,
    threads: int | None = None,
) -> Parity:
    """Run the same pictures through PyTorch and each runtime of a weights folder, on the CPU.

    Args:
        feeds: the pictures, as network inputs.
        masks_NHW: float, [0, 1], at the images' size.

    Raises:
        UserError: a runtime cannot be opened.
    """
    card = read_card(folder)

    def backend(runtime: str) -> Backend:
        return open_backend(plan(folder, card, Request(runtime, "cpu", threads)))

    expected_NHW = run(backend(TORCH.name), feeds)
    reference = accuracy(expected_NHW, masks_NHW)
    drifts = {}
    for name in runtimes:
        actual_NHW = run(backend(name), feeds)
        difference_NHW = np.abs(actual_NHW - expected_NHW)
        own = accuracy(actual_NHW, masks_NHW)
        drifts[name] = Drift(
            max_probability_difference=float(difference_NHW.max()),
            mean_probability_difference=float(difference_NHW.mean()),
            mae_change=own.mae - reference.mae,
            max_f_change=own.max_f - reference.max_f,
            megabytes=RUNTIMES[name].size_bytes(folder) / 1e6,
        )
    return Parity(len(masks_NHW), reference, drifts)


def run(backend: Backend, feeds: Feeds) -> np.ndarray:
    """Compute probability maps, (N, H, W), one picture at a time."""
    return np.concatenate([backend.run(row).probability_BKhw for row in single_rows(feeds)])[:, 0]


def accuracy(probability_NHW: np.ndarray, masks_NHW: Sequence[np.ndarray] | np.ndarray) -> Accuracy:
    """Compute the accuracy of maps in [0, 1] against masks in [0, 1] of the same size."""
    errors = [np.abs(probability - mask).mean() for probability, mask in zip(probability_NHW, masks_NHW, strict=True)]
    curves = [
        score_image(_to_8bit(probability), _to_8bit(mask)).f_256
        for probability, mask in zip(probability_NHW, masks_NHW, strict=True)
    ]
    return Accuracy(mae=float(np.mean(errors)), max_f=float(np.mean(curves, axis=0).max()))


def _to_8bit(map_HW: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(map_HW, 0, 1) * 255).astype(np.uint8)


def plot_parity(parity: Parity, limits: Deploy, path: Path | str) -> None:
    """Plot each runtime's drift as bars, with the limits, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.2), layout="constrained")
    names = list(parity.runtimes)
    panels = (
        ("largest probability difference", "max_probability_difference", limits.max_probability_difference),
        ("|change of MAE|", "mae_change", limits.max_mae_change),
        ("|change of max F|", "max_f_change", limits.max_f_change),
    )
    for axes, (title, field, limit) in zip(figure.subplots(1, len(panels), sharey=True), panels, strict=True):
        # Exact agreement is drawn at the edge of the logarithmic axis.
        values = [max(abs(getattr(drift, field)), 1e-8) for drift in parity.runtimes.values()]
        axes.barh(names, values, color="#0072b2")
        axes.axvline(limit, color="#d55e00", linestyle="--", label=f"limit {limit:g}")
        axes.set(xscale="log", xlim=(1e-8, 1), title=title)
        axes.legend(fontsize="small")
    figure.suptitle(f"against PyTorch, {parity.samples} images: MAE {parity.reference.mae:.4f}")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)
