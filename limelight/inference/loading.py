"""Open a set of weights as a predictor: the command line, the evaluation, services and benchmarks all use `load`."""

from dataclasses import fields
from pathlib import Path
from typing import Any

from limelight.foundation.close_names import close_names
from limelight.foundation.errors import UserError
from limelight.inference.backends import open_backend
from limelight.inference.backends.backend import check_size
from limelight.inference.open_vocabulary import OpenVocabularyPredictor
from limelight.inference.plan import Request, plan
from limelight.inference.saliency import SaliencyPredictor
from limelight.models.card import Card
from limelight.models.registry import entry
from limelight.models.shipped import weights_folder
from limelight.models.weights import check_weights, read_card

_PREDICTORS: dict[str, type[SaliencyPredictor] | type[OpenVocabularyPredictor]] = {
    "saliency": SaliencyPredictor,
    "open-vocabulary": OpenVocabularyPredictor,
}


def load(
    source: Path | str, request: Request | None = None, **options: Any
) -> SaliencyPredictor | OpenVocabularyPredictor:
    """Load a set of weights.

    Args:
        source: a folder with `model.safetensors` and `card.json`, and `exports/` for runtimes other than torch; or the
            name of weights that come with the package.
        request: how to run it; or `options`, fields of `Request`.

    Raises:
        TypeError: there is no such option.
        UserError: no such weights, runtime or export, no GPU where one is requested, or the network or the runtime does
            not support the request.
    """
    folder = weights_folder(source)
    card = read_card(folder)
    planned = plan(folder, card, request or request_of(options))
    kind = predictor_class(card)
    backend = open_backend(planned)
    # Weights that keep proportions get pictures of varying sizes.
    check_size(backend.takes, planned.fixed)
    return kind(planned, backend)


def request_of(options: dict[str, Any]) -> Request:
    """The options of `load` as a request.

    Raises:
        TypeError: there is no such option; the message names those like it.
        UserError: as `Request`.
    """
    known = [field.name for field in fields(Request)]
    for name in options.keys() - set(known):
        close = close_names(name, known) or known
        raise TypeError(f"load() got an unexpected option {name!r}; did you mean {' or '.join(close)}?")
    return Request(**options)


def predictor_class(card: Card) -> type[SaliencyPredictor] | type[OpenVocabularyPredictor]:
    """Return the predictor class for the task of these weights.

    Raises:
        UserError: the weights are only a part of a network.
    """
    task = card.architecture.task
    if task not in _PREDICTORS:
        raise UserError(
            f"{card.architecture.model} is for {task}, not for predictions; choose weights for "
            f"{' or '.join(_PREDICTORS)}"
        )
    return _PREDICTORS[task]


def check(source: Path | str, request: Request) -> None:
    """Raise the errors that `load` would raise, where possible without the time and memory of loading PyTorch.

    Raises:
        UserError: as `load`.
    """
    folder = weights_folder(source)
    card = read_card(folder)
    planned = plan(folder, card, request)
    predictor_class(card)
    if not planned.runtime.installed:
        name = planned.runtime.name
        raise UserError(f"runtime {name!r} needs the package {planned.runtime.package}; install it with pip")
    if planned.runtime.exported or request.sampling.steps is not None or request.vae is not None:
        check_size(open_backend(planned).takes, planned.fixed)
    else:
        entry(card.architecture.model)
        check_weights(folder, card)
