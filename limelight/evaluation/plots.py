"""Plots as PNG: curves, confusion matrices, and speed against quality."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from limelight.foundation.files import atomic_path
from limelight.media.legend import SIZE, as_written

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Okabe and Ito's colours, distinguishable with any colour vision."""
DASHES = ("-", "--", "-.", ":")
MARKERS = "osD^vPX*"
BY_THRESHOLD = {
    "f": ("F-measure by threshold", "F (β² = 0.3)"),
    "e": ("E-measure by threshold", "E"),
    "iou": ("IoU by threshold", "IoU"),
    "biou": ("Boundary IoU by threshold", "boundary IoU"),
    "tiou": ("Thin IoU by threshold", "thin IoU"),
    "msiou": ("Multiscale IoU by threshold", "multiscale IoU"),
}
"""Curve -> title and vertical axis of its plot."""
MAX_PLOTTED_CLASSES = 40
"""Most classes in a confusion plot; the names of more are illegible."""


@dataclass(frozen=True)
class Point:
    """One leaderboard row in the plot of speed and quality."""

    group: str
    """A run; its training form, merged form and exports share a colour."""
    runtime: str
    """Runtime and form; points with the same value share a marker shape."""
    latency_ms: float
    quality: float
    parameters: int


def plot_curves(curves: Mapping[str, Mapping[str, NDArray[np.float64]]], path: Path | str) -> None:
    """Plot precision over recall, and measures over the threshold, one line per dataset.

    Args:
        curves: dataset -> 'precision', 'recall', 'f' and possibly others of BY_THRESHOLD, of 256 values each; index j
            belongs to the threshold 255 - j.
    """
    from matplotlib.figure import Figure

    shown = [name for name in BY_THRESHOLD if all(name in curve for curve in curves.values())]
    columns = min(len(shown) + 1, 3)
    rows = -(-(len(shown) + 1) // columns)
    figure = Figure(figsize=(4.5 * columns, 4 * rows), layout="constrained")
    first, *others = figure.subplots(rows, columns, squeeze=False).flat
    for index, (dataset, curve) in enumerate(curves.items()):
        dashes = DASHES[index // len(PALETTE) % len(DASHES)]
        style: dict[str, Any] = {"color": PALETTE[index % len(PALETTE)], "linestyle": dashes}
        first.plot(curve["recall"], curve["precision"], label=dataset, **style)
        for name, axes in zip(shown, others, strict=False):
            _plot_by_threshold(axes, curve[name], dataset, style)
    first.set(xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.01), title="Precision and recall")
    for name, axes in zip(shown, others, strict=False):
        title, label = BY_THRESHOLD[name]
        axes.set(xlabel="threshold of the 8-bit map", ylabel=label, xlim=(0, 255), ylim=(0, 1.01), title=title)
    for axes in (first, *others[: len(shown)]):
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    for axes in others[len(shown) :]:
        axes.remove()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)


def _plot_by_threshold(axes: "Axes", values_256: NDArray[np.float64], dataset: str, style: dict[str, Any]) -> None:
    """Plot one dataset's line, with its maximum as a dot and a number."""
    best = int(np.argmax(values_256))
    axes.plot(255 - np.arange(256), values_256, label=f"{dataset}, max {values_256[best]:.3f}", **style)
    axes.plot(255 - best, values_256[best], "o", color=style["color"], markersize=4)


def plot_confusion(confusion: NDArray[np.int64], names: Sequence[str], title: str, path: Path | str) -> None:
    """Plot the confusion matrix, rows by the truth, each row normalised to 1.

    Rows are the classes in the truth only; of more than `MAX_PLOTTED_CLASSES` only the largest, rows and columns alike.

    Args:
        confusion: (N, N) pixels, rows by the truth.
        names: the N class names.
    """
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties

    pixels = confusion.sum(1)
    largest = np.sort(np.argsort(-pixels, kind="stable")[:MAX_PLOTTED_CLASSES])
    columns = [int(label) for label in largest if pixels[label] or confusion[:, label].sum()]
    rows = [label for label in columns if pixels[label]]
    share = confusion[np.ix_(rows, columns)] / pixels[rows][:, None]
    side = 2.4 + 0.24 * len(columns)
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    shown = axes.imshow(share, cmap="viridis", vmin=0, vmax=1, aspect="auto")
    written = {label: as_written(label, names[label], SIZE) for label in columns}
    for axis, labels in ((axes.xaxis, columns), (axes.yaxis, rows)):
        axis.set_ticks(range(len(labels)), [written[label][0] for label in labels])
        for tick, label in zip(axis.get_ticklabels(), labels, strict=True):
            file = written[label][1].path
            font = FontProperties(fname=file if isinstance(file, str) else None, size="small")
            tick.set(fontproperties=font, parse_math=False)
    axes.xaxis.set_tick_params(rotation=90)
    left = f", the {len(columns)} largest of {len(names)} classes" if len(names) > MAX_PLOTTED_CLASSES else ""
    axes.set(xlabel="taken for", ylabel="is", title=f"{title}{left}")
    figure.colorbar(shown, label="share of the pixels")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)


def plot_scatter(
    points: Sequence[Point], quality: str, path: Path | str, *, dark: bool = False, group: str = "run"
) -> None:
    """Plot quality over the network's latency; a point's area shows its number of parameters.

    Args:
        points: one per row with weights.
        quality: label of the vertical axis.
        dark: whether the plot is for a dark page.
        group: what the points of one colour have in common.
    """
    from matplotlib import style
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    groups, runtimes = (
        list(dict.fromkeys(labels)) for labels in zip(*((p.group, p.runtime) for p in points), strict=True)
    )
    with style.context("dark_background" if dark else "default"):
        figure = Figure(figsize=(9, 4.6), layout="constrained", facecolor="#1e1e22" if dark else "white")
        axes = figure.add_subplot(facecolor="none")
        for point in points:
            axes.scatter(
                point.latency_ms,
                point.quality,
                s=30 + 60 * np.sqrt(point.parameters / 1e6),
                color=PALETTE[groups.index(point.group) % 6],
                marker=MARKERS[runtimes.index(point.runtime) % len(MARKERS)],
                alpha=0.75,
                linewidths=0.8,
            )
        for name in groups:
            axes.plot([], [], "o", color=PALETTE[groups.index(name) % 6], label=name)
        for name in runtimes:
            axes.plot([], [], MARKERS[runtimes.index(name) % len(MARKERS)], color="grey", label=name)
        axes.set(xscale="log", xlabel="network, milliseconds per image", ylabel=quality)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.margins(0.1)
        axes.grid(alpha=0.25)
        figure.legend(
            loc="outside right upper", fontsize="small", title=f"colour: {group}\nshape: runtime\narea: parameters"
        )
        with atomic_path(path) as temporary:
            figure.savefig(temporary, dpi=130)
