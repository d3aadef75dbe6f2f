"""One training of params.yaml, from the manifest to a weights folder and a report."""

import hashlib
import json
import os
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import set_seed
from torch import Tensor

from limelight.config import Params, Run
from limelight.data.manifest import MANIFEST, Sample, manifest_hash, manifest_trees
from limelight.foundation.artifacts import ARTIFACTS
from limelight.foundation.errors import UserError
from limelight.foundation.files import sha256_file
from limelight.inference.backends import open_backend
from limelight.inference.backends.backend import Backend
from limelight.inference.plan import Request, plan
from limelight.inference.runtimes import TORCH
from limelight.models.base import Network
from limelight.models.card import Card, Normalisation
from limelight.models.companion import fitted_channels
from limelight.models.difference.option import from_plain
from limelight.models.registry import create_model
from limelight.models.shipped import weights_folder
from limelight.models.state import load_strict
from limelight.models.weights import assets_option, load_weights
from limelight.tracking.runs import tracked_run
from limelight.tracking.tracker import Tracker
from limelight.training.checkpoints import RECIPE_VERSION, state_key
from limelight.training.history import History
from limelight.training.kept_maps import KeptMaps
from limelight.training.loop import fit
from limelight.training.objectives import make_learner
from limelight.training.results import by_split, validation_figures, write_report, write_run
from limelight.training.selection import training_samples, validation_samples
from limelight.training.teacher import NetworkTeacher, Teacher

REPORTS, WORK = Path("reports/train"), Path("work")


def train(params: Params, name: str) -> History:
    """Train run `name`, with its teacher if it has one: weights to artifacts/<name>, report to reports/train/<name>.

    An interrupted training resumes when called again; its state in work/<name> is removed at the end.

    Raises:
        UserError: no such run, a teacher that has not been trained yet or cannot teach, no samples, settings that do
            not fit the network, or whatever `limelight.training.loop.fit` raises.
    """
    if name not in params.active.runs:
        raise UserError(
            f"no run {name!r} under profiles.{params.profile}.runs; there are: {', '.join(params.active.runs)}"
        )
    run = params.run(name)
    taught = params.teachers.get(name)
    try:
        start = _start(run, params.seed)
        teaching = _teaching(run, start, taught)
        teacher = teaching.teacher if teaching else None
        learner = make_learner(run.objective, start.network, epochs=run.epochs, teacher=teacher)
        samples = training_samples(run, learner)
    except UserError as error:
        raise UserError(f"run {name!r}: {error}") from error
    validation = validation_samples(run, learner, name)
    key = _key(run, params.seed, start, teaching.depends_on if teaching else None, [*samples, *validation])
    began = time.monotonic()
    with tracked_run(params, "distill" if taught else "train", name, key=key) as tracker:
        tracker.log_params({"run": run.model_dump(mode="json"), "seed": params.seed, "teacher": taught})
        history = fit(
            learner,
            run,
            samples=samples,
            validation=validation,
            folder=WORK / name / key,
            seed=params.seed,
            device=params.device,
            normalisation=start.normalisation,
            on_epoch=lambda history: _log_epoch(tracker, history),
        )
        if os.environ.get("RANK", "0") == "0":
            learner.network.merge_adapters()
            source = f"run {name}, profile {params.profile}, seed {params.seed}{start.origin}"
            if teaching:
                model, digest = teaching.card.architecture.model, teaching.card.provenance.sha256[:12]
                source += f", taught by {taught} ({model}, sha256 {digest})"
            facts = {**start.normalisation._asdict(), "source": source}
            parts = list(start.parts.values())
            write_run(ARTIFACTS / name, run, learner, samples, history, facts, init=start.init, parts=parts)
            write_report(REPORTS / name, run, learner, validation or samples, history, start.normalisation)
            _log_results(tracker, name, samples, history, time.monotonic() - began)
            shutil.rmtree(WORK / name / key)
    return history


def _key(run: Run, seed: int, start: "_Start", use: list[Any] | None, used: list[Sample]) -> str:
    """Identify a training by all that its weights depend on: only the state of an equal one is continued.

    Args:
        use: what the teacher's maps depend on, see `_Teaching`.
        used: samples of the training and of its validation.
    """
    trees = manifest_trees()
    return state_key(
        run,
        seed=seed,
        manifest=manifest_hash(used),
        trees={sample.dataset: trees.get(sample.dataset) for sample in used},
        teacher=use,
        init=start.init and start.init.provenance.sha256,
        base=start.network.base,
        parts={part: card.provenance.sha256 for part, card in start.parts.items()},
        processes=int(os.environ.get("WORLD_SIZE", "1")),
    )


@dataclass(frozen=True)
class _Start:
    """The network as training begins, and where its weights are from."""

    network: Network
    normalisation: Normalisation
    init: Card | None = None
    """Card of the weights that the whole network starts from."""
    parts: dict[str, Card] = field(default_factory=dict)
    """Cards of the weights that parts of it start from."""

    @property
    def origin(self) -> str:
        """For the card: '', or ', from <base>, <part> from <source> (sha256 ...), from <source> (sha256 ...)'."""
        below = [f"from {self.network.base}"] if self.network.base else []
        below += [f"{part} from {_origin(card)}" for part, card in self.parts.items()]
        below += [f"from {_origin(self.init)}"] if self.init else []
        return "".join(f", {each}" for each in below)


def _start(run: Run, seed: int) -> _Start:
    """Build the network, and load what it starts from."""
    set_seed(seed)
    init = None
    if run.init is None:
        network = create_model(run.model, **run.options)
        normalisation = Normalisation(network.mean, network.std)
    else:
        source = weights_folder(run.init)
        loaded, init = load_weights(source)
        network = create_model(run.model, **_continued_options(run, init), **assets_option(source, init))
        takes = network.capabilities.modalities
        state = from_plain(network, loaded.state_dict())
        state = fitted_channels(state, network.state_dict(), init.architecture.modalities, takes)
        load_strict(network, _neutral(network) | state, run.init)
        normalisation = init.prepare.normalisation
    parts = {}
    for part, folder in run.parts.items():
        source_network, parts[part] = load_weights(weights_folder(folder))
        network.take_part(part, source_network, folder)
    if run.lora:
        network.add_adapters(**run.lora.model_dump())
    network.check_sizes([run.size.input, *run.size.training])
    return _Start(network, normalisation, init, parts)


def _neutral(network: Network) -> dict[str, Tensor]:
    """Tensors of the parts that a start may lack, as initialised."""
    return {name: value for name, value in network.state_dict().items() if name.partition(".")[0] in network.neutral}


def _continued_options(run: Run, init: Card) -> dict[str, Any]:
    """Return the network's options: the run's, over those on the card of the weights that it starts from."""
    if init.architecture.form == "merged":
        raise UserError(f"{run.init} holds merged weights, which cannot be trained; start from others")
    return {**(init.architecture.options if init.architecture.model == run.model else {}), **run.options}


@dataclass(frozen=True)
class _Teaching:
    """What a student learns from."""

    teacher: Teacher
    card: Card
    depends_on: list[Any]
    """All that its maps depend on besides the run's settings."""


def _teaching(run: Run, start: _Start, name: str | None) -> _Teaching | None:
    """Load the teacher of a distilled run; None for other objectives."""
    if run.objective.name != "distilled":
        return None
    if name is None:
        raise UserError("it has no teacher; name one under 'distill' in params.yaml, or set another objective")
    network, card = load_weights(ARTIFACTS / name)
    size, classes, flip = run.objective.teacher_size, run.objective.teacher_classes, run.objective.teacher_flip
    try:
        backend, computed = _exported(run.objective.teacher_runtime, ARTIFACTS / name, card)
        teacher = NetworkTeacher(
            network, card, normalisation=start.normalisation, size=size, classes=classes, flip=flip, backend=backend
        )
        depends_on = [*_use_of(card), *computed]
        if run.objective.teacher_maps == "each-step":
            return _Teaching(teacher, card, depends_on)
        side = teacher.side or run.size.input
        facts = [*_use_of(card), *start.normalisation, side, classes, flip, *computed, RECIPE_VERSION]
        if backend is None and run.compute.precision != "fp32":
            facts.append(run.compute.precision)
        digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
        return _Teaching(KeptMaps(teacher, WORK / "maps" / digest[:16]), card, depends_on)
    except UserError as error:
        raise UserError(f"teacher {name!r}: {error}") from error


def _use_of(card: Card) -> list[Any]:
    """All of a teacher that its maps depend on: its weights, and how they are used."""
    used = {"architecture", "prepare", "finish", "use"}
    return [card.provenance.sha256, card.model_dump(mode="json", include=used)]


def _exported(name: str, folder: Path, card: Card) -> tuple[Backend | None, list[str]]:
    """Open a teacher's export, and say what its maps depend on besides the weights: its format here, and its files."""
    if name == TORCH.name:
        return None, []
    planned = plan(folder, card, Request(name, "cpu", torch.get_num_threads()))
    backend, runtime = open_backend(planned), planned.runtime
    files = sorted(runtime.file(folder).parent.iterdir())
    return backend, [runtime.engine, runtime.computed_in(), *map(sha256_file, files)]


def _origin(card: Card) -> str:
    return f"{card.provenance.source or card.architecture.model} (sha256 {card.provenance.sha256[:12]})"


def _log_epoch(tracker: Tracker, history: History) -> None:
    record = history.records[-1]
    tracker.log_metrics({key: value for key, value in record.items() if key != "epoch"}, int(record["epoch"]))


def _log_results(tracker: Tracker, name: str, samples: list[Sample], history: History, seconds: float) -> None:
    for split, _, digest in by_split(samples):
        tracker.log_dataset(split, digest, MANIFEST)
    tracker.log_metrics({"seconds": seconds}, len(history.records))
    tracker.log_artifact(REPORTS / name)
    tracker.log_weights(ARTIFACTS / name, validation_figures(history), len(history.records))
