"""Flow that runs one DVC target on the machine with the GPU.

Results are transferred by DVC, not by git: the worker pushes outs and run cache, and the requester runs
`dvc repro --pull <target>` in their own clone, which checks the results out instead of computing them.
"""

import typer
from prefect import flow, get_run_logger

from limelight.flows import process
from limelight.flows.tasks import dvc_repro, pull_data, push_results
from limelight.foundation.one_line import mistakes_in_one_line


@flow
def train_on_gpu(target: str, remote: str | None = None) -> None:
    """Run one stage with everything it depends on, and push the results to a DVC remote.

    The flow waits for any other in its working tree. An interrupted run resumes from its last checkpoint and gives the
    same weights.

    Args:
        target: a DVC stage such as 'train@teacher'.
        remote: name of the DVC remote; none = the default one.
    """
    with process.working_tree(get_run_logger().info):
        pull_data()
        dvc_repro(target)
        push_results(remote)


def main(target: str, remote: str | None = None) -> None:
    """Run the flow here and now."""
    with mistakes_in_one_line():
        train_on_gpu(target, remote)


if __name__ == "__main__":
    typer.run(main)
