"""One training of params.yaml, from the manifest to a weights folder and a report."""

import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from accelerate.utils import set_seed
from torch import nn

from limelight.class_names import folded
from limelight.config import Params, Run
from limelight.data.classes import vocabulary
from limelight.data.manifest import MANIFEST, Sample, manifest_hash, manifest_trees, read_manifest
from limelight.foundation.errors import UserError
from limelight.foundation.files import write_json
from limelight.models.base import Network
from limelight.models.card import Card, Triple
from limelight.models.companion import fitted_channels
from limelight.models.registry import create_model
from limelight.models.weights import assets_option, load_strict, load_weights, save_weights
from limelight.tracking import Tracker, tracked_run
from limelight.training.checkpoints import state_key
from limelight.training.distilled import Distilled
from limelight.training.history import HEADLINES, History
from limelight.training.learner import Learner
from limelight.training.loop import fit
from limelight.training.report import draw_curves, draw_samples
from limelight.training.supervised import Supervised

ARTIFACTS, REPORTS, WORK = Path("artifacts"), Path("reports/train"), Path("work")


def train(params: Params, name: str) -> History:
    """Train run `name` on its labelled samples: weights to artifacts/<name>, report to reports/train/<name>.

    Interrupted, it goes on where it was when called again; the state in work/<name> is removed at the end.

    Raises:
        UserError: no such run, one that has a teacher, no samples for it, or whatever `limelight.training.loop.fit`
            raises.
    """
    if name in params.distil:
        raise UserError(f"run {name!r} has a teacher, {params.distil[name].teacher!r}; use limelight.stages.distill")
    return _train(params, name, None)


def distil(params: Params, name: str) -> History:
    """Train student `name` from the teacher that `params.distil` gives it; all else as `train`.

    Raises:
        UserError: also where no teacher is given, or it has not been trained yet.
    """
    if name not in params.distil:
        raise UserError(f"run {name!r} has no teacher; name one under 'distil' in params.yaml, or train it supervised")
    return _train(params, name, params.distil[name].teacher)


@dataclass(frozen=True)
class _Inputs:
    """What a training starts from."""

    learner: Learner
    samples: list[Sample]
    validation: list[Sample]
    mean: Triple
    std: Triple
    key: str
    source: str
    """The card's line on where the weights come from."""
    init: Card | None
    """Of the weights that it starts from."""


def _train(params: Params, name: str, teacher: str | None) -> History:
    if name not in params.active.runs:
        raise UserError(
            f"no run {name!r} under profiles.{params.profile}.runs; there are: {', '.join(params.active.runs)}"
        )
    run = params.run(name)
    inputs = _prepare(params, run, name, teacher)
    folder = WORK / name / inputs.key
    start = time.monotonic()
    with tracked_run(params, "train" if teacher is None else "distill", name, key=inputs.key) as tracker:
        tracker.log_params({"run": run.model_dump(mode="json"), "seed": params.seed, "teacher": teacher})
        history = fit(
            inputs.learner,
            run,
            samples=inputs.samples,
            validation=inputs.validation,
            folder=folder,
            seed=params.seed,
            device=params.device,
            mean=inputs.mean,
            std=inputs.std,
            on_epoch=lambda history: _log_epoch(tracker, history),
        )
        if os.environ.get("RANK", "0") == "0":
            inputs.learner.network.merge_adapters()
            _write(name, run, inputs, history)
            _log_results(tracker, name, inputs, history, time.monotonic() - start)
            shutil.rmtree(folder)
    return history


def _prepare(params: Params, run: Run, name: str, teacher: str | None) -> _Inputs:
    set_seed(params.seed)
    loaded, init = load_weights(run.init) if run.init else (None, None)
    network = create_model(run.model, **_options(run, init, name), **(assets_option(run.init, init) if init else {}))
    mean, std = network.mean, network.std
    if init:
        takes = network.capabilities.modalities
        state = fitted_channels(loaded.state_dict(), network.state_dict(), init.architecture.modalities, takes)
        load_strict(network, state, run.init)
        mean, std = init.prepare.mean, init.prepare.std
    parts = {part: _load_part(network, part, folder) for part, folder in run.parts.items()}
    if run.lora:
        try:
            network.add_adapters(**run.lora.model_dump())
        except UserError as error:
            raise UserError(f"run {name!r}: {error}") from error
    _check_sizes(network, run.model, (run.input_size, *run.sizes), name)
    learner, card = _learner(network, run, name), None
    samples, validation = _samples(run, network, name, distilled=teacher is not None)
    if teacher is not None:
        taught_by, card = load_weights(ARTIFACTS / teacher)
        _check_teaching(run, network, taught_by, card, teacher, name)
        learner = Distilled(network, run, taught_by, card, mean=mean, std=std)
    trees = manifest_trees()
    key = state_key(
        run,
        seed=params.seed,
        manifest=manifest_hash([*samples, *validation]),
        trees={sample.dataset: trees.get(sample.dataset) for sample in (*samples, *validation)},
        teacher=card and card.provenance.sha256,
        init=init and init.provenance.sha256,
        base=network.base,
        parts={part: found.provenance.sha256 for part, found in parts.items()},
        processes=int(os.environ.get("WORLD_SIZE", "1")),
    )
    source = _source(params, name, teacher, card, init, network.base, parts)
    return _Inputs(learner, samples, validation, mean, std, key, source, init)


def _options(run: Run, init: Card | None, name: str) -> dict[str, Any]:
    """The network's: the run's own, over those of the weights that it starts from, which say what they mean."""
    if init is None:
        return run.options
    if init.architecture.form == "merged":
        raise UserError(f"run {name!r}: {run.init} holds merged weights, which cannot be trained; start from others")
    return {**(init.architecture.options if init.architecture.model == run.model else {}), **run.options}


def _learner(network: Network, run: Run, name: str) -> Learner:
    """Imported here: most trainings need nothing of diffusers."""
    if run.objective not in network.capabilities.objectives:
        others = " or ".join(map(repr, network.capabilities.objectives))
        raise UserError(f"run {name!r}: objective {run.objective!r} is not for {run.model}; set it to {others}")
    if run.objective == "masks":
        return Supervised(network, run)
    from limelight.training.prompted import Prompted
    from limelight.training.reconstruction import Reconstruction
    from limelight.training.velocity import PromptedVelocity, Velocity

    velocity = PromptedVelocity if network.capabilities.task == "open-vocabulary" else Velocity
    return {"reconstruction": Reconstruction, "velocity": velocity, "words": Prompted}[run.objective](network, run)


def _load_part(network: Network, part: str, folder: str) -> Card:
    """Start one part of a network from the same part of a weights folder's."""
    donor, card = load_weights(folder)
    own, theirs = (getattr(each, part, None) for each in (network, donor))
    if not (isinstance(own, nn.Module) and isinstance(theirs, nn.Module)):
        raise UserError(
            f"{card.architecture.model} in {folder} and the network to train do not both have a part {part!r}"
        )
    load_strict(own, theirs.state_dict(), f"{folder} ({part})")
    scales = [getattr(getattr(each, "config", None), "scaling_factor", None) for each in (own, theirs)]
    if scales[0] != scales[1]:
        raise UserError(
            f"{folder}: the latents of its part {part!r} are scaled by {scales[1]}, those of the network to train by "
            f"{scales[0]}; set the same in the run's options"
        )
    return card


def _samples(run: Run, network: Network, name: str, *, distilled: bool) -> tuple[list[Sample], list[Sample]]:
    """What the run trains on (without labels only where a teacher makes use of that) and what it is validated on."""
    text = network.capabilities.task == "open-vocabulary"
    modalities = network.capabilities.modalities
    every = read_manifest()
    # A dataset of classes is of no use for maps of what is salient; nor are its images without labels.
    semantic = {sample.dataset for sample in every if sample.labels == "classes"}
    rows = [sample for sample in every if (sample.dataset in semantic) == text and sample.modality in modalities]
    labelled = [sample for sample in rows if sample.split in run.labelled and sample.mask]
    unlabelled = [sample for sample in rows if sample.split in run.unlabelled] if distilled else []
    if not labelled and not unlabelled:
        splits = sorted({sample.split for sample in rows}) or "none"
        raise UserError(
            f"run {name!r}: no samples in labelled {run.labelled} or unlabelled {run.unlabelled} for modalities "
            f"{modalities}; {MANIFEST} has the splits {splits}"
        )
    datasets = {sample.dataset for sample in labelled if text}
    known = {folded(label): label for dataset in datasets for label in vocabulary(dataset).names}
    if unknown := [label for label in run.held_out_classes if folded(label) not in known]:
        classes = sorted(known.values())
        raise UserError(f"run {name!r}: held_out_classes {unknown} are none of its datasets' classes: {classes}")
    if text:  # one that is too long is told before the first step, not in the step that draws it
        network.check_prompts([template.replace("{}", label) for template in run.templates for label in known.values()])
    validation = [sample for sample in rows if sample.split == run.validation and sample.mask]
    if run.validation and not validation and os.environ.get("RANK", "0") == "0":
        splits = ", ".join(sorted({sample.split for sample in rows if sample.mask})) or "none"
        print(
            f"warning: run {name!r} is not validated: no sample has a mask and split {run.validation!r}; there are: "
            f"{splits}",
            file=sys.stderr,
        )
    return [*labelled, *unlabelled], validation


def _check_sizes(network: Network, model: str, sizes: Sequence[int], name: str) -> None:
    divisor, least = network.capabilities.divisor, network.capabilities.least
    if wrong := [size for size in sizes if size % divisor]:
        raise UserError(f"run {name!r}: sizes {wrong} are not multiples of {divisor}, which {model} needs")
    if wrong := [size for size in sizes if size < least]:
        raise UserError(f"run {name!r}: sizes {wrong} are below {least}, the least that {model} takes")


def _check_teaching(run: Run, network: Network, taught_by: Network, card: Card, teacher: str, name: str) -> None:
    """Only maps are taught, by what can draw them: of what is salient, or of what words name."""
    text = card.architecture.task == "open-vocabulary"
    draws = "masks" in taught_by.capabilities.objectives or text
    for who, able in (
        (f"run {name!r}", "masks" in network.capabilities.objectives),
        (f"run {name!r}: teacher {teacher!r}", draws),
    ):
        if not able:
            raise UserError(f"{who} draws no saliency maps, which is what is distilled; choose another network")
    if run.teacher_classes and not text:
        raise UserError(f"run {name!r}: teacher {teacher!r} takes no words; leave teacher_classes out")
    if text and not run.teacher_classes and not card.use.classes:
        raise UserError(f"run {name!r}: the card of teacher {teacher!r} names no classes; name some as teacher_classes")
    if run.objective != "masks":
        raise UserError(f"run {name!r}: a student learns maps; leave objective at 'masks', not {run.objective!r}")
    _check_sizes(taught_by, teacher, [run.teacher_size] if run.teacher_size else [], name)


def _source(
    params: Params,
    name: str,
    teacher: str | None,
    card: Card | None,
    init: Card | None,
    base: str | None,
    parts: Mapping[str, Card],
) -> str:
    start = f", from {_origin(init, init.architecture.model)}" if init else ""
    taught = f", taught by {teacher} ({card.architecture.model}, sha256 {card.provenance.sha256[:12]})" if card else ""
    below = f", from {base}" if base else ""
    below += "".join(f", {part} from {_origin(found)}" for part, found in parts.items())
    return f"run {name}, profile {params.profile}, seed {params.seed}{below}{start}{taught}"


def _origin(card: Card, unknown: str = "") -> str:
    return f"{card.provenance.source or unknown} (sha256 {card.provenance.sha256[:12]})"


def _write(name: str, run: Run, inputs: _Inputs, history: History) -> None:
    """The weights folder and the report."""
    folder, report = ARTIFACTS / name, REPORTS / name
    inherited = {"licence": inputs.init.provenance.licence} if inputs.init else {}
    save_weights(
        folder,
        inputs.learner.network,
        name=run.model,
        input_size=(run.input_size, run.input_size),
        mean=inputs.mean,
        std=inputs.std,
        source=inputs.source,
        trained_on=(
            *(inputs.init.provenance.trained_on if inputs.init else []),
            *(f"{split} ({rows} rows, manifest {digest[:12]})" for split, rows, digest in _splits(inputs.samples)),
        ),
        classes=tuple(_trained_classes(run, inputs)),
        template=run.templates[0],
        denoise_steps=inputs.learner.denoise_steps,
        metrics=_validation(history),
        **inherited,
    )
    history.write_json(folder / "history.json")
    history.write_csv(report / "history.csv")
    write_json(report / "metrics.json", _metrics(history))
    draw_curves(history, report / "curves.png", name)
    draw_samples(
        inputs.learner,
        inputs.validation or inputs.samples,
        run.input_size,
        report / "samples.png",
        mean=inputs.mean,
        std=inputs.std,
    )


def _trained_classes(run: Run, inputs: _Inputs) -> list[str]:
    """Names of the classes that training has shown; also those of the weights that it started from."""
    earlier = inputs.init.use.classes if inputs.init else []
    shown = {label for sample in inputs.samples for label in sample.classes}
    held_out = set(map(folded, run.held_out_classes))
    return sorted({*earlier, *(label for label in shown if folded(label) not in held_out)})


def _validation(history: History) -> dict[str, float]:
    return {key: value for key, value in history.last.items() if key.startswith("val_")}


def _metrics(history: History) -> dict[str, float]:
    best = {f"best_{key}": value for key, value in (history.best or {}).items() if key in ("epoch", *HEADLINES)}
    return {**history.last, **best}


def _splits(samples: Sequence[Sample]) -> list[tuple[str, int, str]]:
    """('<dataset>/<split>', rows, hash of these rows) for each."""

    def where(sample: Sample) -> str:
        return f"{sample.dataset}/{sample.split}"

    groups = [(split, list(group)) for split, group in groupby(sorted(samples, key=where), where)]
    return [(split, len(group), manifest_hash(group)) for split, group in groups]


def _log_epoch(tracker: Tracker, history: History) -> None:
    record = history.records[-1]
    tracker.log_metrics({key: value for key, value in record.items() if key != "epoch"}, int(record["epoch"]))


def _log_results(tracker: Tracker, name: str, inputs: _Inputs, history: History, seconds: float) -> None:
    for split, _, digest in _splits(inputs.samples):
        tracker.log_dataset(split, digest, MANIFEST)
    tracker.log_metrics({"seconds": seconds}, len(history.records))
    tracker.log_artifact(REPORTS / name)
    tracker.log_weights(ARTIFACTS / name, _validation(history), len(history.records))
