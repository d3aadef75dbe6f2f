"""One training: a network, a recipe, its data."""

from typing import Any, Literal

from pydantic import Field, model_validator

from limelight.config.augmentation import Background, Flip, Operation, check_order
from limelight.config.objectives import Objective, SupervisedSettings
from limelight.config.optimisation import Lora, Optimiser, Schedule
from limelight.foundation.section import Section


class Splits(Section):
    """Which splits of the manifest are used, and how they are mixed."""

    labelled: list[str] = Field(default_factory=lambda: ["train"], description="splits whose labels are learnt")
    unlabelled: list[str] = Field(default_factory=list, description="for distilled runs; their masks are not used")
    validation: str | None = Field(default="val", description="split that each epoch is validated on; null = none")
    balance_modalities: bool = Field(
        default=False, description="each batch holds the modalities as equally as the batch size allows"
    )
    frames: int = Field(default=1, ge=1, description="of the windows of clips that are seen together; 1 = stills")
    stride: int = Field(default=1, ge=1, description="from one frame of a window to the next")

    @model_validator(mode="after")
    def _check(self) -> "Splits":
        if self.stride > 1 and self.frames == 1:
            raise ValueError("stride is of windows of several frames; set frames too, or leave it out")
        if both := sorted({*self.labelled}.intersection(self.unlabelled)):
            raise ValueError(f"{', '.join(both)} cannot be both labelled and unlabelled; name it in one of them")
        return self


class Sizes(Section):
    """Sides of the square pictures, pixels."""

    input: int = Field(default=320, ge=32, description="for validation and inference")
    training: list[int] = Field(default_factory=list, description="empty = `input` alone")
    order: Literal["random", "passes"] = Field(
        default="random", description="a training size drawn per batch, or the whole set once at each size per epoch"
    )

    @model_validator(mode="after")
    def _check(self) -> "Sizes":
        if self.order == "passes" and not self.training:
            raise ValueError("order: passes goes through the sizes in training, and there are none; list some")
        return self


class Batches(Section):
    """Samples of one optimiser step."""

    size: int = Field(default=8, ge=1, description="samples per process that are computed at once")
    accumulate: int = Field(default=1, ge=1, description="batches whose gradients are added up for one step")


class Compute(Section):
    """Compute resources, and checkpoint and validation intervals. Of these, only precision and memory format affect the
    trained weights, but DVC trains again when any of them changes."""

    precision: Literal["fp32", "bf16"] = Field(
        default="fp32", description="that is computed in; weights are kept in fp32"
    )
    channels_last: bool = Field(default=True, description="memory format of images and weights")
    workers: int = Field(default=0, ge=0, description="processes that load batches; 0 = a thread")
    cache_mb: int = Field(default=512, ge=0, description="memory for decoded images, for training and validation each")
    checkpoint_minutes: float = Field(
        default=5.0, ge=0, description="between checkpoints, besides one at each epoch's end"
    )
    validate_every: int = Field(default=1, ge=1, description="epochs between validations")


class Run(Section):
    """The settings of one training. `preset` fills in published values; keys given here win."""

    model: str = Field(description="a network of `limelight models`")
    options: dict[str, Any] = Field(default_factory=dict, description="the network's options")
    preset: str | None = Field(default=None, description="a published recipe, see training.md")
    init: str | None = Field(
        default=None, description="weights to start from: a folder, or those that come with Limelight by name"
    )
    parts: dict[str, str] = Field(
        default_factory=dict,
        description="parts that start from those of other weights folders, e.g. vae: artifacts/vae",
    )
    objective: Objective = Field(default=SupervisedSettings(), description="what is learnt, with its own settings")
    samples: Splits = Splits()
    size: Sizes = Sizes()
    augment: list[Operation] = Field(default=[Flip()], description="operations in order; [] = none")
    batch: Batches = Batches()
    epochs: int = Field(default=10, ge=1, description="passes over the labelled and unlabelled samples")
    optimiser: Optimiser = Optimiser()
    schedule: Schedule = Schedule()
    lora: Lora | None = Field(
        default=None, description="train adapters of a diffusion network's UNet; null = all of it"
    )
    compute: Compute = Compute()

    @model_validator(mode="after")
    def _check(self) -> "Run":
        check_order(self.augment)
        self.schedule.check_fits(self.epochs)
        if self.samples.frames > 1 and any(isinstance(each, Background) for each in self.augment):
            raise ValueError("the augmentation background is for stills: frames of a window would be cut differently")
        if self.optimiser.start_share and not self.init:
            raise ValueError(
                "optimiser.start_share is of the weights that a run starts from; set init, or leave it out"
            )
        if self.samples.unlabelled and self.objective.name != "distilled":
            raise ValueError(
                f"samples.unlabelled is for the objective 'distilled': {self.objective.name!r} learns from masks alone"
            )
        return self
