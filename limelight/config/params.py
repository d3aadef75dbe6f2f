"""The whole of params.yaml: which runs are trained, what they start from, and the profiles to choose from."""

import re
from graphlib import CycleError, TopologicalSorter
from pathlib import PurePosixPath
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from limelight.config.data import Data, Validate
from limelight.config.deployment import Deploy, Package
from limelight.config.evaluation import Evaluate, Rule, TaskName
from limelight.config.run import Run
from limelight.foundation.artifacts import ARTIFACTS, merged_name, run_name
from limelight.foundation.errors import UserError
from limelight.foundation.section import Section
from limelight.models.families import FAMILIES
from limelight.models.registry import entry


class Profile(Section):
    """One way to run the pipeline."""

    data: Data
    validation: Validate = Validate()
    runs: dict[str, Run]
    deploy: Deploy = Deploy()
    evaluate: Evaluate = Evaluate()
    compare: dict[TaskName, Rule] = Field(
        default_factory=dict, description="how each task's champion is chosen; a task left out uses its default rule"
    )
    package: Package = Package()


GROUPS = ("train", "finetune", "distill", "finetune_distill")
"""Sections that list runs."""
FAMILY = "the folder of models/ that holds the run's network: DVC trains again when that code changes"


class Finetune(Section):
    """A run that starts from another one's weights."""

    family: str = Field(description=FAMILY)
    base: str = Field(description="the run, or name of `imported`, that `init` or `parts` start from")


class Distill(Section):
    """A run that learns from another one's maps."""

    family: str = Field(description=FAMILY)
    teacher: str = Field(description="a run, or a name of `imported`")


class FinetuneDistill(Finetune, Distill):
    """A run that starts from another one's weights and learns from another one's maps."""


class Tracking(Section):
    """Where MLflow stores its records."""

    enabled: bool = True
    uri: str = Field(default="sqlite:///mlflow.db", description="of MLflow's database or server")
    experiment: str = Field(default="limelight", description="that runs are part of")
    artifacts: str = Field(default="mlartifacts", description="folder or address of files, for a database of one's own")
    registered_model: str = Field(default="limelight", description="name that champions are registered under")


class Params(Section):
    """The contents of params.yaml."""

    profile: str = Field(description="the one of `profiles` that is used")
    seed: int = Field(default=0, ge=0, description="of networks, batches and augmentation")
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="auto: a GPU if there is one")
    train: dict[str, str] = Field(description=f"run -> family, {FAMILY}")
    finetune: dict[str, Finetune] = Field(default_factory=dict, description="runs that start from another's weights")
    imported: list[str] = Field(
        default_factory=list,
        description="weights by name (published ones, Limelight's own), and what `limelight import` made in artifacts/",
    )
    distill: dict[str, Distill] = Field(default_factory=dict, description="runs that learn from a teacher")
    finetune_distill: dict[str, FinetuneDistill] = Field(default_factory=dict, description="both")
    deploy: dict[str, str] = Field(default_factory=dict, description="artifact that is merged and exported -> family")
    evaluate: dict[str, str] = Field(
        default_factory=dict, description="artifact -> family; <run>-deploy is its exports"
    )
    tracking: Tracking = Tracking()
    profiles: dict[str, Profile]

    @field_validator("train", "finetune", "imported", "distill", "finetune_distill")
    @classmethod
    def _check_names(cls, names: Any, info: ValidationInfo) -> Any:
        # They are words of DVC's shell commands; those of runs are keys of its params too, where a dot means nesting.
        dot = "." if info.field_name == "imported" else ""
        for name in names:
            if not re.fullmatch(rf"[A-Za-z0-9][A-Za-z0-9_{dot}-]{{0,99}}", name):
                raise ValueError(
                    f"{name[:100]!r} cannot be a name here; use letters, digits, - and _{dot and ', and dots'}, a "
                    "letter or digit first, 100 at most"
                )
        return names

    @model_validator(mode="after")
    def _check(self) -> "Params":
        if self.profile not in self.profiles:
            raise ValueError(f"profile {self.profile!r} is not one of profiles: {', '.join(self.profiles)}")
        runs = self.active.runs.keys()
        groups = (self.train, self.finetune, self.distill, self.finetune_distill)
        trained = set().union(*groups)
        for name in trained:
            if name not in runs:
                raise ValueError(f"run {name!r} has no settings under profiles.{self.profile}.runs; add them")
        self._check_teaching()
        self._check_outputs(trained)
        present = trained.union(self.imported)
        self._check_sources(present)
        for name in sorted(trained):
            if sum(name in group for group in groups) > 1:
                raise ValueError(f"run {name!r} is listed in several of {', '.join(GROUPS)}; leave it in one")
        artifacts = present | {merged_name(name) for name in self.deploy}
        for where, names, known in (("deploy", self.deploy, present), ("evaluate", self.evaluate, artifacts)):
            for name in names:
                if name not in known:
                    raise ValueError(f"{where}: {name!r} is not one of {', '.join(sorted(known))}")
        self._check_families()
        return self

    def _check_outputs(self, trained: set[str]) -> None:
        """Check that no two stages write the same folder of artifacts/."""
        if duplicates := trained.intersection(self.imported):
            raise ValueError(
                f"imported: {', '.join(sorted(duplicates))} would be overwritten by the run of that name; rename one"
            )
        reserved = {"bento": "package"} | {merged_name(name): "reparameterize" for name in self.deploy}
        for name in sorted(trained.union(self.imported) & reserved.keys()):
            raise ValueError(f"artifacts/{name} is written by the stage {reserved[name]}; rename {name!r}")

    def _check_sources(self, present: set[str]) -> None:
        """Check that teachers and bases exist, and that a run starts from its base."""
        for name, teacher in self.teachers.items():
            if teacher not in present:
                raise ValueError(f"run {name!r}: teacher {teacher!r} is neither a run nor listed under imported")
        for name, base in self.bases.items():
            if base not in present:
                raise ValueError(f"run {name!r}: base {base!r} is neither a run nor listed under imported")
            if base not in self._starts(name):
                raise ValueError(f"run {name!r}: no part of it starts from artifacts/{base}; set init or parts")
        self._check_order()
        for name in set().union(self.train, self.finetune, self.distill, self.finetune_distill):
            # Of other sources DVC does not know: it would neither make them first nor see that they changed.
            for source in sorted(self._starts(name) & present - {self.bases.get(name)}):
                raise ValueError(
                    f"run {name!r} starts from artifacts/{source}, which is made here: name that as its base under "
                    "finetune or finetune_distill"
                )

    def _check_order(self) -> None:
        """Check that no run waits for itself, by way of teachers and bases."""
        made_from = TopologicalSorter[str]()
        for sources in (self.teachers, self.bases):
            for name, source in sources.items():
                made_from.add(name, source)
        try:
            made_from.prepare()
        except CycleError as error:
            circle = " needs ".join(reversed(error.args[1]))
            raise ValueError(f"no run of these can be the first: {circle}; name another teacher or base") from None

    def _starts(self, run: str) -> set[str]:
        """The artifacts that a run, or a part of it, starts from."""
        settings = self.active.runs[run]
        given = (PurePosixPath(path).parts for path in (settings.init, *settings.parts.values()) if path)
        return {parts[1] for parts in given if len(parts) == 2 and parts[0] == str(ARTIFACTS)}

    def _check_families(self) -> None:
        """Check that each name's family is that of its network; imported artifacts are checked when they are opened."""
        others = self.finetune | self.distill | self.finetune_distill
        given = self.train | {name: each.family for name, each in others.items()}
        groups = {", ".join(GROUPS): given, "deploy": self.deploy, "evaluate": self.evaluate}
        for where, families in groups.items():
            for name, family in families.items():
                run = name if name in given else run_name(name)
                if family not in FAMILIES:
                    raise ValueError(
                        f"{where}: {name}: unknown family {family!r}; choose one of: {', '.join(FAMILIES)}"
                    )
                if run in given:
                    self._check_family(where, name, family, self.active.runs[run].model)

    def _check_family(self, where: str, name: str, family: str, model: str) -> None:
        try:
            own = entry(model).family
        except UserError as error:
            raise ValueError(f"profiles.{self.profile}.runs: {error}") from None
        if family != own:
            raise ValueError(f"{where}: {name}: family is {family!r}, but model {model!r} is of {own!r}; correct it")

    def check_imported(self, group: Literal["deploy", "evaluate"], name: str, family: str) -> None:
        """Refuse an artifact whose card names another family than params.yaml.

        Raises:
            UserError: it does.
        """
        given = getattr(self, group).get(name, family)
        if given != family:
            raise UserError(
                f"params.yaml: {group}: {name}: family is {given!r}, but artifacts/{name} is of {family!r}; correct it"
            )

    def _check_teaching(self) -> None:
        """Check that a run has a teacher if and only if its objective learns from one."""
        for name in sorted({*self.train, *self.finetune, *self.teachers}):
            is_distillation, objective = name in self.teachers, self.active.runs[name].objective.name
            if is_distillation and objective != "distilled":
                raise ValueError(
                    f"run {name!r} has a teacher, but its objective is {objective!r}, which uses none; set objective: "
                    "{name: distilled}, or name the run under train or finetune"
                )
            if not is_distillation and objective == "distilled":
                raise ValueError(
                    f"run {name!r} has the objective 'distilled' and no teacher; name one under distill, as "
                    f"{name}: {{teacher: <run>}}, or under finetune_distill"
                )

    @property
    def teachers(self) -> dict[str, str]:
        """run -> what it learns from."""
        return {name: each.teacher for name, each in (self.distill | self.finetune_distill).items()}

    @property
    def bases(self) -> dict[str, str]:
        """run -> what it, or a part of it, starts from."""
        return {name: each.base for name, each in (self.finetune | self.finetune_distill).items()}

    @property
    def unlisted(self) -> list[str]:
        """Runs of the active profile that no section lists: no stage trains them."""
        return sorted(self.active.runs.keys() - set().union(*(getattr(self, group) for group in GROUPS)))

    @property
    def active(self) -> Profile:
        """The profile in force."""
        return self.profiles[self.profile]

    def run(self, name: str) -> Run:
        """The settings of one training, its preset filled in."""
        return self.active.runs[name]
