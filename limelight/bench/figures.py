"""What the measurements say: a row of figures for each row."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from limelight.bench.models import count_cost
from limelight.bench.rows import REFERENCE
from limelight.bench.turns import Measured


@dataclass(frozen=True)
class Figures:
    """Figures of a row. Milliseconds of latency are of a call; 'each' is a picture or a frame."""

    model: str
    weights: str
    runtime: str
    description: str
    height: int
    width: int
    frames: int
    """Frames that a call takes together, none of which is ready before it ends; 1 of pictures and single frames."""
    is_video: bool
    calls: int
    latency_p50_ms: float
    latency_p95_ms: float
    latency_fastest_ms: float
    network_p50_ms: float
    """Of the latency, the network alone."""
    per_second: float
    """Pictures or frames, by the mean of the latency."""
    cpu_ms_each: float
    """Median, of all threads together."""
    peak_memory_mb: float
    """Of the row's process, with the interpreter, the runtime and the pictures."""
    peak_gpu_mb: float | None
    parameters: int | None
    macs_each: int | None
    times_faster: float | None
    """How many times as many pictures or frames the network computes in the time of the training form, by medians."""
    times_less_cpu: float | None
    """The training form's processor time of a picture or frame, divided by this one's."""
    why_no_ratio: str = ""

    def as_dict(self) -> dict[str, object]:
        """Convert for JSON."""
        return asdict(self)


def make_figures(measured: Sequence[Measured]) -> list[Figures]:
    """Summarise the rows, and count the cost of their networks."""
    references = {each.row.model.name: each for each in measured if each.row.runtime == REFERENCE}
    costs: dict[tuple[object, ...], dict[str, int | None]] = {}
    rows = []
    for each in measured:
        job, model = each.row.job, each.row.model
        key = model.name, job.unmerged, each.ready.size
        if key not in costs:
            costs[key] = count_cost(job.folder, each.ready.size, unmerged=job.unmerged)
        rows.append(_figures(each, costs[key], references.get(model.name)))
    return rows


def _figures(each: Measured, cost: Mapping[str, int | None], reference: Measured | None) -> Figures:
    model, ready = each.row.model, each.ready
    total = np.array([timing.total_ms for timing in each.timings])
    return Figures(
        model=model.name,
        weights=model.weights,
        runtime=each.row.runtime,
        description=ready.description,
        height=ready.size[0],
        width=ready.size[1],
        frames=ready.frames,
        is_video=ready.is_video,
        calls=len(total),
        latency_p50_ms=_rounded(np.median(total)),
        latency_p95_ms=_rounded(np.percentile(total, 95)),
        latency_fastest_ms=_rounded(total.min()),
        network_p50_ms=_rounded(_network_ms_each(each) * ready.frames),
        per_second=_rounded(1000 * ready.frames / total.mean()),
        cpu_ms_each=_rounded(_cpu_ms_each(each)),
        peak_memory_mb=each.memory.resident_mb,
        peak_gpu_mb=each.memory.gpu_mb,
        parameters=cost["parameters"],
        macs_each=cost["macs"],
        times_faster=None if reference is None else _rounded(_network_ms_each(reference) / _network_ms_each(each)),
        times_less_cpu=None if reference is None else _rounded(_cpu_ms_each(reference) / _cpu_ms_each(each)),
        why_no_ratio="" if reference else model.without_training_form or "training form not measured",
    )


def _network_ms_each(each: Measured) -> float:
    return float(np.median([timing.network_ms for timing in each.timings])) / each.ready.frames


def _cpu_ms_each(each: Measured) -> float:
    return float(np.median([timing.cpu_ms for timing in each.timings])) / each.ready.frames


def _rounded(value: float | np.floating) -> float:
    return round(float(value), 3)
