"""What a set of weights is. Read before the weights are, and shipped with them."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

Modality = Literal["rgb", "rgbd", "rgbt"]
MODALITIES: tuple[str, ...] = get_args(Modality)
"""What a still picture comes as: alone, with its depth, with its thermal picture. `modality_B` counts in this order."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def companions_of(modalities: Sequence[str]) -> tuple[str, ...]:
    """Those that come with a second picture."""
    return tuple(modality for modality in modalities if modality != "rgb")


class Card(BaseModel):
    """The contents of `card.json`, the file beside `model.safetensors`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(description="name for create_model")
    options: dict[str, Any] = Field(default_factory=dict, description="options for create_model")
    family: str
    form: Literal["training", "merged"] = "training"
    modalities: tuple[Modality, ...] = Field(default=("rgb",), min_length=1, description="what pictures it takes")
    text: bool = Field(default=False, description="whether it finds what prompts name")
    input_size: tuple[PositiveInt, PositiveInt] = Field(
        description="height and width that the network was trained at, pixels"
    )
    input_divisor: PositiveInt = Field(description="of both sides of what it is fed with")
    least_input: PositiveInt = Field(description="pixels that neither side may fall below")
    mean: tuple[float, float, float] = Field(default=IMAGENET_MEAN, description="per channel, of RGB in [0, 1]")
    std: tuple[float, float, float] = IMAGENET_STD
    licence: str = "MIT"
    source: str = Field(default="", description="how the weights came to be: a run, or an imported file and its sha256")
    trained_on: list[str] = Field(
        default_factory=list, description="dataset/split (rows, manifest hash), one line each"
    )
    classes: list[str] = Field(default_factory=list, description="named in training, of a network of prompts")
    prompt: str = Field(default="a photo of a {}", description="how a class was named, of a network of prompts")
    denoise_steps: int | None = Field(
        default=None, ge=1, description="that the weights were trained to be used with; None = one, without noise"
    )
    as_published: bool = Field(
        default=False,
        description="pictures and maps are resized bicubically, companions taken as they are stored, maps stretched to "
        "full contrast, as diffSOD's authors do",
    )
    metrics: dict[str, float] = Field(default_factory=dict, description="validation figures at the end of training")
    parameters: int = Field(description="number of parameters in model.safetensors' graph")
    sha256: str = Field(description="of model.safetensors")
    assets: dict[str, str] = Field(
        default_factory=dict, description="further files that it needs, below assets/: path to sha256"
    )

    @property
    def companions(self) -> tuple[str, ...]:
        """The modalities of the pictures that come with a second one."""
        return companions_of(self.modalities)
