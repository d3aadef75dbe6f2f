"""Settings of optimisation: optimiser, learning rate, adapters."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from limelight.foundation.section import Section

OF_NAME: dict[str, dict[str, tuple[str, ...]]] = {
    "optimiser": {"sgd": ("momentum",), "adam": ("betas",), "adamw": ("betas",), "adamw-8bit": ("betas",)},
    "schedule": {
        "constant": (),
        "cosine": ("final", "period_epochs"),
        "exponential": ("final",),
        "steps": ("milestones", "gamma"),
        "poly": ("final", "power"),
    },
}
"""Section -> the names that it can have -> the keys that only some names have."""


def foreign_keys(section: str, name: str) -> set[str]:
    """The keys of other names of a section than this."""
    keys = OF_NAME[section]
    return {key for others in keys.values() for key in others} - {*keys.get(name, ())}


Decay = Annotated[float, Field(ge=0, lt=1)]
"""Decay of a running mean."""


class Group(Section):
    """How one role of a network's parameters is trained, relative to the optimiser's own values."""

    lr_scale: float = Field(default=1.0, ge=0, description="times the optimiser's lr")
    weight_decay: float | None = Field(default=None, ge=0, description="null = the optimiser's")
    freeze_epochs: int = Field(default=0, ge=0, description="stays as it starts for so many epochs")


class Optimiser(Section):
    """The optimiser and its hyperparameters."""

    name: Literal["sgd", "adam", "adamw", "adamw-8bit"] = "adamw"
    lr: float = Field(default=1e-3, gt=0, description="learning rate, before the schedule")
    momentum: Decay = Field(default=0.9, description="of sgd")
    betas: tuple[Decay, Decay] = Field(default=(0.9, 0.999), description="of adam and adamw")
    weight_decay: float = Field(default=0.0, ge=0)
    groups: dict[str, Group] = Field(
        default_factory=dict, description="settings by the roles of Network.parameter_groups"
    )
    freeze: list[str] = Field(
        default_factory=list, description="modules of the network that stay as they start, their batch norms too"
    )
    clip_norm: float | None = Field(
        default=None, gt=0, description="gradients are clipped to this norm; null = not clipped"
    )
    ema: float | None = Field(default=None, gt=0, lt=1, description="decay of the averaged weights; null = none")
    start_share: float = Field(
        default=0.0, ge=0, lt=1, description="share of the weights of `init` in those that are kept (WiSE-FT)"
    )

    @model_validator(mode="after")
    def _check(self) -> "Optimiser":
        _refuse_foreign(self, "optimiser", self.name)
        return self


class Lora(Section):
    """Adapters in a UNet's attention, which is frozen otherwise. Their role in `optimiser.groups` is 'adapters'."""

    rank: int = Field(default=16, ge=1)
    alpha: float = Field(default=16, gt=0, description="the adapters are scaled by alpha / rank")
    targets: list[str] = Field(
        default_factory=lambda: ["to_q", "to_k", "to_v", "to_out.0"],
        min_length=1,
        description="names, or ends of names, of linear layers",
    )


class Schedule(Section):
    """The learning rate over the training, as a share of the optimiser's lr."""

    name: Literal["constant", "cosine", "exponential", "steps", "poly"] = "cosine"
    warmup_epochs: float = Field(
        default=0.0,
        ge=0,
        description="of a linear warm-up; before all else, but poly decays and milestones count from the first step",
    )
    warmup_start: float = Field(default=0.01, ge=0, le=1, description="share of lr at the first step of the warm-up")
    final: float = Field(default=0.01, ge=0, le=1, description="share of lr at the end (cosine, exponential, poly)")
    period_epochs: float | None = Field(
        default=None, gt=0, description="length of the cosine; null = all that follows the warm-up"
    )
    milestones: list[PositiveInt] = Field(
        default_factory=list, description="epochs at which lr is multiplied by gamma (steps)"
    )
    gamma: float = Field(default=0.1, gt=0, description="see milestones")
    power: float = Field(default=0.9, gt=0, description="exponent of poly")

    @model_validator(mode="after")
    def _check(self) -> "Schedule":
        _refuse_foreign(self, "schedule", self.name)
        if self.name == "exponential" and self.final == 0:
            raise ValueError("an exponential never comes down to 0; give a final share above it, such as 0.01")
        return self

    def check_fits(self, epochs: int) -> None:
        """Refuse parts of the schedule that a training of so many epochs never comes to.

        Raises:
            ValueError: the warm-up is longer, or a milestone is not within it.
        """
        if self.warmup_epochs > epochs:
            raise ValueError(f"schedule.warmup_epochs is {self.warmup_epochs:g}, of {epochs} epochs in all; shorten it")
        if late := [milestone for milestone in self.milestones if milestone >= epochs]:
            raise ValueError(
                f"schedule.milestones: {late[0]} is not within {epochs} epochs; leave it out, or train longer"
            )


def _refuse_foreign(section: Section, what: str, name: str) -> None:
    if foreign := sorted(foreign_keys(what, name) & section.model_fields_set):
        raise ValueError(f"{what} {name!r} has no {foreign[0]}; leave it out, or choose another name")
