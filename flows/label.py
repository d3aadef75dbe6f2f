"""Flow that labels a large pool of pictures with a teacher's maps, divided over processes or machines.

    python -m limelight.flows.label photos pool --model isnet-general-use --workers 4
    python -m limelight.flows.label photos pool --runner dask --address tcp://scheduler:8786 --store /shared/maps

The work is divided by Prefect's task runners: `processes` of this machine, or a cluster of Dask (extra `label`) or of
Ray (extra `ray`), which is started on this machine unless its address is given. Machines need the same paths.

The dataset holds copies of pictures and maps: it takes as much disk space as they do, except on disks that keep equal
files once (Btrfs, XFS).
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from prefect import flow, get_run_logger, task
from prefect.futures import as_completed
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner

from limelight.foundation.errors import UserError
from limelight.foundation.one_line import mistakes_in_one_line
from limelight.media.sources import scan
from limelight.predict.failures import FAILURES, Failure, list_failures
from limelight.predict.labelling import Teacher, add_maps, check_names, check_replaceable, stores_below, write_dataset

RUNNERS = ("processes", "dask", "ray")


@task(retries=1)
def label_part(teacher: Teacher, store: Path, pictures: Sequence[Path]) -> list[Failure]:
    """Add the maps of some pictures; what a worker that died had done stays done."""
    return add_maps(teacher, store, pictures)


@flow(persist_result=False)
def label(
    pictures: list[str],
    output: str,
    model: str,
    runtime: str = "auto",
    size: int | None = None,
    runner: str = "processes",
    workers: int = 2,
    address: str | None = None,
    threads: int = 1,
    part: int = 64,
    store: str | None = None,
) -> int:
    """Write a dataset of pictures with a teacher's maps as masks: copies, which take the disk space of both.

    Args:
        pictures: files and folders; the dataset itself and the maps' store are left out where they lie in one.
        output: the dataset's folder, for `path` of a dataset in params.yaml.
        model: the teacher: a weights folder or a name.
        runtime, size: as of `limelight predict`.
        runner: 'processes', 'dask' or 'ray'.
        workers: processes of a cluster on this machine.
        address: of a cluster that runs already; its workers must see all paths, and the teacher's name or folder.
        threads: of each worker.
        part: pictures of one task.
        store: where the maps are kept by content; none = the user's cache.

    Returns:
        The number of pictures that failed; they are listed in failures.csv beside the dataset.
    """
    logger, divided = get_run_logger(), task_runner(runner, workers, address)
    check_replaceable(Path(output))
    teacher = Teacher(model, runtime, threads, size)
    root = Path(store) if store else None
    scanned = scan([Path(path) for path in pictures], skip=[Path(output), *stores_below(root)])
    check_names(scanned.sources)
    maps = teacher.store(root)
    paths = [source.path.resolve() for source in scanned.sources]
    parts = [paths[start : start + part] for start in range(0, len(paths), part)]
    logger.info("%d pictures in %d parts; maps in %s", len(paths), len(parts), maps)
    with divided as running:
        futures = [running.submit(label_part, {"teacher": teacher, "store": maps, "pictures": each}) for each in parts]
        failures = list(scanned.refused)
        for done, future in enumerate(as_completed(futures), 1):
            failures += future.result()
            logger.info("%d of %d parts", done, len(parts))
    count = write_dataset(maps, scanned.sources, Path(output))
    list_failures(Path(output).with_name(f"{Path(output).name}.{FAILURES}"), sorted(failures))
    logger.info("%s: %d pictures with maps, %d failed", output, count, len(failures))
    return len(failures)


def task_runner(name: str, workers: int, address: str | None) -> TaskRunner[Any]:
    """Make a task runner of Prefect's.

    Raises:
        UserError: an unknown name, a runner that is not installed, or an address for processes.
    """
    if name not in RUNNERS:
        raise UserError(f"unknown runner {name!r}; choose one of: {', '.join(RUNNERS)}")
    if name == "processes":
        if address is not None:
            raise UserError("processes run on this machine; leave the address out, or choose dask or ray")
        return ProcessPoolTaskRunner(max_workers=workers)
    try:
        if name == "dask":
            from prefect_dask import DaskTaskRunner

            local = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None}
            return DaskTaskRunner(address=address) if address else DaskTaskRunner(cluster_kwargs=local)
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        from prefect_ray import RayTaskRunner
    except ImportError as error:
        extra = "label" if name == "dask" else "ray"
        raise UserError(f"runner {name!r} is not installed; pip install 'limelight[{extra}]'") from error
    return RayTaskRunner(address=address) if address else RayTaskRunner(init_kwargs={"num_cpus": workers})


def main(
    pictures: Annotated[list[str], typer.Argument(help="pictures and folders of pictures")],
    output: Annotated[str, typer.Argument(help="folder of the dataset, for copies of pictures and maps")],
    model: Annotated[str, typer.Option(help="the teacher: a weights folder or a name")],
    runtime: Annotated[str, typer.Option(help="as of limelight predict")] = "auto",
    size: Annotated[int | None, typer.Option(min=1, help="as of limelight predict")] = None,
    runner: Annotated[str, typer.Option(help="processes, dask or ray")] = "processes",
    workers: Annotated[int, typer.Option(min=1, help="processes of this machine")] = 2,
    address: Annotated[str | None, typer.Option(help="of a cluster that runs already")] = None,
    threads: Annotated[int, typer.Option(min=1, help="of each worker")] = 1,
    part: Annotated[int, typer.Option(min=1, help="pictures of one task")] = 64,
    store: Annotated[str | None, typer.Option(help="where maps are kept by content [the user's cache]")] = None,
) -> None:
    """Run the flow here and now. Exit status 1 if pictures failed.

    The dataset holds copies of the pictures and the maps, and takes as much disk space as both.
    """
    with mistakes_in_one_line():
        failed = label(pictures, output, model, runtime, size, runner, workers, address, threads, part, store)
    raise typer.Exit(1 if failed else 0)


if __name__ == "__main__":
    typer.run(main)
