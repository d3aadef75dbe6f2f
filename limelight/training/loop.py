"""The training loop, shared by all objectives."""

import math
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel

from limelight.config import Run
from limelight.data.batches.plans import batches_per_epoch
from limelight.data.loader import epoch_batches, evaluation_batches
from limelight.data.manifest import Sample
from limelight.data.samples import Batch
from limelight.data.windows import training_windows
from limelight.foundation.errors import UserError, raising_shortage
from limelight.foundation.progress import Advance
from limelight.foundation.progress import progress as show_progress
from limelight.models.base import Network
from limelight.models.card import IMAGENET, Normalisation
from limelight.training.checkpoints import Checkpoints, Progress, Stateful
from limelight.training.device import (
    describe,
    deterministic,
    keep_freed_memory,
    make_accelerator,
    print_on_main,
    seed_step,
)
from limelight.training.ema import averaged_network, make_average, mixed_with, predicting_with
from limelight.training.freezing import freeze
from limelight.training.history import History, Record
from limelight.training.interruption import Interruption, interruptible
from limelight.training.learner import Learner
from limelight.training.optimisers import make_optimiser, set_learning_rates
from limelight.training.schedules import learning_rate_factor

VALIDATION_BATCH = 8


def fit(
    learner: Learner,
    run: Run,
    *,
    samples: Sequence[Sample],
    validation: Sequence[Sample] = (),
    folder: Path,
    seed: int,
    device: str = "auto",
    normalisation: Normalisation = IMAGENET,
    on_epoch: Callable[[History], None] = lambda history: None,
) -> History:
    """Train `learner.network` in place; afterwards it is the network to keep: the averaged one with `optimiser.ema`,
    and with `optimiser.start_share` mixed with the one that the training started from.

    Its weights are the last epoch's, as published, not those of the best validation figure. A training that was
    stopped, by a signal or by a kill at any moment, and is started again with the same `folder` ends with the same
    weights as an uninterrupted one on the same machine (on a GPU: up to what `deterministic` says). Under torchrun
    every process calls this.

    Args:
        samples: labelled and unlabelled ones together.
        validation: scored every `compute.validate_every` epochs and after the last; may be empty.
        folder: holds the resume state; its name is this training's `state_key`.
        normalisation: the images'.
        on_epoch: called in the first process with the history so far; once more for an epoch right after which the
            training was killed.

    Raises:
        UserError: no GPU although `device` is 'cuda', samples that cannot be read, a loss that is not finite, or too
            little memory.
        SystemExit: 143 or 130 after SIGTERM or SIGINT, the state saved.
    """
    accelerator = make_accelerator(device, run.compute.precision)
    if accelerator.device.type == "cpu":
        keep_freed_memory()
    with deterministic(accelerator.device), raising_shortage(_memory_advice(learner, run)):
        learner.prepare(samples, run, accelerator, normalisation)
    with (
        deterministic(accelerator.device),
        interruptible() as interruption,
        raising_shortage(_memory_advice(learner, run)),
    ):
        windows = len(training_windows(samples, run.samples.frames, run.samples.stride))
        training = _begin(learner, run, windows, folder, seed, accelerator, interruption)
        training.normalisation = normalisation
        with training.progress_bar() as advance:
            while training.at.epoch < run.epochs:
                training.run_epoch(samples, advance)
                scores = training.validate(validation)
                training.close_epoch(scores)
                if accelerator.is_main_process:
                    on_epoch(training.history)
                training.save()
    learner.network = training.kept()
    return training.history


def _memory_advice(learner: Learner, run: Run) -> str:
    """Name changes of the run's settings that would reduce memory."""
    size, accumulate = run.batch.size, run.batch.accumulate
    share = next((share for share in range(2, size + 1) if size % share == 0), 1)
    remedies = {
        f"batch: {{size: {size // share}, accumulate: {share * accumulate}}}, as many pictures a step": share > 1,
        "compute: {precision: bf16}": run.compute.precision == "fp32",
        "optimiser: {name: adamw-8bit}": run.optimiser.name != "adamw-8bit",
    }
    settings = [
        *(setting for setting, applies in remedies.items() if applies),
        *learner.memory_savers(),
        "smaller sizes in size.training" if run.size.training else "a smaller size.input",
    ]
    return f"of the run's settings, these take less: {'; '.join(settings)}"


def _begin(
    learner: Learner,
    run: Run,
    windows: int,
    folder: Path,
    seed: int,
    accelerator: Accelerator,
    interruption: Interruption,
) -> "_Training":
    """Move everything to its device, and restore the newest state."""
    frozen = freeze(learner.network, run.optimiser.freeze)
    if run.compute.channels_last:
        learner.to(memory_format=torch.channels_last)
    forward = accelerator.prepare(learner)
    groups = learner.parameter_groups().items()
    roles = {role: [value for value in values if value.requires_grad] for role, values in groups}
    training = _Training(
        accelerator=accelerator,
        learner=learner,
        network=learner.network,
        forward=forward,
        frozen=frozen,
        optimiser=make_optimiser(roles, run.optimiser),
        averaged=make_average(learner.network, run.optimiser.ema) if run.optimiser.ema else None,
        start=deepcopy(learner.network.state_dict()) if run.optimiser.start_share else {},
        checkpoints=Checkpoints(folder, run.compute.checkpoint_minutes, writes=accelerator.is_main_process),
        run=run,
        seed=seed,
        batches=batches_per_epoch(windows, run, accelerator.num_processes),
        interruption=interruption,
    )
    training.at = training.checkpoints.restore(training.parts)
    training.announce(windows, sorted(run.optimiser.groups.keys() - roles.keys()))
    return training


@dataclass
class _Training:
    """The state that the steps of one training share."""

    accelerator: Accelerator
    learner: Learner
    network: Network
    """The network being trained; the learner's own is the average while that is validated."""
    forward: nn.Module
    """The learner, wrapped for autocast and data-parallel training."""
    frozen: list[nn.Module]
    """Modules of the network that keep their weights and statistics."""
    optimiser: Optimizer
    averaged: AveragedModel | None
    start: dict[str, Tensor]
    """The network's weights before the first step, where they are mixed in."""
    checkpoints: Checkpoints
    run: Run
    seed: int
    batches: int
    """Number per epoch and process."""
    interruption: Interruption
    at: Progress = field(default_factory=Progress)
    normalisation: Normalisation = IMAGENET
    ids: list[str] = field(default_factory=list)
    """Ids of the samples in the newest step."""

    # -------------------------------------------------------------------------------------------------------- training
    def run_epoch(self, samples: Sequence[Sample], advance: Advance) -> None:
        """Run the steps of the epoch that are not done yet."""
        self.learner.train()
        for module in self.frozen:
            module.eval()
        batches = epoch_batches(
            samples,
            self.run,
            seed=self.seed,
            epoch=self.at.epoch,
            rank=self.accelerator.process_index,
            world=self.accelerator.num_processes,
            start=self.at.step * self.run.batch.accumulate,
            device=self.accelerator.device,
            inputs=self.learner.inputs,
            normalisation=self.normalisation,
            maps=self.learner.maps,
        )
        with closing(batches):
            while self.at.step < self.steps:
                seed_step(self.seed, self.at.epoch, self.at.step, self.accelerator.process_index)
                rate = set_learning_rates(self.optimiser, self.run.optimiser, self.rate_factor(), self.at.epoch)
                size = min(self.run.batch.accumulate, self.batches - self.at.step * self.run.batch.accumulate)
                means, stop = self.step(islice(batches, size), size)
                advance(1, f"epoch {self.at.epoch + 1}/{self.run.epochs}, loss {means['loss']:.4g}, lr {rate:.2g}")
                if stop:
                    self.stop()
                if self.checkpoints.due:
                    self.save()

    def step(self, batches: Iterator[Batch], size: int) -> tuple[Record, bool]:
        """Make one optimiser step with the mean gradient of `size` batches.

        Returns:
            The means of loss and parts over batches and processes, and whether any process has been asked to stop.
        """
        self.optimiser.zero_grad()
        self.ids = []
        totals: dict[str, Tensor] = {}
        for number, batch in enumerate(batches, 1):
            self.ids += batch.ids
            batch = batch.to(self.accelerator.device, self.run.compute.channels_last)
            with nullcontext() if number == size else self.accelerator.no_sync(self.forward):
                loss, parts = self.forward(batch, self.at.epoch)
                self.accelerator.backward(loss / size)
            for name, value in {"loss": loss, **parts}.items():
                totals[name] = totals.get(name, 0.0) + value.detach().float() / size
        # One all-reduce and one GPU synchronisation for all figures of a step.
        totals["stop"] = torch.tensor(float(self.interruption.signal > 0), device=self.accelerator.device)
        shared = self.accelerator.reduce(torch.stack(list(totals.values())), "mean").tolist()
        means = dict(zip(totals, shared, strict=True))
        stop = means.pop("stop") > 0
        self.check(all(map(math.isfinite, means.values())), f"the loss is {means['loss']:g}")
        if self.run.optimiser.clip_norm:
            self.accelerator.clip_grad_norm_(self.network.parameters(), self.run.optimiser.clip_norm)
        self.optimiser.step()
        if self.averaged:
            self.averaged.update_parameters(self.network)
        self.at.add(means)
        return means, stop

    @property
    def steps(self) -> int:
        """Optimiser steps per epoch; the last one may accumulate fewer batches."""
        return math.ceil(self.batches / self.run.batch.accumulate)

    def rate_factor(self, back: int = 0) -> float:
        """Return the learning-rate factor of the step `back` before the next one."""
        step = self.at.epoch * self.steps + self.at.step - back
        return learning_rate_factor(self.run.schedule, step, self.steps, self.run.epochs)

    # ------------------------------------------------------------------------------------------------- between epochs
    def validate(self, samples: Sequence[Sample]) -> Record:
        """Score the network that is kept if the training ends now; empty if this epoch is not to be validated."""
        number = self.at.epoch + 1
        if not samples or (number % self.run.compute.validate_every and number < self.run.epochs):
            return {}
        seed_step(self.seed, self.at.epoch, self.at.step, self.accelerator.process_index)
        batches = evaluation_batches(
            samples,
            self.run.size.input,
            max(1, VALIDATION_BATCH // self.run.samples.frames),
            rank=self.accelerator.process_index,
            world=self.accelerator.num_processes,
            device=self.accelerator.device,
            cache_mb=self.run.compute.cache_mb,
            inputs=self.learner.inputs,
            normalisation=self.normalisation,
            frames=self.run.samples.frames,
            stride=self.run.samples.stride,
        )
        with closing(batches), predicting_with(self.learner, self.kept()):
            return self.learner.validate(self.until_interrupted(batches), self.accelerator)

    def kept(self) -> Network:
        """The network that is kept if the training ends now."""
        network = averaged_network(self.averaged) if self.averaged else self.network
        share = self.run.optimiser.start_share
        return mixed_with(network, self.start, share) if share else network

    def until_interrupted(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Yield batches on the device, until a signal asks to stop.

        With several processes the signal is not handled here: one that stopped would leave the others waiting for its
        scores. The next step stops them all, or the training is about to end.
        """
        for batch in batches:
            if self.interruption.signal and self.accelerator.num_processes == 1:
                self.stop()
            yield batch.to(self.accelerator.device, self.run.compute.channels_last)

    def close_epoch(self, scores: Record) -> None:
        """Write the epoch's record and begin the next one."""
        means = {name: total / self.steps for name, total in self.at.sums.items()}
        rate = self.run.optimiser.lr * self.rate_factor(back=1)
        record = {"epoch": self.at.epoch + 1, **means, "lr": rate, **scores}
        self.at = Progress(self.at.epoch + 1, records=[*self.at.records, record])
        shown = ", ".join(f"{name} {value:.4g}" for name, value in record.items() if name != "epoch")
        print_on_main(self.accelerator, f"{self.name}: epoch {self.at.epoch}/{self.run.epochs}: {shown}")

    @property
    def history(self) -> History:
        return History(self.at.records)

    # --------------------------------------------------------------------------------------------------------- state
    @property
    def parts(self) -> dict[str, Stateful]:
        parts: dict[str, Stateful | None] = {
            "network": self.network,
            "optimiser": self.optimiser,
            "averaged": self.averaged,
        }
        return {name: part for name, part in parts.items() if part is not None}

    def save(self) -> None:
        """Save the state; raise if a weight is not finite."""
        finite = all(bool(value.isfinite().all()) for value in self.network.parameters())
        self.check(finite, "a weight is not finite")
        self.checkpoints.save(self.parts, self.at)

    def stop(self) -> None:
        """Save the state and end the process as the signal would have."""
        self.save()
        print_on_main(
            self.accelerator, f"{self.name}: stopped, saved {self.checkpoints.newest}; start it again to resume"
        )
        raise SystemExit(128 + (self.interruption.signal or signal.SIGTERM))

    def check(self, ok: bool, problem: str) -> None:
        if ok:
            return
        ids = ", ".join(self.ids[:16]) + (f" and {len(self.ids) - 16} more" if len(self.ids) > 16 else "")
        raise UserError(
            f"{self.name}: {problem} after {self.at.step} steps of epoch {self.at.epoch + 1}, samples {ids}; the last "
            f"good state is {self.checkpoints.newest or 'the start'}; look at these samples, lower optimiser.lr or set "
            "optimiser.clip_norm"
        )

    # ------------------------------------------------------------------------------------------------------- messages
    @property
    def name(self) -> str:
        return self.checkpoints.folder.parent.name

    def announce(self, windows: int, strange_roles: list[str]) -> None:
        """Report what is about to be trained, and from which state."""
        parameters = sum(value.numel() for value in self.network.parameters())
        trained = sum(value.numel() for group in self.optimiser.param_groups for value in group["params"])
        share = f" ({trained:,} trained)" if trained < parameters else ""
        world = self.accelerator.num_processes
        drawn = self.batches * min(self.run.batch.size, windows // world) * world
        seen = ("samples", "images") if self.run.samples.frames == 1 else ("windows", "of them")
        print_on_main(
            self.accelerator,
            f"{self.name}: {parameters:,} parameters{share} on {describe(self.accelerator, self.run)}; {windows} "
            f"{seen[0]}, {drawn} {seen[1]} and {self.steps} steps per epoch, {self.run.epochs} epochs",
        )
        if strange_roles:
            known = ", ".join(group["role"] for group in self.optimiser.param_groups)
            print_on_main(
                self.accelerator,
                f"{self.name}: optimiser.groups {strange_roles} match no parameters; roles: {known}",
            )
        if newest := self.checkpoints.newest:
            done = f"{self.at.epoch} epochs and {self.at.step} steps"
            print_on_main(self.accelerator, f"{self.name}: resumes after {done}, from {newest.parent}")

    def progress_bar(self) -> AbstractContextManager[Advance]:
        done, quiet = self.at.epoch * self.steps + self.at.step, not self.accelerator.is_main_process
        return show_progress(self.steps * self.run.epochs, f"training {self.name}", "steps", done, quiet=quiet)
