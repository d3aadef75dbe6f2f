"""Steps that several flows share."""

from pathlib import Path

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.runtime import flow_run

from flows import process

LEADERBOARD = Path("reports/leaderboard/leaderboard.md")


@task(retries=3, retry_delay_seconds=[5, 30, 120])
def pull_data() -> None:
    """Bring data/raw from the DVC remote, unless it is here."""
    if not any(Path("data/raw").glob("*")):
        process.run(["dvc", "pull", "data.dvc"], get_run_logger().info)


@task(retries=3, retry_delay_seconds=[5, 30, 120])
def push_results(remote: str | None) -> None:
    """Send outs and the run cache to a DVC remote: another clone can then take them over without running anything."""
    process.run(["dvc", "push", "--run-cache", *(["--remote", remote] if remote else [])], get_run_logger().info)


@task
def publish_leaderboard() -> None:
    """Show the leaderboard on the flow run's page."""
    if LEADERBOARD.is_file():
        create_markdown_artifact(LEADERBOARD.read_text(encoding="utf-8"), key="leaderboard")


def dvc_repro(*arguments: str) -> None:
    """`dvc repro`, its log lines in the flow's log. Stages find the flow run's name in LIMELIGHT_FLOW_RUN."""
    command = ["dvc", "--wait-for-lock", "repro", *arguments]
    process.run(command, get_run_logger().info, {"LIMELIGHT_FLOW_RUN": flow_run.get_name() or ""})
