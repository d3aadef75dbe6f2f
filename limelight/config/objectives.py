"""The settings of every objective, each with its own keys. Imports no PyTorch: params.yaml is checked without it."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from limelight.config.deployment import Runtime
from limelight.foundation.section import Section
from limelight.models.losses import check_loss, check_soft_loss

TeacherRuntime = Literal["torch"] | Runtime


class SupervisedSettings(Section):
    """Learning from masks."""

    name: Literal["supervised"] = "supervised"
    loss: Annotated[str, AfterValidator(check_loss)] = Field(default="bce-iou", description="see training.md")
    level_weights: list[float] = Field(default_factory=list, description="one per output, finest first; empty = all 1")


class DistilledSettings(Section):
    """Learning from a teacher's maps, with or without labels."""

    name: Literal["distilled"]
    loss: Annotated[str, AfterValidator(check_loss)] = Field(
        default="bce-iou", description="the loss against the labels"
    )
    level_weights: list[float] = Field(default_factory=list, description="one per output, finest first; empty = all 1")
    teacher_loss: Annotated[str, AfterValidator(check_soft_loss)] = Field(
        default="dice", description="the loss against the teacher's map"
    )
    label_weight: float = Field(
        default=0.0, ge=0, le=1, description="share of the label loss; 0 = the published labels-free form"
    )
    teacher_size: int | None = Field(
        default=None, ge=32, description="pixels, the side of the teacher's input; null = the student's"
    )
    teacher_maps: Literal["each-step", "once"] = Field(
        default="each-step",
        description="each-step: of the augmented batch, as published; once: of each whole picture, before the training",
    )
    teacher_runtime: TeacherRuntime = Field(
        default="torch", description="with teacher_maps: once; others need the export in the teacher's folder"
    )
    teacher_flip: bool = Field(default=False, description="the mean of its maps of the picture and of its mirror image")
    teacher_classes: list[str] = Field(
        default_factory=list,
        description="an open-vocabulary teacher's map is the union of these; empty = all that it learnt",
    )

    @model_validator(mode="after")
    def _check(self) -> "DistilledSettings":
        names = [name.strip().casefold() for name in self.teacher_classes]
        if "" in names or len({*names}) < len(names):
            raise ValueError(f"teacher_classes {self.teacher_classes} must differ, and none may be empty")
        if self.teacher_runtime != "torch" and self.teacher_maps != "once":
            raise ValueError(
                f"teacher_runtime {self.teacher_runtime} makes maps before the training; set teacher_maps: once"
            )
        return self


class PyramidSettings(Section):
    """Learning the levels of an image pyramid from masks (InSPyReNet)."""

    name: Literal["pyramid"]
    loss: Annotated[str, AfterValidator(check_loss)] = Field(default="weighted-bce-iou", description="of each level")
    consistency: float = Field(default=1e-4, ge=0, description="weight of a level's distance from the finer one")


class _Noise(Section):
    """Noise settings of the velocity objectives."""

    noise_levels: int = Field(default=6, ge=1, description="levels of the multi-resolution noise; 1 = plain noise")
    noise_discount: float = Field(default=0.3, ge=0, description="weight of each further level")


class _Prompts(Section):
    """Which prompts are drawn for an image."""

    prompts: int = Field(
        default=4, ge=2, description="prompts per image and step, some of classes that it does not show"
    )
    templates: list[str] = Field(
        default=["a photo of a {}"],
        min_length=1,
        description="prompt templates to draw from; validation uses the first",
    )
    held_out_classes: list[str] = Field(
        default_factory=list, description="never named in training, their pixels ignored; they test unseen classes"
    )

    @model_validator(mode="after")
    def _check(self) -> "_Prompts":
        wrong = [template for template in self.templates if template.count("{}") != 1]
        if wrong:
            raise ValueError(f"templates need one {{}} each, for the class; {wrong[0]!r} does not have it")
        return self


class VelocitySettings(_Noise):
    """Learning to denoise masks in latent space."""

    name: Literal["velocity"]


class PromptedSettings(_Prompts):
    """Learning to find what prompts name."""

    name: Literal["prompted"]


class PromptedVelocitySettings(_Noise, _Prompts):
    """Learning to denoise the masks of prompts in latent space."""

    name: Literal["prompted-velocity"]


class ReconstructionSettings(Section):
    """Learning to reconstruct pictures."""

    name: Literal["reconstruction"]


Objective = Annotated[
    SupervisedSettings
    | DistilledSettings
    | PyramidSettings
    | VelocitySettings
    | PromptedSettings
    | PromptedVelocitySettings
    | ReconstructionSettings,
    Field(discriminator="name"),
]
"""What a run learns."""
