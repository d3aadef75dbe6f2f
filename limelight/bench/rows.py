"""Which rows there are: every model in its training form, and its inference form in every runtime."""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from limelight.bench.inputs import Inputs, photos
from limelight.bench.models import Model
from limelight.bench.subject import Job
from limelight.deploy.export_cache import cached_export
from limelight.foundation.errors import UserError
from limelight.inference.runtimes import RUNTIMES, TORCH, Runtime, parse
from limelight.models.inputs import clip_frames
from limelight.models.zoo.names import is_ours

Device = Literal["cpu", "cuda"]
REFERENCE = "training form, eager"
"""What the row that others are compared with is called in place of a runtime."""


@dataclass(frozen=True)
class BenchRow:
    """A model in a runtime."""

    model: Model
    runtime: str
    """Its name; of the training form `REFERENCE`."""
    job: Job


@dataclass(frozen=True)
class Left:
    """A row that was not measured."""

    model: str
    runtime: str
    reason: str


def choose_runtimes(given: Sequence[str], device: Device) -> list[Runtime]:
    """Return the runtimes to compare.

    Args:
        given: their names; none = all that this machine has, and the others are reported.

    Raises:
        UserError: one that is given is unknown, or not on this machine.
    """
    if given:
        chosen = [parse(name) for name in dict.fromkeys(given)]
        for runtime in chosen:
            if reason := _obstacle(runtime, device):
                raise UserError(f"runtime {runtime.name!r} {reason}; leave it out")
        return chosen
    reasons = {name: _obstacle(runtime, device) for name, runtime in RUNTIMES.items()}
    for name, reason in reasons.items():
        if reason:
            print(f"{name} is left out: it {reason}", file=sys.stderr)
    return [runtime for name, runtime in RUNTIMES.items() if not reasons[name]]


def _obstacle(runtime: Runtime, device: Device) -> str:
    """Why a runtime cannot be measured here; '' where it can."""
    if not runtime.installed:
        return f"needs the package {runtime.package} (pip install 'limelight[export]')"
    if runtime.exported and device == "cuda":
        return "runs on the CPU alone"
    if (actual := runtime.computed_in()) != runtime.number_format:
        return f"computes in {actual} here, since this processor has no {runtime.number_format}"
    return ""


def plan_rows(
    models: Sequence[Model],
    runtimes: Sequence[Runtime],
    common: Job,
    inputs: Inputs,
    data: Path | None,
    scratch: Path,
) -> tuple[list[BenchRow], list[Left]]:
    """Make the exports that are not there, and list the rows.

    Args:
        common: what all jobs have in common; its folder and runtime do not count.
        data: pictures to calibrate 8-bit exports with; None = the package's.
        scratch: a folder for merged weights and for exports of the user's weights.

    Returns:
        The rows, of each model the training form first; and those that cannot be.
    """
    rows, left = [], []
    for model in models:
        frames = clip_frames(model.card.architecture.inputs)
        job = replace(common, clip=inputs.clip(frames)) if frames and inputs.frames else common
        job = replace(job, pictures=()) if frames else job
        if not model.without_training_form:
            trained = replace(job, folder=model.folder, runtime=TORCH.name, unmerged=True)
            rows.append(BenchRow(model, REFERENCE, trained))
        folders = _prepared(model, runtimes, data or photos(), scratch)
        for runtime in runtimes:
            folder = folders[runtime.name]
            if isinstance(folder, UserError):
                left.append(Left(model.name, runtime.name, str(folder)))
            else:
                rows.append(BenchRow(model, runtime.name, replace(job, folder=folder, runtime=runtime.name)))
    return rows, left


def _prepared(model: Model, runtimes: Sequence[Runtime], pictures: Path, scratch: Path) -> dict[str, Path | UserError]:
    """By runtime, a weights folder in its inference form, with the export if it needs one; or why there is none."""
    if is_ours(model.folder):
        return {runtime.name: _made(partial(_cached, model, runtime, pictures, scratch)) for runtime in runtimes}
    folders: dict[str, Path | UserError] = {
        runtime.name: model.folder
        for runtime in runtimes
        if (runtime.file(model.folder).is_file() if runtime.exported else not model.merges)
    }
    absent = [runtime for runtime in runtimes if runtime.name not in folders]
    together = _made(partial(_exported, model, absent, pictures, scratch / "together")) if absent else model.folder
    if isinstance(together, UserError) and len(absent) > 1:  # one of them fails, perhaps for want of a package
        return folders | {
            each.name: _made(partial(_exported, model, [each], pictures, scratch / each.name)) for each in absent
        }
    return folders | {each.name: together for each in absent}


def _made(make: Callable[[], Path]) -> Path | UserError:
    try:
        return make()
    except UserError as error:
        return error


def _cached(model: Model, runtime: Runtime, pictures: Path, scratch: Path) -> Path:
    """Of weights that come with the package, or that were fetched by name: exports stay in the user's cache."""
    if runtime.exported:
        return cached_export(model.folder, runtime, pictures=pictures)
    return _exported(model, [runtime], pictures, scratch / "merged") if model.merges else model.folder


def _exported(model: Model, runtimes: Sequence[Runtime], pictures: Path, root: Path) -> Path:
    """A new weights folder with the exports of several runtimes."""
    from limelight.deploy.inference_form import export_weights

    names = list(dict.fromkeys(runtime.export_name for runtime in runtimes if runtime.exported))
    place = root / model.name.replace(os.sep, "-")
    if names:
        note = "for this run; limelight export makes lasting ones"
        print(f"exporting {model.name} to {', '.join(names)}, {note}", file=sys.stderr)
    quantised = any(runtime.number_format == "int8" for runtime in runtimes)
    export_weights(model.folder, place, names, pictures if quantised else None)
    return place
