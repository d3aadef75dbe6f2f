"""Flow with one task per DVC stage, for stages of minutes or hours: each task adds about a second."""

import os
import subprocess
from queue import SimpleQueue
from typing import Annotated

import typer
from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture, wait
from prefect.task_runners import ThreadPoolTaskRunner

from limelight.flows import process
from limelight.flows.graph import TIMED, stages_to_run
from limelight.flows.tasks import dvc_repro, publish_leaderboard, pull_data
from limelight.foundation.one_line import mistakes_in_one_line

NEEDS_GPU = ("train@", "finetune@", "distill@", "finetune_distill@")
Slots = SimpleQueue[dict[str, str] | None]
"""Environments of the trainings that may run at once; None once the flow is cancelled."""


@task(task_run_name="{stage}", cache_policy=NO_CACHE)
def run_stage(stage: str, slots: Slots) -> None:
    """Run one stage by itself. Trainings take turns on this machine's GPUs, one on each."""
    slot = slots.get() if stage.startswith(NEEDS_GPU) else {}
    if slot is None:
        raise RuntimeError("the flow was cancelled")
    try:
        dvc_repro("--single-item", stage, env=slot)
    finally:
        if stage.startswith(NEEDS_GPU):
            slots.put(slot)


@flow(task_runner=ThreadPoolTaskRunner(max_workers=8))
def reproduce_parallel(targets: list[str] | None = None) -> None:
    """Bring everything up to date, once no other flow runs in this working tree.

    Independent stages run in parallel, up to 8 at once. Evaluations measure latencies, which the leaderboard compares:
    they run one at a time, after everything that does not need them.

    Args:
        targets: DVC stages ('train@teacher') or groups ('train'), with what they depend on; none = the whole pipeline.

    Raises:
        UserError: dvc.yaml has no such target, or a stage failed; those that do not need it have run to their end.
    """
    with process.working_tree(get_run_logger().info):
        pull_data()
        dvc_repro("download")  # it checks the data itself, so that later stages know of any change
        run_stages(stages_to_run(targets))
        publish_leaderboard()


def run_stages(stages: dict[str, list[str]]) -> None:
    """Run stages, given in the form and order of `stages_to_run`, as tasks of the current flow."""
    futures: dict[str, PrefectFuture[None]] = {}
    slots: Slots = SimpleQueue()
    for environment in training_slots():
        slots.put(environment)
    try:
        for stage, dependencies in stages.items():
            if stage.startswith(TIMED):
                wait(list(futures.values()))
            futures[stage] = run_stage.submit(stage, slots, wait_for=[futures[name] for name in dependencies])
            if stage.startswith(TIMED):
                futures[stage].wait()
        wait(list(futures.values()))  # what does not need a stage that failed goes on to its end
    except BaseException:  # a cancelled flow's task threads cannot be interrupted; their processes can
        for _ in futures:
            slots.put(None)
        process.end_all()
        raise
    for future in futures.values():
        future.result()


def training_slots() -> list[dict[str, str]]:
    """The environment of each training that may run at once: one for each GPU, or for the processor if there is none.

    The GPUs are those that CUDA_VISIBLE_DEVICES lists, or all that nvidia-smi does.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = nvidia_gpus() if visible is None else visible.split(",")
    return [{"CUDA_VISIBLE_DEVICES": gpu} for gpu in gpus] or [{}]


def nvidia_gpus() -> list[str]:
    """UUIDs of this machine's GPUs; PyTorch would count them too, but takes seconds to import."""
    command = ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    except (OSError, subprocess.CalledProcessError):
        return []


def main(targets: Annotated[list[str] | None, typer.Argument()] = None) -> None:
    """Run the flow here and now."""
    with mistakes_in_one_line():
        reproduce_parallel(targets)


if __name__ == "__main__":
    typer.run(main)
