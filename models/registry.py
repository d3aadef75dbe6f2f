"""Names to networks."""

import fnmatch
import importlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from limelight.foundation.errors import UserError

if TYPE_CHECKING:
    from limelight.models.base import Network


@dataclass(frozen=True)
class Entry:
    """One name that `create_model` knows."""

    builder: str
    """'family.module:class' below limelight.models, imported only when the model is built: listing costs no torch."""
    summary: str
    options: dict[str, Any] = field(default_factory=dict)
    input_size: int = 320
    licence: str = "MIT"
    packages: tuple[str, ...] = ()
    """What PyTorch needs besides torch, timm and safetensors to run it."""

    @property
    def family(self) -> str:
        """The folder of models/ that it is of."""
        return self.builder.partition(".")[0]

    @property
    def importer(self) -> str:
        """Where the family says how its published files are read, if it does; see `limelight.models.importers`."""
        return f"{PACKAGE}.{self.builder.partition(':')[0].rpartition('.')[0]}.checkpoint"


PACKAGE = "limelight.models"
_DIFFUSION = ("diffusers", "transformers")

REGISTRY: dict[str, Entry] = {
    "scfnet": Entry(
        "scfnet.network:SCFNet",
        "SCFNet on any timm backbone with features at 1/4 to 1/32",
        {"backbone": "resnet18"},
        352,
    ),
    "scfnet-mobilenetv3": Entry(
        "scfnet.network:SCFNet",
        "KD-SCFNet student, 0.80 M parameters",
        {"backbone": "mobilenetv3-large-x0.5"},
        352,
    ),
    "scfnet-resnet50": Entry(
        "scfnet.network:SCFNet", "KD-SCFNet teacher, 26.15 M parameters", {"backbone": "resnet50"}, 352
    ),
    "scfnet-swinb": Entry(
        "scfnet.network:SCFNet", "KD-SCFNet teacher, 88.36 M parameters", {"backbone": "swin-b"}, 384
    ),
    "sdnet": Entry(
        "sdnet.network:SDNet", "SDNet, 745 197 parameters in training, 703 325 merged", {"batch_norm": False}
    ),
    "sdnet-bn": Entry(
        "sdnet.network:SDNet", "SDNet with batch norm, 765 717 in training, 705 725 merged", {"batch_norm": True}
    ),
    "autoencoder-tiny": Entry(
        "diffusion.autoencoder:PictureAutoencoder",
        "the autoencoder of the tiny diffusion models, which is trained before them",
        {"vae": "tiny"},
        64,
        packages=_DIFFUSION,
    ),
    "diffsod": Entry(
        "diffusion.diffsod.network:DiffSOD",
        "diffSOD on Stable Diffusion 2, RGB, RGB-D and RGB-T, 1.2 G trained parameters",
        {"unet": "sd2", "vae": "sd2", "scheduler": "sd2", "branch": "published"},
        384,
        "openrail++",
        _DIFFUSION,
    ),
    "diffsod-tiny": Entry(
        "diffusion.diffsod.network:DiffSOD",
        "diffSOD's code at 2.5 M parameters, for tests and demos",
        {"unet": "tiny", "vae": "tiny", "scheduler": "sd2", "branch": "tiny"},
        64,
        packages=_DIFFUSION,
    ),
    "segdiffusion": Entry(
        "diffusion.segdiffusion.network:SegDiffusion",
        "Seg-diffusion on Stable Diffusion 2, one mask per prompt, 0.9 G trained parameters",
        {"unet": "sd2", "vae": "sd2", "scheduler": "sd2", "text": "sd2"},
        384,
        "openrail++",
        _DIFFUSION,
    ),
    "segdiffusion-tiny": Entry(
        "diffusion.segdiffusion.network:SegDiffusion",
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
        packages=_DIFFUSION,
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
    module, _, attribute = entry(name).builder.partition(":")
    return getattr(importlib.import_module(f"{PACKAGE}.{module}"), attribute)


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
