"""The results as a Markdown table."""

from collections.abc import Sequence

from limelight.bench.figures import Figures

COLUMNS = (
    "model",
    "runtime",
    "input",
    "p50 ms",
    "p95 ms",
    "network ms",
    "a second",
    "CPU ms",
    "MB",
    "M param.",
    "G MACs",
)
RATIOS = ("times as fast", "times less CPU")


def markdown(rows: Sequence[Figures]) -> str:
    """A line per row."""
    lines = [[*COLUMNS, *RATIOS], ["---", "---", "---", *["--:"] * (len(COLUMNS) - 1)]]
    lines += [_cells(row) for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cells(row: Figures) -> list[str]:
    size = f"{row.height} x {row.width}" if row.height != row.width else str(row.height)
    size += f", {row.frames} frames" if row.frames > 1 else ", a frame" if row.is_video else ""
    gpu = "" if row.peak_gpu_mb is None else f" + {row.peak_gpu_mb:.0f} GPU"
    return [
        row.model,
        row.runtime,
        size,
        *(_number(value) for value in (row.latency_p50_ms, row.latency_p95_ms, row.network_p50_ms)),
        _number(row.per_second),
        _number(row.cpu_ms_each),
        f"{row.peak_memory_mb:.0f}{gpu}",
        "" if row.parameters is None else f"{row.parameters / 1e6:.2f}",
        "" if row.macs_each is None else f"{row.macs_each / 1e9:.2f}",
        *(
            f"none: {row.why_no_ratio}" if ratio is None else f"{ratio:.2f}"
            for ratio in (row.times_faster, row.times_less_cpu)
        ),
    ]


def legend(rows: Sequence[Figures]) -> list[str]:
    """What the columns mean, as far as a reader of these rows needs it."""
    video = [row for row in rows if row.is_video]
    what = "picture" if not video else "frame" if len(video) == len(rows) else "picture or frame"
    lines = [
        f"p50, p95: latency of a call; a second, CPU ms (all threads), G MACs: of a {what}; MB: peak memory of the "
        "row's own process; times as fast (the network alone) and less CPU: than its training form in eager PyTorch."
    ]
    if windows := [row for row in rows if row.frames > 1]:
        frames = " or ".join(str(count) for count in sorted({row.frames for row in windows}))
        lines.append(
            f"Rows of {frames} frames: latency is that of the whole window. None of its frames is ready before it, and "
            "the first one waits for the last to arrive, too."
        )
    return lines


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"
