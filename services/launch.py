"""`limelight serve`: check what is to be served, set the environment of BentoML's workers, and become BentoML."""

import ipaddress
import os
import sys
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from limelight.champions.record import champions
from limelight.config import TaskName
from limelight.deploy.export_cache import with_export
from limelight.foundation.cache import cache_folder
from limelight.foundation.errors import UserError
from limelight.foundation.one_line import mistakes_in_one_line
from limelight.foundation.this_process import replace_process
from limelight.inference.loading import check
from limelight.models.weights import read_card
from limelight.packaging.bento import packed_weights, unpack
from limelight.predict.weights import choose_weights
from limelight.services.address import bindable
from limelight.services.settings import PACKED, PREFIX, ServiceSettings, service_settings
from limelight.tasks import DEFAULT, get_task, task_of

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


class Served(NamedTuple):
    """What `serve` is going to start."""

    what: str
    """BentoML's target: a service's import path, or the folder of an unpacked bento."""
    weights: Path
    settings: ServiceSettings


@app.command()
def serve(
    model: Annotated[
        Path | None,
        typer.Option(
            help="serve this weights folder, or the weights of this name (limelight models, limelight weights)"
        ),
    ] = None,
    bento: Annotated[Path | None, typer.Option(help="serve this exported bento")] = None,
    task: Annotated[
        TaskName | None,
        typer.Option(help="the task whose packaged bento or champion to serve [saliency, if it has one]"),
    ] = None,
    host: Annotated[
        str, typer.Option(help="address; 0.0.0.0 lets other machines in: set LIMELIGHT_TOKEN first")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 3000,
) -> None:
    """Serve predictions over HTTP, with a page to try them at /.

    Without --model or --bento: the packaged bento, with the weights of LIMELIGHT_MODEL if that is set; if none is
    packaged yet, LIMELIGHT_MODEL or the champion.
    """
    replace_process(*prepare(model, bento, task, host=host, port=port))


def prepare(model: Path | None, bento: Path | None, task: TaskName | None, *, host: str, port: int) -> tuple[str, ...]:
    """Check what is to be served, and set the environment for BentoML's workers.

    Args:
        model: a weights folder, or a name.
        bento: an exported bento. With neither: LIMELIGHT_MODEL or the packaged bento, else the champion.
        task: whose bento or champion. None = the default task's, or that of the only champion.
        host: an address or name of this machine.

    Returns:
        The arguments for the Python process that serves it.

    Raises:
        UserError: it cannot be served, or not at this address.
    """
    if sum(each is not None for each in (model, bento, task)) > 1:
        raise UserError("--model, --bento and --task each say what to serve; give one of them")
    address = bindable(host, port)
    os.environ["BENTOML_DO_NOT_TRACK"] = "True"
    # A service empties its folder of figures for Prometheus as it starts, so that two need two.
    os.environ.setdefault("BENTOML_HOME", str(cache_folder("serve") / str(port)))
    chosen = task or _only_champion() or DEFAULT
    packaged = get_task(chosen).service.bento
    if model is None and bento is None and packaged.is_file():
        bento = packaged
    served = _folder(model, chosen) if bento is None else _packed(bento)
    _check_task(served, task)
    _resolve_paths(served.settings)
    # Checked here, since BentoML restarts a failing worker again and again.
    check(served.settings.model or served.weights, served.settings.request())
    if served.settings.token is None and not ipaddress.ip_address(address).is_loopback:
        print(f"warning: anyone who reaches {address} may use the service; set LIMELIGHT_TOKEN", file=sys.stderr)
    return ("-m", "bentoml", "serve", served.what, "--host", address, "--port", str(port))


def _only_champion() -> str | None:
    """The task of the champion if there is exactly one; else None."""
    chosen = list(champions())
    return chosen[0] if len(chosen) == 1 else None


def _packed(bento: Path) -> Served:
    unpacked = unpack(bento, Path("work/serve") / bento.stem)  # another bento may be served from this folder too
    settings = service_settings(unpacked / PACKED)
    if settings.model:
        os.environ["LIMELIGHT_MODEL"] = str(with_export(settings.model, settings.runtime, lasting=True))
        settings = service_settings(unpacked / PACKED)
    return Served(str(unpacked), packed_weights(unpacked), settings)


def _folder(model: Path | None, task: str) -> Served:
    settings = service_settings()
    runtime_is_open = "runtime" not in settings.model_fields_set
    folder, request = choose_weights(
        model or settings.model, settings.request(), task, runtime_is_open=runtime_is_open, lasting=True
    )
    folder = folder.resolve()
    os.environ |= {"LIMELIGHT_RUNTIME": request.runtime, "LIMELIGHT_MODEL": str(folder)}
    settings = settings.model_copy(update={"model": folder, "runtime": request.runtime})
    return Served(task_of(read_card(folder)).service.entry, folder, settings)


def _check_task(served: Served, task: str | None) -> None:
    """Refuse weights of LIMELIGHT_MODEL that are of another task than the bento, or than is asked for."""
    model = served.settings.model
    if task and (own := task_of(read_card(served.weights)).name) != task:
        raise UserError(f"LIMELIGHT_MODEL={model} is for {own}, not for {task}; unset it, or leave --task out")
    if model and task_of(read_card(model)) is not task_of(read_card(served.weights)):
        raise UserError(f"LIMELIGHT_MODEL={model} is not served by {served.what}, which does another task; unset it")


def _resolve_paths(settings: ServiceSettings) -> None:
    """Make paths absolute: BentoML starts its workers in another folder."""
    for name in ("model", "vae"):
        if path := getattr(settings, name):
            os.environ[f"{PREFIX}{name.upper()}"] = str(path.resolve())


if __name__ == "__main__":
    with mistakes_in_one_line():
        app(prog_name="limelight serve")
