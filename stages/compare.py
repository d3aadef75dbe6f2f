"""compare: the leaderboard over everything evaluated, and the champion of each task by the rule in params.yaml."""

from pathlib import Path

from limelight.config import Params
from limelight.stages.runner import stage_main

REPORTS, BOARD = Path("reports/eval"), Path("reports/leaderboard")


def run(params: Params) -> None:
    """reports/eval/*/ and evaluate.maps -> reports/leaderboard/, logged to the tracker."""
    from limelight.data.manifest import manifest_trees, read_manifest
    from limelight.reporting.compare import compare, write_leaderboard
    from limelight.reporting.leaderboard import tracked_results
    from limelight.tracking.runs import tracked_run

    settings = params.active.evaluate
    samples = read_manifest(splits=settings.splits)
    board, pictures = compare(
        REPORTS,
        list(params.evaluate),
        samples,
        settings,
        params.active.compare,
        params.teachers,
        _reproduce(params),
        trees=manifest_trees(),
    )
    write_leaderboard(board, pictures, BOARD)
    with tracked_run(params, "compare") as tracker:
        log = tracked_results(board, BOARD)
        tracker.log_params(log["params"])
        tracker.log_metrics(log["metrics"])
        for path in log["artifacts"]:
            tracker.log_artifact(path)
    for task, contest in board.contests.items():
        best = contest.champion
        print(f"champion of {task}: {best.artifact} ({best.runtime}), {best.reason}")


def _reproduce(params: Params) -> dict[str, str]:
    """Collect what is needed to reproduce the leaderboard."""
    from limelight.tracking.provenance import provenance

    tags = provenance(params)
    revision = tags.get("mlflow.source.git.commit")
    checkout = f"git checkout {revision[:12]} && " if revision else ""
    command = f"{checkout}dvc repro compare"
    return {"command": command, "profile": params.profile, "dirty": tags.get("git.dirty", "unknown")}


if __name__ == "__main__":
    stage_main(run)
