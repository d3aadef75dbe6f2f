"""The card of a set of weights: its architecture, how pictures are prepared, maps finished, and its provenance.

Read before the weights are, without PyTorch, and shipped with them. Peculiarities of published weights are values here,
so that no code checks which family a network is of.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from limelight.models.inputs import IMAGE, Input

Modality = Literal["rgb", "rgbd", "rgbt"]
MODALITIES: tuple[str, ...] = get_args(Modality)
"""Modalities of a still picture: alone, with its depth, with its thermal picture. `modality_B` counts in this order."""
Triple = tuple[float, float, float]
"""Per channel, of RGB in [0, 1]."""

_Mean = Annotated[float, Field(ge=0, le=1)]
_Std = Annotated[float, Field(gt=0, le=10)]
"""Others are meant for pictures in [0, 255], and give maps of nothing."""

Filter = Literal["bilinear", "bilinear-aligned", "bilinear-antialiased", "bicubic", "lanczos"]
"""How pictures and maps are resized. bilinear: without antialiasing; bilinear-aligned: likewise, with the middles of
corner pixels on each other; the others: with antialiasing, as Pillow does; lanczos works on 8 bits, cut off and not
rounded, as rembg does."""
Policy = Literal["stretch", "longest", "shorter", "native"]
"""How pictures get the network's size. stretch: to it whatever the proportions; longest, shorter: proportions kept,
that side at most as long; native: the picture's own size."""
POLICIES: tuple[str, ...] = get_args(Policy)

GuidedRadius = Annotated[int, Field(ge=0, le=32)]
"""Of a guided filter (limelight.imaging.guided), pixels of the network's map; 0 = no filter."""

IMAGENET_MEAN: Triple = (0.485, 0.456, 0.406)
IMAGENET_STD: Triple = (0.229, 0.224, 0.225)


class Normalisation(NamedTuple):
    """What is subtracted from a picture's pixels, of RGB in [0, 1], and what they are then divided by, per channel."""

    mean: Triple = IMAGENET_MEAN
    std: Triple = IMAGENET_STD


IMAGENET = Normalisation()


def companions_of(modalities: Sequence[str]) -> tuple[str, ...]:
    """Those of `modalities` that come with a companion (second picture)."""
    return tuple(modality for modality in modalities if modality != "rgb")


class Section(BaseModel):
    """A part of a card."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Architecture(Section):
    """What the network is."""

    model: str = Field(description="name for create_model")
    options: dict[str, Any] = Field(default_factory=dict, description="options for create_model")
    family: str
    form: Literal["training", "merged"] = "training"
    task: str = Field(default="saliency", description="what it finds; see limelight.tasks")
    inputs: tuple[Input, ...] = Field(
        default=(IMAGE,), min_length=1, description="the inputs that it and its exports take"
    )
    modalities: tuple[Modality, ...] = Field(
        default=("rgb",), min_length=1, description="the kinds of pictures that it takes"
    )
    parameters: int = Field(default=0, description="parameters of the network in model.safetensors")

    @property
    def companions(self) -> tuple[str, ...]:
        """Its modalities that come with a companion (second picture)."""
        return companions_of(self.modalities)

    @property
    def takes_prompts(self) -> bool:
        """Whether it finds what text prompts name."""
        return any(each.source == "prompt" for each in self.inputs)


class Prepare(Section):
    """How a picture becomes input."""

    size: tuple[PositiveInt, PositiveInt] = Field(description="height and width of the training, pixels")
    policy: Policy = Field(default="stretch", description="how pictures get this size")
    divisor: PositiveInt = Field(default=1, description="both sides of the network's input are multiples of it")
    rounding: Literal["up", "nearest"] = Field(
        default="up", description="which multiples of the divisor, where proportions are kept"
    )
    least: PositiveInt = Field(default=1, description="pixels; the smallest side that the network takes")
    filter: Filter = "bilinear"
    divide_by: Literal["range", "maximum"] = Field(
        default="range", description="range: 255; maximum: the resized picture's largest value, as rembg does"
    )
    mean: tuple[_Mean, _Mean, _Mean] = IMAGENET_MEAN
    std: tuple[_Std, _Std, _Std] = IMAGENET_STD
    companions: Literal["spread", "stored"] = Field(
        default="spread", description="spread: scaled to the whole of [0, 1]; stored: as the share of the file's range"
    )

    @property
    def normalisation(self) -> Normalisation:
        return Normalisation(self.mean, self.std)


class Finish(Section):
    """How the network's map becomes one of the picture."""

    filter: Filter = "bilinear"
    temperature: float = Field(
        default=1.0,
        gt=0,
        allow_inf_nan=False,
        description="that the map's logits are divided by for calibrated probabilities, on request",
    )
    full_contrast: bool = Field(default=False, description="each map is stretched to [0, 1]")
    guided_radius: GuidedRadius = Field(
        default=0, description="of the guided filter that brings borders to edges, pixels of the map; 0 = none"
    )


class Use(Section):
    """How the weights are to be used."""

    denoise_steps: int | None = Field(
        default=None, ge=1, description="steps that the weights were trained for; null = one, without noise"
    )
    independent: bool = Field(default=True, description="no row of a batch depends on the others")
    classes: tuple[str, ...] = Field(default=(), description="classes named in training, of an open-vocabulary network")
    template: str = Field(
        default="a photo of a {}", description="the text prompt of a class in training, of an open-vocabulary network"
    )
    caution: str = Field(default="", description="a warning that is printed when the weights are loaded")


class Provenance(Section):
    """Where the weights are from."""

    source: str = Field(default="", description="how they came to be: a run, or an imported file and its sha256")
    licence: str = "MIT"
    trained_on: tuple[str, ...] = Field(default=(), description="dataset/split (rows, manifest hash), one line each")
    metrics: dict[str, float] = Field(default_factory=dict, description="validation figures at the end of training")
    sha256: str = Field(default="", description="hash of model.safetensors")
    made_from: str = Field(
        default="", description="of an inference form: hash of the model.safetensors that it was made from"
    )
    assets: dict[str, str] = Field(
        default_factory=dict, description="further files that the network needs, below assets/: path to sha256"
    )

    @property
    def lineage(self) -> str:
        """The hash of these weights as they were trained or imported, whatever form they have here."""
        return self.made_from or self.sha256


class Card(Section):
    """The contents of `card.json`, the file beside `model.safetensors`."""

    architecture: Architecture
    prepare: Prepare
    finish: Finish = Finish()
    use: Use = Use()
    provenance: Provenance = Provenance()

    def derived(self, **changes: Any) -> Self:
        """Make the card of weights derived from these: a copy with `changes`.

        Args:
            changes: fields of any section by their names, or sections by theirs, as mappings of what changes in them.

        Example:
            card.derived(form="merged", options=merged.build_options, finish={"full_contrast": True})

        Raises:
            TypeError: no section has a field of that name, or several have.
            pydantic.ValidationError: a value is invalid.
        """
        sections = {name: getattr(self, name).model_dump() for name in type(self).model_fields}
        for field, value in changes.items():
            if field in sections:
                sections[field] |= value
                continue
            homes = [name for name, section in sections.items() if field in section]
            if len(homes) != 1:
                raise TypeError(f"{field!r} is a field of {' and '.join(homes) or 'no section'} of a card")
            sections[homes[0]][field] = value
        return type(self).model_validate(sections)
