"""What is compared: weights by folder or name, and networks with random weights."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from limelight.foundation.artifacts import ARTIFACTS
from limelight.foundation.errors import UserError
from limelight.inference.loading import predictor_class
from limelight.inference.plan import Request, plan
from limelight.models.card import Card
from limelight.models.registry import REGISTRY, create_model, network_class
from limelight.models.shipped import shipped_names
from limelight.models.weights import CARD, load_weights, read_card, save_weights
from limelight.models.zoo.names import find_weights_folder
from limelight.models.zoo.pins import PINS

RANDOM = "random weights"


@dataclass(frozen=True)
class Model:
    """A set of weights."""

    name: str
    """What it is called in the results."""
    folder: Path
    card: Card
    weights: str
    """Where they are from: the folder, or `RANDOM`."""

    @property
    def merges(self) -> bool:
        """Whether it is in training form, and has an inference form with fewer operations."""
        in_training_form = self.card.architecture.form == "training"
        return in_training_form and network_class(self.card.architecture.model).capabilities.merge

    @property
    def without_training_form(self) -> str:
        """Why there is no training form to compare with; '' where there is one."""
        if self.card.architecture.form == "merged":
            return "merged weights"
        return "ONNX file" if network_class(self.card.architecture.model).capabilities.opaque else ""


def find_models(names: Sequence[str], scratch: Path) -> list[Model]:
    """Find what is named: weights folders, names of artifacts/, of shipped and published weights, and networks.

    Args:
        names: none = the weights that come with the package.
        scratch: a folder for random weights of networks that are given by their names.

    Raises:
        UserError: a name is unknown or given twice, or the weights find something else than saliency in pictures.
    """
    given = list(names) or list(shipped_names())
    if not given:
        raise UserError("no weights come with this Limelight; name a weights folder, or a network of limelight models")
    short = [Path(name).name or name for name in given]
    if repeated := [name for name in given if given.count(name) > 1]:
        raise UserError(f"{repeated[0]} is given {given.count(repeated[0])} times; once is enough")
    calls = [each if short.count(each) == 1 else name for name, each in zip(given, short, strict=True)]
    return [_find(name, call, scratch) for name, call in zip(given, calls, strict=True)]


def _find(name: str, call: str, scratch: Path) -> Model:
    folder, weights = Path(name), ""
    if not folder.exists() and (ARTIFACTS / name / CARD).is_file():
        folder = ARTIFACTS / name
    elif not folder.exists() and name in REGISTRY and name not in (*shipped_names(), *PINS):
        folder, weights = _with_random_weights(name, scratch / name), RANDOM
    else:
        folder = find_weights_folder(name)
    card = read_card(folder)
    predictor_class(card)
    architecture = card.architecture
    if architecture.task != "saliency":
        raise UserError(f"{name} is for {architecture.task}; limelight bench takes networks of saliency")
    if "rgb" not in architecture.modalities:
        needed = " or ".join(architecture.companions)
        raise UserError(f"{name} needs a second picture ({needed}), which limelight bench does not have; leave it out")
    plan(folder, card, Request())
    return Model(call, folder, card, weights or str(folder))


def _with_random_weights(name: str, folder: Path) -> Path:
    import torch

    torch.manual_seed(0)
    save_weights(folder, create_model(name).eval(), name=name)
    return folder


def count_cost(folder: Path, size: tuple[int, int], *, unmerged: bool) -> dict[str, int | None]:
    """Count the parameters, and the multiply-accumulates of one picture or frame; None where they cannot be counted."""
    from limelight.models.cost import count_macs

    network, card = load_weights(folder)
    parameters = card.architecture.parameters
    if network.capabilities.opaque:
        return {"parameters": parameters, "macs": None}
    with network.unmerged() if unmerged else nullcontext():
        return {"parameters": parameters, "macs": count_macs(network, *size, steps=card.use.denoise_steps)}
