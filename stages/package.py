"""package: the champion of each task as an exported bento, checked by a request to it."""

import shutil
from pathlib import Path

from limelight.config import Package, Params
from limelight.stages.runner import stage_main

REPORT, WORK = Path("reports/package"), Path("work/package")


def run(params: Params) -> None:
    """reports/leaderboard/champion.json -> artifacts/bento/*.bento and reports/package/metrics.json.

    Raises:
        UserError: there is no champion, or a bento does not start or needs code that it lacks, or its answers differ
            from its weights' predictions.
    """
    from limelight.champions.record import RECORD, champions
    from limelight.foundation.errors import UserError
    from limelight.foundation.files import write_json
    from limelight.tracking.runs import tracked_run

    chosen = champions()
    if not chosen:
        raise UserError(f"nothing to package: there is no champion yet ({RECORD}); run dvc repro")
    with tracked_run(params, "package") as tracker:
        facts = {task: package(task, params.active.package) for task in chosen}
        write_json(REPORT / "metrics.json", facts)
        for task, task_facts in facts.items():
            tracker.log_params({task: {key: value for key, value in task_facts.items() if isinstance(value, str)}})
            tracker.log_metrics({task: {key: value for key, value in task_facts.items() if not isinstance(value, str)}})
    shutil.rmtree(WORK)


def package(task: str, settings: Package) -> dict[str, str | float]:
    """Build, start and check the bento of one task's champion; return its facts and figures.

    Raises:
        UserError: as `run`.
    """
    from limelight.champions.record import champion
    from limelight.foundation.files import sha256_file
    from limelight.models.identity import folder_sha256
    from limelight.models.weights import read_card
    from limelight.packaging.bento import build_bento, unpack
    from limelight.packaging.isolation import check_self_contained
    from limelight.packaging.proof import served_difference
    from limelight.packaging.serving import served
    from limelight.tasks import get_task

    folder, runtime = champion(task)
    target = get_task(task).service.bento
    tag = build_bento(folder, runtime, settings, target, WORK)
    unpacked, environment = unpack(target, WORK / "unpacked"), {"BENTOML_HOME": str((WORK / "served").resolve())}
    check_self_contained(unpacked, environment)
    with served(str(unpacked), environment) as url:
        difference = served_difference(url, folder, runtime)
    megabytes = round(target.stat().st_size / 1e6, 3)
    print(f"{target}: {tag}, {megabytes:.1f} MB, served {runtime} of {folder.name}")
    return {
        "artifact": folder.name,
        "runtime": runtime,
        "tag": tag,
        "weights_sha256": read_card(folder).provenance.sha256,
        "folder_sha256": folder_sha256(folder),
        "bento_sha256": sha256_file(target),
        "megabytes": megabytes,
        "served_difference": difference,
    }


if __name__ == "__main__":
    stage_main(run)
