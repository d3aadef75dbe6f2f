"""Difference of each runtime's outputs from PyTorch's, and its effect on accuracy."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from limelight.config import Deploy
from limelight.evaluation.sod import score_image
from limelight.foundation.files import atomic_path, without_nan
from limelight.imaging.feeds import Feeds, as_clip, single_rows
from limelight.inference.backends import open_backend
from limelight.inference.backends.backend import Backend
from limelight.inference.plan import Request, plan
from limelight.inference.runtimes import RUNTIMES, TORCH, Runtime
from limelight.models.inputs import Input
from limelight.models.weights import read_card

STEP_FRAMES = 8
"""Frames that an exported step is compared on."""


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
    steps: dict[str, Drift]
    """Of the exported steps of causal networks, by runtime, from PyTorch's maps of the same frames as one clip."""

    @property
    def exports(self) -> list[tuple[str, Runtime, Drift]]:
        """All that is compared, each with its name in messages."""
        steps = [(f"{name} step", RUNTIMES[name], drift) for name, drift in self.steps.items()]
        return [*((name, RUNTIMES[name], drift) for name, drift in self.runtimes.items()), *steps]

    def as_dict(self) -> dict[str, object]:
        """Convert for JSON, which has no NaN and infinity: None in their place."""
        figures: dict[str, object] = without_nan(asdict(self))
        return figures

    def violations(self, limits: Deploy) -> list[str]:
        """Describe each limit exceeded. Probabilities are checked in full precision only: single pixels changed by
        rounding say little about an 8-bit network, unlike MAE and F."""
        problems = []
        for name, runtime, drift in self.exports:
            checks = [
                ("MAE change", drift.mae_change, limits.max_mae_change, "max_mae_change"),
                ("max F change", drift.max_f_change, limits.max_f_change, "max_f_change"),
            ]
            if runtime.number_format == "fp32":
                difference, limit = drift.max_probability_difference, limits.max_probability_difference
                checks.append(("probability difference", difference, limit, "max_probability_difference"))
            problems += [
                f"{name}: {what} {abs(value):.2g} exceeds deploy.{key} {limit:g}"
                for what, value, limit, key in checks
                if not abs(value) <= limit  # NaN too
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

    Where a runtime has a causal network's step, the pictures in a row are also frames of one clip: step by step, with
    the state carried along, its maps are compared with PyTorch's of the whole clip. Pictures that have nothing in
    common are its hardest case, since each state then differs from the one before.

    Args:
        feeds: the pictures, as network inputs.
        masks_NHW: float, [0, 1], at the images' size.

    Raises:
        UserError: a runtime cannot be opened.
    """
    card = read_card(folder)
    inputs = card.architecture.inputs

    def backend(runtime: str) -> Backend:
        return open_backend(plan(folder, card, Request(runtime, "cpu", threads)))

    reference = backend(TORCH.name)
    expected_NHW = run(reference, feeds)
    order = np.arange(STEP_FRAMES) % len(masks_NHW)
    clip = {name: array[order] for name, array in feeds.items()}
    expected_THW: np.ndarray | None = None
    drifts, steps = {}, {}
    for name in runtimes:
        opened, runtime = backend(name), RUNTIMES[name]
        drifts[name] = _drift(run(opened, feeds), expected_NHW, masks_NHW, runtime.size_bytes(folder))
        if opened.streams:
            if expected_THW is None:
                expected_THW = reference.run(as_clip(inputs, clip)).probability_BKhw[:, 0]
            step_bytes = sum(path.stat().st_size for path in runtime.step_files(folder))
            steps[name] = _drift(run_steps(opened, inputs, clip), expected_THW, masks_NHW[order], step_bytes)
    return Parity(len(masks_NHW), accuracy(expected_NHW, masks_NHW), drifts, steps)


def _drift(actual_NHW: np.ndarray, expected_NHW: np.ndarray, masks_NHW: np.ndarray, size_bytes: int) -> Drift:
    difference_NHW = np.abs(actual_NHW - expected_NHW)
    own, reference = accuracy(actual_NHW, masks_NHW), accuracy(expected_NHW, masks_NHW)
    return Drift(
        max_probability_difference=float(difference_NHW.max()),
        mean_probability_difference=float(difference_NHW.mean()),
        mae_change=own.mae - reference.mae,
        max_f_change=own.max_f - reference.max_f,
        megabytes=size_bytes / 1e6,
    )


def run(backend: Backend, feeds: Feeds) -> np.ndarray:
    """Compute probability maps, (N, H, W), one picture at a time."""
    return np.concatenate([backend.run(row).probability_BKhw for row in single_rows(feeds)])[:, 0]


def run_steps(backend: Backend, inputs: Sequence[Input], feeds: Feeds) -> np.ndarray:
    """Compute the probability maps of a stream's frames, (T, H, W), one after another, with the state carried along.

    Args:
        backend: one that streams.
        feeds: the frames, each a picture of its own.
    """
    (clips,) = (each.name for each in inputs if each.source == "clip")
    maps, state = [], None
    for frame in single_rows(feeds):
        made, state = backend.step(frame[clips][:, 0], state)
        maps.append(made.probability_BKhw)
    return np.concatenate(maps)[:, 0]


def accuracy(probability_NHW: np.ndarray, masks_NHW: Sequence[np.ndarray] | np.ndarray) -> Accuracy:
    """Compute the accuracy of maps in [0, 1] against masks in [0, 1] of the same size."""
    errors = [np.abs(probability - mask).mean() for probability, mask in zip(probability_NHW, masks_NHW, strict=True)]
    curves = [
        score_image(_to_8bit(probability), _to_8bit(mask)).f_256
        for probability, mask in zip(probability_NHW, masks_NHW, strict=True)
    ]
    return Accuracy(mae=float(np.mean(errors)), max_f=float(np.mean(curves, axis=0).max()))


def _to_8bit(map_HW: np.ndarray) -> np.ndarray:
    # NaN, which becomes 0 here, is seen in the mean absolute error.
    return np.rint(np.clip(np.nan_to_num(map_HW), 0, 1) * 255).astype(np.uint8)


def plot_parity(parity: Parity, limits: Deploy, path: Path | str) -> None:
    """Plot each runtime's drift as bars, with the limits, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.2), layout="constrained")
    names = [name for name, _, _ in parity.exports]
    panels = (
        ("largest probability difference", "max_probability_difference", limits.max_probability_difference),
        ("|change of MAE|", "mae_change", limits.max_mae_change),
        ("|change of max F|", "max_f_change", limits.max_f_change),
    )
    for axes, (title, field, limit) in zip(figure.subplots(1, len(panels), sharey=True), panels, strict=True):
        # Exact agreement is drawn at the edge of the logarithmic axis.
        values = [max(abs(getattr(drift, field)), 1e-8) for _, _, drift in parity.exports]
        axes.barh(names, values, color="#0072b2")
        axes.axvline(limit, color="#d55e00", linestyle="--", label=f"limit {limit:g}")
        axes.set(xscale="log", xlim=(1e-8, 1), title=title)
        axes.legend(fontsize="small")
    figure.suptitle(f"against PyTorch, {parity.samples} images: MAE {parity.reference.mae:.4f}")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)
