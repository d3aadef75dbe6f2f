"""Names to networks."""

import fnmatch
import importlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from limelight.foundation.errors import UserError

if TYPE_CHECKING:
    from limelight.models.base import Network


@dataclass(frozen=True)
class Family:
    """Networks of one folder of models/."""

    importer: str | None = None
    """'module:function' that turns the authors' files into a weights folder; see `limelight.models.importers`."""
    packages: tuple[str, ...] = ()
    """What PyTorch needs besides torch, timm and safetensors to run them."""


FAMILIES: dict[str, Family] = {
    "scfnet": Family("limelight.models.scfnet.checkpoint:import_published"),
    "sdnet": Family("limelight.models.sdnet.checkpoint:import_published"),
    "diffusion": Family(packages=("diffusers",)),
    "diffsod": Family("limelight.models.diffsod.checkpoint:import_published", ("diffusers", "transformers")),
    "segdiffusion": Family("limelight.models.segdiffusion.checkpoint:import_published", ("diffusers", "transformers")),
}


@dataclass(frozen=True)
class Entry:
    """One name that `create_model` knows."""

    builder: str
    """'module:class', imported only when the model is built, so that listing names costs no torch import."""
    family: str
    summary: str
    options: dict[str, Any] = field(default_factory=dict)
    input_size: int = 320
    licence: str = "MIT"


_SCFNET = "limelight.models.scfnet.network:SCFNet"
_SDNET = "limelight.models.sdnet.network:SDNet"
_DIFFSOD = "limelight.models.diffsod.network:DiffSOD"
_SEGDIFFUSION = "limelight.models.segdiffusion.network:SegDiffusion"

REGISTRY: dict[str, Entry] = {
    "scfnet": Entry(
        _SCFNET,
        "scfnet",
        "SCFNet on any timm backbone with features at 1/4 to 1/32",
        {"backbone": "resnet18"},
        352,
    ),
    "scfnet-mobilenetv3": Entry(
        _SCFNET, "scfnet", "KD-SCFNet student, 0.80 M parameters", {"backbone": "mobilenetv3-large-x0.5"}, 352
    ),
    "scfnet-resnet50": Entry(_SCFNET, "scfnet", "KD-SCFNet teacher, 26.15 M parameters", {"backbone": "resnet50"}, 352),
    "scfnet-swinb": Entry(_SCFNET, "scfnet", "KD-SCFNet teacher, 88.36 M parameters", {"backbone": "swin-b"}, 384),
    "sdnet": Entry(_SDNET, "sdnet", "SDNet, 745 197 parameters in training, 703 325 merged", {"batch_norm": False}),
    "sdnet-bn": Entry(
        _SDNET, "sdnet", "SDNet with batch norm, 765 717 in training, 705 725 merged", {"batch_norm": True}
    ),
    "autoencoder-tiny": Entry(
        "limelight.models.diffusion.autoencoder:PictureAutoencoder",
        "diffusion",
        "the autoencoder of the tiny diffusion models, which is trained before them",
        {"vae": "tiny"},
        64,
    ),
    "diffsod": Entry(
        _DIFFSOD,
        "diffsod",
        "diffSOD on Stable Diffusion 2, RGB, RGB-D and RGB-T, 1.2 G trained parameters",
        {"unet": "sd2", "vae": "sd2", "scheduler": "sd2", "branch": "published"},
        384,
        "openrail++",
    ),
    "diffsod-tiny": Entry(
        _DIFFSOD,
        "diffsod",
        "diffSOD's code at 2.5 M parameters, for tests and demos",
        {"unet": "tiny", "vae": "tiny", "scheduler": "sd2", "branch": "tiny"},
        64,
    ),
    "segdiffusion": Entry(
        _SEGDIFFUSION,
        "segdiffusion",
        "Seg-diffusion on Stable Diffusion 2, one mask per prompt, 0.9 G trained parameters",
        {"unet": "sd2", "vae": "sd2", "scheduler": "sd2", "text": "sd2"},
        384,
        "openrail++",
    ),
    "segdiffusion-tiny": Entry(
        _SEGDIFFUSION,
        "segdiffusion",
        "Seg-diffusion's code at 1.5 M parameters, for tests and demos",
        {
            "unet": "tiny",
            "vae": "tiny",
            "scheduler": "sd2",
            "text": "tiny",
            "tokenizer": "words",
            "train_text": True,
        },
        64,
    ),
}


def entry(name: str) -> Entry:
    """The registry's entry for a model name.

    Raises:
        UserError: the name is not registered.
    """
    if name not in REGISTRY:
        raise UserError(f"unknown model {name!r}; choose one of: {', '.join(REGISTRY)}")
    return REGISTRY[name]


def list_models(pattern: str = "*") -> list[str]:
    """Registered names that match a shell pattern, in registry order."""
    return [name for name in REGISTRY if fnmatch.fnmatch(name, pattern)]


def network_class(name: str) -> "type[Network]":
    """The class behind a name, for what holds whatever the options.

    Raises:
        UserError: the name is not registered.
    """
    return resolve(entry(name).builder)


def create_model(name: str, **options: Any) -> "Network":
    """Build a network by name.

    Args:
        name: a name of `list_models()`.
        options: override the entry's options, e.g. `pretrained=True` for ImageNet weights of the backbone,
            `merged=True` for the inference form of a network with difference convolutions, or
            `modalities=["rgb", "rgbd"]` for one that takes depth beside its image where there is any. A network that
            needs more than its weights reads that from the folder `assets`.

    Raises:
        UserError: unknown name, or an option the network does not take.
    """
    merged = {**entry(name).options, **options}
    try:
        model = network_class(name)(**merged)
    except TypeError as error:
        if "keyword argument" not in str(error):
            raise
        raise UserError(f"model {name!r} does not take these options: {options} ({error})") from error
    return model


def resolve(place: str) -> Any:
    """What 'module:attribute' names."""
    module, _, attribute = place.partition(":")
    return getattr(importlib.import_module(module), attribute)
