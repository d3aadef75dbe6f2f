"""The default flow: one `dvc repro`. DVC decides what must run; Prefect adds a machine, a log and a history."""

from typing import Annotated

import typer
from prefect import flow, get_run_logger

from limelight.flows import process
from limelight.flows.tasks import dvc_repro, publish_leaderboard, pull_data
from limelight.foundation.one_line import mistakes_in_one_line


@flow
def reproduce(targets: list[str] | None = None, force: bool = False) -> None:
    """Bring everything up to date, once no other flow runs in this working tree.

    Args:
        targets: DVC stages such as 'train@teacher'; none = the whole pipeline.
        force: run stages even where nothing changed.
    """
    with process.working_tree(get_run_logger().info):
        pull_data()
        dvc_repro(*(["--force"] if force else []), *(targets or []))
        publish_leaderboard()


def main(targets: Annotated[list[str] | None, typer.Argument()] = None, force: bool = False) -> None:
    """Run the flow here and now, with the server of PREFECT_API_URL or, without one, a temporary one."""
    with mistakes_in_one_line():
        reproduce(targets, force)


if __name__ == "__main__":
    typer.run(main)
