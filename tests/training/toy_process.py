"""Trainings in processes of their own, that die of real signals at chosen moments."""

import json
import multiprocessing
import os
import signal
import socket
import subprocess
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from toy import supervised, toy_network, toy_run, toy_samples, weights

from limelight.config import Run
from limelight.models.base import Network
from limelight.models.card import IMAGENET, Card
from limelight.models.registry import create_model
from limelight.training import checkpoints
from limelight.training.learner import Learner
from limelight.training.loop import fit
from limelight.training.objectives import make_learner
from limelight.training.teacher import NetworkTeacher

CONTEXT = multiprocessing.get_context("forkserver")
# What a child would otherwise import anew; torch's optimisers import its compiler.
CONTEXT.set_forkserver_preload(["limelight.training.loop", "limelight.training.objectives.distilled", "torch._dynamo"])

TEACHER = Card(
    architecture={"model": "toy", "family": "toy", "parameters": 1},
    prepare={"size": (32, 32), "std": (0.5, 0.5, 0.5)},
    provenance={"sha256": "0" * 64},
)


HANGS_S = 600
"""Far longer than any of these trainings takes on a busy machine."""


def start(root: Path, **options: object) -> int:
    """Run `train` in a child; returns its exit code, negative for the signal that killed it."""
    child = CONTEXT.Process(target=train, args=(root,), kwargs=options)
    child.start()
    child.join(HANGS_S)
    assert child.exitcode is not None, "the training hangs"
    return child.exitcode


def start_pair(root: Path, second: dict[str, object] | None = None, **options: object) -> list[int]:
    """`start` for the two processes of a parallel training; `second` adds options of the second one alone."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    shared = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    children = []
    for rank in ("0", "1"):
        own = {**options, **(second if second and rank == "1" else {})}
        environment = {**shared, "RANK": rank, "LOCAL_RANK": rank}
        children.append(CONTEXT.Process(target=train, args=(root,), kwargs={**own, "environment": environment}))
        children[-1].start()
    for child in children:
        child.join(HANGS_S)
    return [child.exitcode for child in children]


def train(
    root: Path,
    *,
    state: str = "state",
    settings: dict[str, object] | None = None,
    network: dict[str, object] | None = None,
    distilled: bool = False,
    diffusion: bool = False,
    signal_at: tuple[int, int] | None = None,
    signal_in: str = "forward",
    validation: int = 3,
    kill_save: int | None = None,
    environment: dict[str, str] | None = None,
) -> None:
    """Train the toy network and write <state>.pt (weights) and <state>.json (history) into `root`.

    Under torchrun the process's number is part of these names.

    Args:
        diffusion: train a tiny diffSOD instead, with adapters, on pictures of which some have depth.
        signal_at: send this process and its workers a signal, (number, at the so-manieth call), from 1.
        signal_in: the calls that are counted, the learner's 'forward' or 'predict'.
        validation: how many samples are validated on.
        kill_save: die half-way through writing this checkpoint, from 1.
    """
    if os.getpgrp() != os.getpid():  # torchrun's children lead a group already
        os.setpgrp()  # signals reach this training's own workers too, and nobody else
    os.environ.update(environment or {})
    torch.set_num_threads(1)
    multiprocessing.set_start_method("fork", force=True)  # a forkserver's child would start its own that way
    settings = {"compute": {}, **(settings or {})}
    run = toy_run(**{**settings, "compute": {"checkpoint_minutes": 0, **settings["compute"]}})
    samples = toy_samples(root, 14) + (toy_samples(root, 6, "unlabelled", labelled=False) if distilled else [])
    if distilled:
        student, facts = toy_network(), {"normalisation": IMAGENET, "size": None, "classes": ()}
        teacher = NetworkTeacher(toy_network(seed=1), TEACHER, **facts)
        learner: Learner = make_learner(run.objective, student, epochs=run.epochs, teacher=teacher)
    else:
        learner = supervised(_adapted(run) if diffusion else toy_network(**(network or {})), run)
    if diffusion:
        samples = [replace(each, sensor="rgbd", companion=each.mask) for each in samples[::3]] + samples[:6]
    if signal_at:
        _send(learner, signal_in, *signal_at)
    if kill_save:
        _die_while_saving(kill_save)
    history = fit(
        learner,
        run,
        samples=samples,
        validation=toy_samples(root, validation, "val"),
        folder=root / "toy" / state,
        seed=5,
        device="cpu",
    )
    name = f"{state}{os.environ.get('RANK', '')}"
    torch.save(weights(learner.network), root / f"{name}.pt")
    (root / f"{name}.json").write_text(json.dumps(history.records))


def result(root: Path, state: str = "state") -> tuple[dict[str, Tensor], list[dict[str, float]]]:
    return torch.load(root / f"{state}.pt", weights_only=True), json.loads((root / f"{state}.json").read_text())


def _adapted(run: Run) -> Network:
    torch.manual_seed(0)
    network = create_model("diffsod-tiny")
    network.add_adapters(**run.lora.model_dump())
    return network


def _send(learner: Learner, method: str, number: int, at: int) -> None:
    call, calls = getattr(learner, method), iter(range(1, 10**6))

    def counted(*arguments: object) -> object:
        if next(calls) == at:
            # By another process: what a parent sends to its workers, PyTorch takes for its own wish to end them.
            # SIGTERM twice, as a cancelled flow does: to the group, and by the kernel when dvc has ended.
            for _ in range(2 if number == signal.SIGTERM else 1):
                subprocess.run(["kill", f"-{int(number)}", "--", f"-{os.getpgrp()}"])
        return call(*arguments)

    setattr(learner, method, counted)


def _die_while_saving(at: int) -> None:
    save, calls = torch.save, iter(range(1, 10**6))

    def torn(state: object, handle: object) -> None:
        save(state, handle)
        if next(calls) == at:
            handle.truncate(handle.tell() // 2)
            handle.flush()
            os.kill(os.getpid(), signal.SIGKILL)

    checkpoints.torch.save = torn
