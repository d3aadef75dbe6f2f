"""Promotion of the leaderboard's champion in the MLflow registry: a flow, since it changes stores outside the tree."""

from typing import Annotated, Any

import typer
from prefect import flow, get_run_logger, pause_flow_run, task
from prefect.input import RunInput

from limelight.champions.nomination import Nomination, check_packaged, nominate, set_champion
from limelight.config import load_params
from limelight.flows import process
from limelight.foundation.errors import UserError
from limelight.foundation.one_line import mistakes_in_one_line
from limelight.tasks import DEFAULT


class Approval(RunInput):
    """A person's answer on the flow run's page."""

    approve: bool


def no_mistake(_task: Any, _run: Any, state: Any) -> bool:
    """Whether a retry can help: not with a mistake that the user has to correct."""
    return not isinstance(state.result(raise_on_failure=False), UserError)


@task(retries=2, retry_delay_seconds=10, retry_condition_fn=no_mistake)
def register_challenger(what: str) -> Nomination:
    """Register the leaderboard's champion as a version with the alias 'challenger'."""
    return nominate(load_params(), what)


@task(retries=2, retry_delay_seconds=10, retry_condition_fn=no_mistake)
def make_champion(nomination: Nomination) -> None:
    """Move the alias 'champion' to the nominated version."""
    set_champion(load_params(), nomination)


@task(retries=3, retry_delay_seconds=[5, 30, 120])
def push_bento(remote: str) -> None:
    """Push the exported bento to a DVC remote, from which a server gets it by `dvc pull package`."""
    process.run(["dvc", "push", "--remote", remote, "package"], get_run_logger().info)


@flow
def promote(ask: bool = False, remote: str | None = None, what: str = DEFAULT) -> bool:
    """Promote the leaderboard's champion if the rule of params.yaml prefers it.

    Args:
        ask: wait up to a day for a person's approval, given on the flow run's page.
        remote: DVC remote that receives the champion's bento; none = it is not pushed.
        what: the task whose champion it is: saliency or open-vocabulary.

    Returns:
        Whether the champion changed.

    Raises:
        UserError: there is nothing to promote, its files have changed since, or the bento to push holds other weights.
    """
    log = get_run_logger()
    nomination = register_challenger(what)
    log.info("version %s, %s: %s", nomination.version, nomination.artifact, nomination.reason)
    if not nomination.better:
        return False
    if ask and not pause_flow_run(wait_for_input=Approval, timeout=24 * 3600).approve:
        log.info("version %s was not approved and stays challenger", nomination.version)
        return False
    if remote:  # first: a run after one whose push failed finds no better version to push
        check_packaged(nomination)
        push_bento(remote)
    make_champion(nomination)
    log.info("version %s is champion", nomination.version)
    return True


def main(ask: bool = False, remote: Annotated[str | None, typer.Option()] = None, what: str = DEFAULT) -> None:
    """Run the flow here and now. Exit status 2 after a mistake."""
    with mistakes_in_one_line():
        promote(ask, remote, what)


if __name__ == "__main__":
    typer.run(main)
