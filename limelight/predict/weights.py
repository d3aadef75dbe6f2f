"""The way from a name, or from none, to the weights to load and how to load them."""

from dataclasses import replace
from pathlib import Path

from limelight.champions.record import champion
from limelight.deploy.export_cache import with_export
from limelight.inference.plan import Request
from limelight.tasks import DEFAULT


def choose_weights(
    model: Path | str | None, request: Request, task: str = DEFAULT, *, runtime_is_open: bool, lasting: bool = False
) -> tuple[Path, Request]:
    """Return a weights folder that has the runtime's export, and the request to load it with.

    Args:
        model: a weights folder or a name; None = the task's champion, or what comes with the package.
        runtime_is_open: whether a champion may bring the runtime that it won with, in place of the request's.
        lasting: see `limelight.deploy.export_cache.with_export`.

    Raises:
        UserError: see `limelight.champions.record.champion` and `limelight.deploy.export_cache.with_export`.
    """
    if model is None:
        model, won_with = champion(task)
        if runtime_is_open and not request.needs_pytorch:
            request = replace(request, runtime=won_with)
    return with_export(model, request.runtime, lasting=lasting), request
