"""`limelight bench`, from its options to a table, a JSON file and a plot."""

import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from limelight.bench.figures import Figures, make_figures
from limelight.bench.inputs import Inputs, read_inputs
from limelight.bench.models import find_models
from limelight.bench.quality import Quality, find_quality
from limelight.bench.rows import Device, Left, choose_runtimes, plan_rows
from limelight.bench.subject import PROTOCOLS, Job, Protocol
from limelight.bench.table import legend, markdown
from limelight.bench.turns import Calls, measure
from limelight.foundation.errors import UserError
from limelight.foundation.files import write_json
from limelight.foundation.this_process import cores
from limelight.inference.runtimes import Runtime
from limelight.models.inputs import clip_frames
from limelight.reporting.speed import hardware

CALLS = {"cpu": Calls(50, 10), "cuda": Calls(50, 10)}
AUTHORS_CALLS = {"cpu": Calls(110, 11, discard_first=True), "cuda": Calls(1000, 100, discard_first=True)}
"""As often as SDNet's authors call pictures and clips on a CPU and on a GPU."""
PLOTS = (".png", ".svg", ".pdf")
PACKAGES = ("torch", "onnxruntime", "openvino")


@dataclass(frozen=True)
class BenchOptions:
    """The command's options; see `limelight bench --help`.

    Raises:
        UserError: options contradict each other, or a value is invalid.
    """

    models: Sequence[str] = ()
    runtime: Sequence[str] = field(default=())
    data: Path | None = None
    protocol: Protocol = "pictures"
    size: int | None = None
    threads: int | None = None
    runs: int | None = None
    device: Device = "cpu"
    json: Path | None = None
    plot: Path | None = None
    reports: Path | None = None
    metric: str | None = None

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise UserError(f"unknown protocol {self.protocol!r}; choose one of: {', '.join(PROTOCOLS)}")
        if self.device not in ("cpu", "cuda"):
            raise UserError(f"unknown device {self.device!r}; choose cpu or cuda: a run is on one of them")
        if self.plot is None and (self.reports or self.metric):
            raise UserError("--reports and --metric are for the plot; give --plot too, or leave them out")
        if self.plot is not None and self.plot.suffix.lower() not in PLOTS:
            raise UserError(f"{self.plot}: a plot is one of {', '.join(PLOTS)}; choose one of these suffixes")
        if self.plot is not None and find_spec("matplotlib") is None:
            raise UserError("a plot needs the package matplotlib; install it with: pip install 'limelight[pipeline]'")

    @property
    def calls(self) -> Calls:
        usual = (AUTHORS_CALLS if self.protocol == "authors" else CALLS)[self.device]
        return usual if self.runs is None else Calls(self.runs, self.runs, usual.discard_first)

    @property
    def cores(self) -> int:
        """Threads of every runtime."""
        return cores() if self.threads is None else self.threads


def run(options: BenchOptions) -> int:
    """Measure, print the table, write the files, and return the exit status: 1 if a named runtime was not measured.

    Raises:
        UserError: a model or runtime is unknown or not here, there are no pictures, or a file cannot be written.
    """
    runtimes = choose_runtimes(options.runtime, options.device)
    _check(options, runtimes)
    with TemporaryDirectory(prefix="limelight.") as folder:
        models = find_models(options.models, Path(folder))
        quality = find_quality(models, options.reports, options.metric) if options.plot else None
        frames = max(clip_frames(model.card.architecture.inputs) or 0 for model in models)
        inputs = Inputs() if options.protocol == "authors" else read_inputs(options.data, frames)
        common = Job(
            Path(), "", options.device, options.cores, options.size, options.protocol, pictures=inputs.pictures
        )
        rows, left = plan_rows(models, runtimes, common, inputs, options.data, Path(folder))
        load = os.getloadavg()[0]
        measured, failed = measure(rows, options.calls)
        figures = make_figures(measured)
    left += failed
    report = _report(options, inputs, load, figures, left)
    print(_text(report, figures, left))
    if options.json:
        write_json(options.json, report | ({"quality": asdict(quality)} if quality else {}))
    if options.plot and quality:
        _plot(figures, quality, options.plot)
    return 1 if not figures or (left and options.runtime) else 0


def _check(options: BenchOptions, runtimes: Sequence[Runtime]) -> None:
    """Raise what can be known before anything is loaded."""
    if options.device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise UserError("device 'cuda' was asked for, but PyTorch finds no CUDA GPU; use cpu")
    quantised = any(runtime.number_format == "int8" for runtime in runtimes)
    if options.protocol == "authors" and options.data and not quantised:
        raise UserError("protocol 'authors' takes random numbers, not pictures; leave --data out")
    for path in (options.json, options.plot):
        if path is not None and path.is_dir():
            raise UserError(f"{path} is a folder; give the name of a file")


def _report(
    options: BenchOptions, inputs: Inputs, load: float, figures: Sequence[Figures], left: Sequence[Left]
) -> dict[str, Any]:
    of = "random numbers, the network alone" if options.protocol == "authors" else f"{inputs.of}, from pixels to map"
    return {
        "machine": hardware(),
        "device": options.device,
        "threads": options.cores,
        "load_before": round(load, 2),
        "packages": {name: _version(name) for name in PACKAGES},
        "protocol": options.protocol,
        "of": of,
        "rows": [row.as_dict() for row in figures],
        "not_measured": [asdict(each) for each in left],
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _text(report: dict[str, Any], figures: Sequence[Figures], left: Sequence[Left]) -> str:
    packages = ", ".join(f"{name} {number}" for name, number in report["packages"].items() if number)
    threads = f"{report['threads']} thread{'s' if report['threads'] > 1 else ''}"
    lines = [
        f"{report['machine']}; {report['device']}, {threads}, load {report['load_before']:g} before; {packages}",
        f"{report['protocol']}: {report['of']}, batch 1; all rows in turns",
    ]
    if figures:
        lines += ["", markdown(figures), "", *legend(figures)]
    random = dict.fromkeys(row.model for row in figures if row.weights == "random weights")
    lines += [f"Random weights: {', '.join(random)}."] if random else []
    lines += [f"Not measured: {each.model}, {each.runtime}: {each.reason}" for each in left]
    return "\n".join(lines)


def _plot(figures: Sequence[Figures], quality: Quality, path: Path) -> None:
    """Plot the rows that have a figure, and name the models that have none."""
    from limelight.evaluation.plots import Point, plot_scatter

    points = [
        Point(row.model, row.runtime, row.network_p50_ms / row.frames, value, row.parameters or 0)
        for row in figures
        if (value := quality.of(row.model, row.runtime)) is not None
    ]
    if quality.missing:
        print(f"not in {path}, having no figure {quality.metric!r}: {', '.join(quality.missing)}", file=sys.stderr)
    if not points:
        raise UserError(f"{path} is not drawn: none of the models with a figure could be measured")
    less = " (less is better)" if quality.less_is_better else ""
    plot_scatter(points, f"{quality.metric}{less}", path, group="model")
