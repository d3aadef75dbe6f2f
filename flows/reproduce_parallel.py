"""Flow with one task per DVC stage, for stages of minutes or hours: each task adds about a second."""

from typing import Annotated

import typer
from prefect import flow, task
from prefect.concurrency.sync import concurrency
from prefect.futures import PrefectFuture
from prefect.task_runners import ThreadPoolTaskRunner

from limelight.flows import process
from limelight.flows.graph import stages_to_run
from limelight.flows.tasks import dvc_repro, publish_leaderboard, pull_data

NEEDS_GPU = ("train@", "finetune@", "distill@", "finetune_distill@")


@task(task_run_name="{stage}")
def run_stage(stage: str) -> None:
    """Run one stage by itself. Trainings take turns on the GPUs: the limit 'limelight-gpu' has one slot for each."""
    if stage.startswith(NEEDS_GPU):
        with concurrency("limelight-gpu", occupy=1, strict=False):
            dvc_repro("--single-item", stage)
    else:
        dvc_repro("--single-item", stage)


@flow(task_runner=ThreadPoolTaskRunner(max_workers=8))
def reproduce_parallel(targets: list[str] | None = None) -> None:
    """Bring everything up to date, running independent stages in parallel.

    Args:
        targets: DVC stages such as 'train@teacher', with what they depend on; none = the whole pipeline.
    """
    pull_data()
    dvc_repro("download")  # it checks the data itself, so that later stages know of any change
    futures: dict[str, PrefectFuture[None]] = {}
    try:
        for stage, dependencies in stages_to_run(targets).items():
            futures[stage] = run_stage.submit(stage, wait_for=[futures[name] for name in dependencies])
        for future in futures.values():  # what does not need a stage that failed goes on to its end
            future.wait()
    except BaseException:  # a cancelled flow's task threads cannot be interrupted; their processes can
        process.end_all()
        raise
    for future in futures.values():
        future.result()
    publish_leaderboard()


def main(targets: Annotated[list[str] | None, typer.Argument()] = None) -> None:
    """Run the flow here and now."""
    reproduce_parallel(targets)


if __name__ == "__main__":
    typer.run(main)
