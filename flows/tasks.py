"""Steps that several flows share."""

from collections.abc import Mapping
from pathlib import Path

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.runtime import flow_run

from limelight.flows import process

LEADERBOARD = Path("reports/leaderboard/leaderboard.md")


@task(retries=3, retry_delay_seconds=[5, 30, 120])
def pull_data() -> None:
    """Pull data/raw from the DVC remote, unless it is present."""
    if not any(Path("data/raw").glob("*")):
        process.run(["dvc", "pull", "data.dvc"], get_run_logger().info)


@task(retries=3, retry_delay_seconds=[5, 30, 120])
def push_results(remote: str | None) -> None:
    """Push outs and the run cache to a DVC remote, so that another clone can use them without running anything."""
    if store := store_within(remote):
        get_run_logger().warning(
            "the DVC remote is %s, a folder of this working tree, which other machines cannot reach; for one that they "
            "share: dvc remote add -d shared <url>, in both clones",
            store,
        )
    process.run(["dvc", "push", "--run-cache", *(["--remote", remote] if remote else [])], get_run_logger().info)


def store_within(remote: str | None) -> Path | None:
    """The folder of a DVC remote's files if it lies within this working tree; else None.

    Args:
        remote: its name; none = the default one.
    """
    from dvc.config import Config

    config = Config.from_cwd()
    url = config["remote"].get(remote or config["core"].get("remote"), {}).get("url", "")
    store = Path(url).resolve()  # DVC has made it absolute where it is a path
    return store if Path(url).is_absolute() and store.is_relative_to(Path.cwd()) else None


@task
def publish_leaderboard() -> None:
    """Show the leaderboard on the flow run's page."""
    if LEADERBOARD.is_file():
        create_markdown_artifact(LEADERBOARD.read_text(encoding="utf-8"), key="leaderboard")


def dvc_repro(*arguments: str, env: Mapping[str, str] | None = None) -> None:
    """Run `dvc repro` with its output in the flow's log. Stages find the flow run's name in LIMELIGHT_FLOW_RUN."""
    command = ["dvc", "--wait-for-lock", "repro", *arguments]
    process.run(command, get_run_logger().info, {"LIMELIGHT_FLOW_RUN": flow_run.get_name() or "", **(env or {})})
