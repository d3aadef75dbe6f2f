"""`params.yaml`: one section, one frozen validated class. An unknown key or a value of the wrong type is an error.

`profile` chooses which block of `profiles` is in force. The blocks differ in values only: the CPU demo and the
published full-size settings run through the same code.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from limelight.foundation.errors import UserError

T = TypeVar("T", bound="Section")


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


# ---------------------------------------------------------------------------------------------------------------- data
class Renderer(Section):
    """The embedded renderer's settings: how many scenes, and how large."""

    scenes: int = Field(ge=1)
    size: int = Field(default=160, ge=32, le=1024, description="pixels, height = width")
    seed: int = 0
    clip_frames: int = Field(default=0, ge=0, description="frames of the moving clip of each scene; 0 = stills only")
    kind: Literal["scenes", "toys"] = Field(default="scenes", description="toys: few plain things in named colours")
    hidden: float = Field(
        default=0.0, ge=0, le=1, description="share of the toys' scenes in which the image hardly shows the things"
    )


class Layout(Section):
    """Where a dataset's folder keeps what, relative to its root: folders, or file names with `{name}` in them."""

    image: str = "images"
    mask: str | None = "masks"
    companion: str | None = None

    @model_validator(mode="after")
    def _check(self) -> "Layout":
        from limelight.data.patterns import NAME, problem

        for other in filter(None, (self.image, self.mask, self.companion)):
            if wrong := problem(other):
                raise ValueError(wrong)
            for field in ("{split}", "{clip}"):
                if field in other and field not in self.image:
                    raise ValueError(f"{field} stands in {other!r}, but not in image {self.image!r}; give it in both")
        if NAME in self.image and self.image in (self.mask, self.companion):
            raise ValueError(f"{self.image!r} cannot be two things; name image, mask and companion differently")
        return self


class DatasetRequest(Section):
    """One dataset: a name of the catalogue, or a name of your own with a path and a layout."""

    name: str
    path: str | None = Field(default=None, description="a local folder; overrides the catalogue's source")
    url: str | None = Field(default=None, description="an archive (.zip, .tar, .tar.gz) to fetch")
    sha256: str | None = Field(default=None, description="of that archive; required with url")
    layout: Layout | None = None
    render: Renderer | None = Field(default=None, description="draw it with the embedded renderer")
    modality: Literal["rgb", "rgbd", "rgbt", "video", "text"] = "rgb"
    include: str | None = Field(
        default=None, description="pattern of the images' names below their folder, without suffix, such as 'a/cam1_*'"
    )
    classes: dict[int, str] | None = Field(
        default=None, min_length=1, description="pixel value -> class (text); null = the folder's own classes.json"
    )
    ignore: list[int] | None = Field(
        default=None,
        description="pixel values that say nothing (text); null = 255, or as the catalogue knows, without `classes`",
    )
    split: str | dict[str, float] | None = Field(
        default=None,
        description="one split for all, or shares that sum to 1; null = as the dataset itself divides it",
    )

    @model_validator(mode="after")
    def _check(self) -> "DatasetRequest":
        if self.url and not self.sha256:
            raise ValueError("an archive by url needs its sha256")
        if sum(bool(given) for given in (self.path, self.url, self.render)) > 1:
            raise ValueError("give one of path, url and render")
        both = sorted({*(self.classes or ())} & {*(self.ignore or ())})
        if both:
            raise ValueError(f"{both[0]} is both a class and ignored; take it out of `classes` or of `ignore`")
        if isinstance(self.split, dict) and abs(sum(self.split.values()) - 1) > 1e-6:
            raise ValueError(f"the shares of split sum to {sum(self.split.values()):g}, not to 1")
        return self


class Data(Section):
    datasets: list[DatasetRequest] = Field(min_length=1)
    seed: int = Field(default=0, ge=0, description="of the random division into splits")

    @model_validator(mode="after")
    def _check(self) -> "Data":
        names = [request.name for request in self.datasets]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} named twice; give each dataset a name of its own")
        return self


class Validate(Section):
    """What Great Expectations demands of the manifest and of decoded samples."""

    min_rows: int = Field(default=1, ge=1)
    samples: int = Field(default=64, ge=1, description="images decoded and looked at, per dataset")
    min_side: int = 16
    max_pixels: int = 50_000_000
    max_empty_masks: float = Field(default=0.2, ge=0, le=1, description="share of masks without any salient pixel")
    max_faint_masks: float = Field(
        default=0, ge=0, le=1, description="share of samples whose mask shows something, but never above 0.5"
    )
    max_full_masks: float = Field(default=0.05, ge=0, le=1)
    binary_masks: float = Field(
        default=0.5, ge=0, le=1, description="share of masks that must be nearly black and white"
    )


# ------------------------------------------------------------------------------------------------------------ training
class Augment(Section):
    """Joint augmentation of image, companion and mask; each published recipe is one set of values."""

    crop: float = Field(default=0.0, ge=0, lt=0.5, description="largest share of a side that a random crop removes")
    crop_pixels: int = Field(default=0, ge=0, description="SDNet's form: up to so many pixels off each side")
    flip_horizontal: float = Field(default=0.5, ge=0, le=1)
    flip_vertical: float = Field(default=0.0, ge=0, le=1)
    blur: float = Field(default=0.0, ge=0, le=1, description="probability of a Gaussian blur, kernel 3 to 9")
    contrast: float = Field(default=0.0, ge=0, lt=1, description="factor drawn from [1 - c, 1 + c]")
    brightness: float = Field(default=0.0, ge=0, lt=1, description="offset drawn from [-b, b], image in [0, 1]")
    rotate: float = Field(default=0.0, ge=0, le=180, description="largest angle, degrees")
    invert_companion: float = Field(
        default=0.0, ge=0, le=1, description="probability that near and far, or cold and warm, change places"
    )


Decay = Annotated[float, Field(ge=0, lt=1)]
"""Of a running mean."""


class Group(Section):
    """How one role of a network's parameters is trained, relative to the optimiser's own values."""

    lr_scale: float = Field(default=1.0, ge=0)
    weight_decay: float | None = Field(default=None, ge=0)
    freeze_epochs: int = Field(default=0, ge=0)


class Optimiser(Section):
    name: Literal["sgd", "adam", "adamw", "adamw-8bit"] = "adamw"
    lr: float = Field(default=1e-3, gt=0)
    momentum: Decay = 0.9
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    weight_decay: float = Field(default=0.0, ge=0)
    groups: dict[str, Group] = Field(default_factory=dict, description="by the roles of Network.parameter_groups")


class Lora(Section):
    """Adapters in a UNet's attention, which is frozen otherwise. Their role in `optimiser.groups` is 'adapters'."""

    rank: int = Field(default=16, ge=1)
    alpha: float = Field(default=16, gt=0, description="they count alpha / rank times")
    targets: list[str] = Field(
        default_factory=lambda: ["to_q", "to_k", "to_v", "to_out.0"],
        min_length=1,
        description="names, or ends of names, of linear layers",
    )


class Schedule(Section):
    name: Literal["constant", "cosine", "exponential", "steps", "poly"] = "cosine"
    warmup_epochs: float = 0.0
    warmup_start: float = Field(default=0.01, description="share of lr at the first step of the warm-up")
    final: float = Field(default=0.01, ge=0, le=1, description="share of lr at the end (cosine, exponential, poly)")
    period_epochs: float | None = Field(default=None, description="length of the cosine; null = the whole training")
    milestones: list[int] = Field(default_factory=list, description="epochs at which lr is multiplied by gamma (steps)")
    gamma: float = 0.1
    power: float = 0.9

    @model_validator(mode="after")
    def _check(self) -> "Schedule":
        if self.name == "exponential" and self.final == 0:
            raise ValueError("an exponential never comes down to 0; give a final share above it, such as 0.01")
        return self


class Run(Section):
    """One training: a network, a recipe, its data. `preset` fills in the published values; keys given here win."""

    model: str
    options: dict[str, Any] = Field(default_factory=dict)
    preset: str | None = None
    init: str | None = Field(default=None, description="weights folder to start from")
    parts: dict[str, str] = Field(
        default_factory=dict,
        description="parts that start from those of other weights folders, e.g. vae: artifacts/vae",
    )
    objective: Literal["masks", "velocity", "reconstruction", "words"] = Field(
        default="masks",
        description="what is learnt: maps; denoising in latent space (diffusion, of words too); giving pictures back; "
        "finding words",
    )

    labelled: list[str] = Field(default_factory=lambda: ["train"], description="splits of the manifest")
    unlabelled: list[str] = Field(default_factory=list)
    validation: str | None = "val"

    epochs: int = Field(default=10, ge=1)
    batch_size: int = Field(default=8, ge=1, description="per process")
    balance_modalities: bool = Field(
        default=False, description="each batch holds the modalities as equally as the batch size allows"
    )
    accumulate: int = Field(default=1, ge=1)
    input_size: int = Field(default=320, ge=32, description="of validation and of inference, pixels")
    sizes: list[int] = Field(default_factory=list, description="training sizes, pixels; empty = input_size alone")
    size_order: Literal["random", "passes"] = Field(
        default="random", description="a size drawn per batch, or the whole set once at each size per epoch"
    )
    augment: Augment = Augment()
    optimiser: Optimiser = Optimiser()
    lora: Lora | None = Field(
        default=None, description="train adapters of a diffusion network's UNet; null = all of it"
    )
    schedule: Schedule = Schedule()
    loss: Literal["dice-boundary", "balanced-bce", "bce-iou"] = "bce-iou"
    level_weights: list[float] = Field(default_factory=list, description="of the logits, finest first; empty = all 1")
    distil: Literal["dice", "bce"] = Field(default="dice", description="student against teacher (distilled runs only)")
    label_weight: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="share of the label loss in a distilled run; 0 = the published labels-free form",
    )

    teacher_size: int | None = Field(
        default=None, ge=32, description="pixels, the batch as the teacher sees it; null = as the student does"
    )
    teacher_classes: list[str] = Field(
        default_factory=list,
        description="whose union a teacher of words draws for its student; empty = all that it learnt",
    )

    noise_levels: int = Field(default=6, ge=1, description="of the multi-resolution noise; 1 = plain noise")
    noise_discount: float = Field(default=0.3, ge=0, description="weight of each further level")

    prompts: int = Field(default=4, ge=2, description="asked of each image in a step (words), some of them in vain")
    templates: list[str] = Field(
        default=["a photo of a {}"], min_length=1, description="of prompts, drawn from; the first is validated with"
    )
    held_out_classes: list[str] = Field(
        default_factory=list, description="never named in training (words), their pixels void; to be found unseen"
    )

    precision: Literal["fp32", "bf16"] = "fp32"
    ema: float | None = Field(default=None, gt=0, lt=1, description="decay of the averaged weights; null = none")
    clip_norm: float | None = Field(default=None, gt=0)
    channels_last: bool = True
    workers: int = Field(default=0, ge=0)
    cache_mb: int = Field(default=512, ge=0, description="decoded images kept, of training and validation each")
    checkpoint_minutes: float = Field(default=5.0, ge=0, description="besides one at each epoch's end")
    validate_every: int = Field(default=1, ge=1, description="epochs")

    @model_validator(mode="after")
    def _check(self) -> "Run":
        wrong = [template for template in self.templates if template.count("{}") != 1]
        if wrong:
            raise ValueError(f"templates need one {{}} each, for the class; {wrong[0]!r} does not have it")
        if both := sorted({*self.labelled}.intersection(self.unlabelled)):
            raise ValueError(f"{', '.join(both)} cannot be both labelled and unlabelled; name it in one of them")
        names = [name.strip().casefold() for name in self.teacher_classes]
        if "" in names or len({*names}) < len(names):
            raise ValueError(f"teacher_classes {self.teacher_classes} must differ, and none may be empty")
        return self


# ----------------------------------------------------------------------------------------------- after the training
class Deploy(Section):
    """reparameterize: exports, and the limits past which the stage fails."""

    max_logit_difference: float = 1e-4
    samples: int = Field(
        default=32, ge=1, description="real images for the proof of equality, the report and calibration"
    )
    split: str = "val"
    runtimes: list[Literal["onnx-fp32", "onnx-int8", "openvino-fp32", "openvino-bf16", "openvino-int8"]] = Field(
        default_factory=lambda: ["onnx-fp32", "openvino-fp32", "openvino-bf16", "openvino-int8"]
    )
    max_probability_difference: float = Field(default=1e-3, description="of the fp32 exports")
    max_mae_change: float = Field(default=0.005, description="of every export, against the masks")
    max_f_change: float = 0.02


class Evaluate(Section):
    splits: list[str] = Field(default_factory=lambda: ["test"])
    batch_size: int = Field(default=1, ge=1)
    workers: int | None = Field(default=None, description="processes of the metrics; null = one per core")
    save_maps: bool = Field(default=False, description="write every 8-bit map to work/maps/<artifact>/<runtime>/")
    overlays: int = Field(default=8, ge=0, description="TP/FP/FN pictures per dataset")
    background: float = Field(
        default=0.5, ge=0, le=1, description="probability that a class needs to be no background (open-vocabulary)"
    )
    latency_runs: int = Field(default=20, ge=1)
    threads: int = Field(default=2, ge=1, description="of the runtimes while latency is measured")
    maps: dict[str, str] = Field(
        default_factory=dict,
        description="other methods: name -> folder of precomputed maps, <dataset>/<id>.png",
    )


TaskName = Literal["saliency", "open-vocabulary"]
"""What is evaluated, compared and served; each is an object of `limelight.tasks`."""


class Rule(Section):
    """The champion of a task is the best row that keeps within the limits."""

    metric: str = Field(description="one of the task's")
    dataset: str | None = Field(default=None, description="null = mean over the datasets")
    max_parameters: int | None = None
    max_latency_ms: float | None = Field(default=None, description="median of single images, end to end")


class Package(Section):
    service: str = "limelight"
    max_body_mb: float = 20
    max_pixels: int = 25_000_000
    max_classes: int = Field(default=64, ge=1, le=255, description="asked for at once, of an open-vocabulary model")


class Profile(Section):
    data: Data
    validation: Validate = Validate()
    runs: dict[str, Run]
    deploy: Deploy = Deploy()
    evaluate: Evaluate = Evaluate()
    compare: dict[TaskName, Rule] = Field(
        default_factory=dict, description="how each task's champion is chosen; a task left out has a rule of its own"
    )
    package: Package = Package()


class Finetune(Section):
    base: str = Field(description="the run whose artifact this run's `parts` start from")


class Distil(Section):
    teacher: str


class Tracking(Section):
    enabled: bool = True
    uri: str = "sqlite:///mlflow.db"
    experiment: str = "limelight"
    artifacts: str = "mlartifacts"
    registered_model: str = "limelight"


class Params(Section):
    profile: str
    seed: int = Field(default=0, ge=0)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    train: list[str]
    finetune: dict[str, Finetune] = Field(default_factory=dict)
    imported: list[str] = Field(
        default_factory=list, description="weights folders below artifacts/ that `limelight import` made"
    )
    distil: dict[str, Distil] = Field(default_factory=dict)
    deploy: list[str] = Field(default_factory=list)
    evaluate: list[str] = Field(default_factory=list)
    tracking: Tracking = Tracking()
    profiles: dict[str, Profile]

    @model_validator(mode="after")
    def _check(self) -> "Params":
        if self.profile not in self.profiles:
            raise ValueError(f"profile {self.profile!r} is not one of profiles: {', '.join(self.profiles)}")
        runs = self.active.runs.keys()
        trained = {*self.train, *self.finetune, *self.distil}
        for name in trained:
            if name not in runs:
                raise ValueError(f"run {name!r} is not described under profiles.{self.profile}.runs")
        if twice := trained.intersection(self.imported):
            raise ValueError(f"imported: {', '.join(sorted(twice))} would be overwritten by the run of that name")
        present = trained.union(self.imported)
        for name, distil in self.distil.items():
            if distil.teacher not in present:
                raise ValueError(f"distil.{name}: teacher {distil.teacher!r} is trained by no run, nor imported")
        for name, finetune in self.finetune.items():
            if finetune.base not in present:
                raise ValueError(f"finetune.{name}: base {finetune.base!r} is trained by no run, nor imported")
            starts = {self.active.runs[name].init, *self.active.runs[name].parts.values()}
            if f"artifacts/{finetune.base}" not in starts:
                raise ValueError(
                    f"finetune.{name}: nothing of it starts from artifacts/{finetune.base}; set init or parts"
                )
        artifacts = present | {f"{name}-deploy" for name in self.deploy}
        for where, names, known in (("deploy", self.deploy, present), ("evaluate", self.evaluate, artifacts)):
            for name in names:
                if name not in known:
                    raise ValueError(f"{where}: {name!r} is not one of {', '.join(sorted(known))}")
        return self

    @property
    def active(self) -> Profile:
        return self.profiles[self.profile]

    def run(self, name: str) -> Run:
        """The settings of one training, its preset filled in."""
        return self.active.runs[name]


def load_params(path: Path | str = "params.yaml") -> Params:
    """Read and check the whole of params.yaml.

    Raises:
        UserError: the file is missing or is not YAML, or a key is unknown or has a value of the wrong type; all
            mistakes are in the one message.
    """
    path = Path(path)
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path} not found; run this in the folder that holds it") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(tree, dict):
        raise UserError(f"{path} must hold a mapping of sections, not {type(tree).__name__}")
    _fill_presets(tree, path)
    return parse(Params, tree, str(path))


def _fill_presets(tree: dict[str, Any], path: Path) -> None:
    """Lay each run's own keys over its preset's, in place, before anything is validated."""
    from limelight.training.presets import with_preset

    profiles = tree.get("profiles")
    for name, profile in profiles.items() if isinstance(profiles, dict) else ():
        runs = profile.get("runs") if isinstance(profile, dict) else None
        for run, settings in runs.items() if isinstance(runs, dict) else ():
            if isinstance(settings, dict):
                runs[run] = with_preset(settings, f"{path}: profiles.{name}.runs.{run}")


def parse(kind: type[T], tree: Any, where: str) -> T:
    """Validate `tree` as `kind`; every mistake becomes part of one line.

    Raises:
        UserError: with 'where: key: what is wrong (value)' for each mistake, joined by '; '.
    """
    try:
        return kind.model_validate(tree)
    except ValidationError as error:
        raise UserError(f"{where}: " + "; ".join(_describe(mistake) for mistake in error.errors())) from None


def _describe(mistake: Any) -> str:
    key = ".".join(str(part) for part in mistake["loc"]) or "the whole"
    if mistake["type"] == "extra_forbidden":
        return f"{key}: unknown key"
    if mistake["type"] == "missing":
        return f"{key}: missing"
    message = mistake["msg"].removeprefix("Value error, ")
    shown = repr(mistake["input"])
    return f"{key}: {message}" + (f" (got {shown})" if len(shown) < 60 else "")
