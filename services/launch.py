"""What `limelight serve` starts, and the environment in which BentoML's workers find its weights and settings."""

import os
from pathlib import Path
from typing import NamedTuple

from limelight.champions.record import champion, champions
from limelight.foundation.errors import UserError
from limelight.inference.predictor import check
from limelight.models.weights import read_card
from limelight.packaging.bento import SERVICES, packed_weights, service_of, unpack
from limelight.services.address import bindable
from limelight.services.settings import PACKED, PREFIX, ServiceSettings, service_settings
from limelight.tasks import SALIENCY, WORDS


class Served(NamedTuple):
    """What is to be served, before anything is started."""

    what: str
    """As BentoML is told: a service's place in the code, or an unpacked bento."""
    weights: Path
    settings: ServiceSettings


def prepare(model: Path | None, bento: Path | None, *, words: bool, host: str, port: int) -> tuple[str, ...]:
    """Check what is asked for, and set the environment for BentoML's workers.

    Args:
        model: a weights folder.
        bento: an exported bento. With neither: LIMELIGHT_MODEL or the packaged bento, else the champion.
        words: take the packaged service of words, where both kinds are packaged.
        host: an address or name of this machine.

    Returns:
        The arguments with which Python serves it.

    Raises:
        UserError: it cannot be served, or not there.
    """
    if (model is not None) + (bento is not None) + words > 1:
        raise UserError("--model, --bento and --words each say what to serve; give one of them")
    address = bindable(host, port)
    os.environ["BENTOML_DO_NOT_TRACK"] = "True"
    task = WORDS if words or list(champions()) == [WORDS] else SALIENCY
    if model is None and bento is None and SERVICES[task].bento.is_file():
        bento = SERVICES[task].bento
    served = _folder(model, task) if bento is None else _packed(bento)
    _check_task(served)
    _resolve_paths(served.settings)
    # Said here, since BentoML starts a worker that fails again and again.
    check(served.settings.model or served.weights, served.settings.request())
    return ("-m", "bentoml", "serve", served.what, "--host", address, "--port", str(port))


def _packed(bento: Path) -> Served:
    unpacked = unpack(bento, Path("work/serve"))
    return Served(str(unpacked), packed_weights(unpacked), service_settings(unpacked / PACKED))


def _folder(model: Path | None, task: str) -> Served:
    given = model or service_settings().model
    folder, runtime = (given, "auto") if given else champion(task)
    os.environ["LIMELIGHT_MODEL"] = str(folder.resolve())
    settings = service_settings()
    if settings.denoise_steps is None and settings.vae is None:  # which no export can
        os.environ.setdefault("LIMELIGHT_RUNTIME", runtime)
        settings = service_settings()
    return Served(service_of(read_card(folder)).entry, folder, settings)


def _check_task(served: Served) -> None:
    model = served.settings.model
    if model and service_of(read_card(model)) != service_of(read_card(served.weights)):
        raise UserError(f"LIMELIGHT_MODEL={model} is not served by {served.what}, which does the other task; unset it")


def _resolve_paths(settings: ServiceSettings) -> None:
    """BentoML starts its workers in another folder."""
    for name in ("model", "vae"):
        if path := getattr(settings, name):
            os.environ[f"{PREFIX}{name.upper()}"] = str(path.resolve())
