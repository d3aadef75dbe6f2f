"""The whole pipeline by DVC, on a few rendered scenes: from nothing to a bento that answers."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.checkout import copy_checkout, dvc

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of this working tree, as a git checkout of its own, with settings for a minute."""
    run = {"size": {"input": 32}, "epochs": 1, "batch": {"size": 4}}
    student = {"objective": {"name": "distilled"}, "samples": {"unlabelled": ["unlabelled"]}}
    return copy_checkout(
        tmp_path,
        profile="tiny",
        train={"teacher": "scfnet"},
        distill={"student": {"family": "sdnet", "teacher": "teacher"}},
        deploy={"student": "sdnet"},
        evaluate={"student-deploy": "sdnet"},
        profiles={
            "tiny": {
                "data": {"datasets": [{"name": "scenes", "render": {"scenes": 48, "size": 48}}]},
                "validation": {"min_rows": 10, "samples": 8, "max_empty_masks": 1, "max_full_masks": 1},
                "runs": {
                    "teacher": {**run, "model": "scfnet-mobilenetv3"},
                    "student": {**run, "model": "sdnet", **student},
                },
                "package": {},
                "compare": {},
                "deploy": {"samples": 2, "max_mae_change": 1, "max_f_change": 1, "runtimes": ["openvino-fp32"]},
                "evaluate": {"latency_runs": 2, "overlays": 1},
            }
        },
    )


def stale(project: Path) -> set[str]:
    """The stages that `dvc status` calls changed, but for the one that always is; data/raw is not here."""
    answer = dvc(project, "status", "--json")
    return set(json.loads(answer[answer.index("{") :])) - {"download", "data.dvc"}


def append(path: Path) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write("# changed\n")


@pytest.mark.slow
def test_from_nothing_to_a_bento(project: Path) -> None:
    dvc(project, "repro")
    champion = json.loads((project / "reports/leaderboard/champion.json").read_text())
    assert champion["saliency"]["artifact"] == "student-deploy"
    assert (project / "artifacts/bento/limelight.bento").stat().st_size > 1_000_000
    assert "wFm" in dvc(project, "metrics", "show")
    runs = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sqlite3; print(sqlite3.connect('mlflow.db').execute('select count(*) from runs').fetchone())",
        ],
        cwd=project,
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(runs.stdout.strip("(,)\n")) >= 5  # a parent, and train, distill, compare, package

    again = dvc(project, "repro")
    assert again.count("Running stage") == 1  # download looks at the data every time

    # A family's code is what its own runs wait for, and no others.
    append(project / "models/diffusion/ensemble.py")
    append(project / "models/families.py")
    assert stale(project) == set()
    append(project / "models/scfnet/presets.py")
    assert stale(project) == {"train@teacher"}
    shutil.copyfile(ROOT / "models/scfnet/presets.py", project / "models/scfnet/presets.py")

    # A changed setting runs what depends on it and nothing else.
    changed = yaml.safe_load((project / "params.yaml").read_text())
    changed["profiles"]["tiny"]["compare"] = {"saliency": {"metric": "mae"}}
    (project / "params.yaml").write_text(yaml.safe_dump(changed))
    plan = dvc(project, "repro", "--dry")
    assert "stages.compare" in plan and "stages.evaluate" not in plan and "stages.train" not in plan

    # The embedded pack is restored where it is asked for; when it has changed it is refused, not hashed anew.
    changed["profiles"]["tiny"]["data"] = {"datasets": [{"name": "embedded"}]}
    (project / "params.yaml").write_text(yaml.safe_dump(changed))
    assert not (project / "data/raw").exists()
    dvc(project, "repro", "download")
    with (project / "data/raw/embedded.zip").open("ab") as handle:
        handle.write(b"x")
    assert "embedded.zip" in dvc(project, "repro", "download", fails=True)
