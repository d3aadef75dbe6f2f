"""A project with a run and a registered champion, moved and copied: its MLflow store goes with it.

Each step is a process of its own, since MLflow keeps a store open under its relative URI.
"""

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from limelight.champions.registry import holder
from limelight.config import Tracking
from limelight.foundation.errors import UserError
from limelight.tracking.store import open_store
from limelight.tracking.store_home import check_reachable, lost_versions, moved_from, relocate_paths
from tests.forks import Forks

pytestmark = pytest.mark.slow
Python = Callable[[Path, str], None]

LOG = """
from pathlib import Path
from tests.test_tracking import make_params, write_weights
from limelight.champions.registry import register, set_alias
from limelight.tracking.runs import tracked_run
params = make_params()
folder = write_weights(Path("artifacts/{name}"), "{name}" * 64)
with tracked_run(params, "train", "{name}") as tracker:
    tracker.log_artifact(folder / "card.json")
    set_alias(params.tracking, "champion", register(params.tracking, tracker.log_weights(folder, {{}})))
"""
DOWNLOAD = """
import mlflow
from tests.test_tracking import make_params
from limelight.tracking.store import open_store
with open_store(make_params().tracking) as (client, _):
    mlflow.artifacts.download_artifacts("models:/limelight@champion", dst_path="downloaded")
"""
UNTAG = "DELETE FROM experiment_tags WHERE key = 'limelight.home'"


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    stores = ("mlflow.store.tracking.sqlalchemy_store", "mlflow.store.model_registry.sqlalchemy_store")
    modules = ("mlflow", *stores, "limelight.champions.registry", "limelight.cli.doctor", "tests.test_tracking")
    forks = Forks(modules, tmp_path_factory.mktemp("forks"))
    yield forks
    forks.close()


@pytest.fixture
def python(forks: Forks, monkeypatch: pytest.MonkeyPatch) -> Python:
    """python(project, code) runs `python -c code` in the project's folder."""
    for name in ("LIMELIGHT_PARENT_RUN", "DVC_STAGE", "RANK"):
        monkeypatch.delenv(name, raising=False)

    def run(project: Path, code: str) -> None:
        done = forks.start(code, folder=project).wait()
        assert done.returncode == 0, done.stderr

    return run


def sql(project: Path, statement: str) -> list[tuple]:
    with closing(sqlite3.connect(project / "mlflow.db")) as connection, connection:
        return connection.execute(statement).fetchall()


def locations(project: Path) -> set[str]:
    union = " UNION ".join(
        f"SELECT {column} FROM {table}"
        for table, column in (
            ("experiments", "artifact_location"),
            ("runs", "artifact_uri"),
            ("logged_models", "artifact_location"),
            ("model_versions", "storage_location"),
        )
    )
    return {row[0] for row in sql(project, union)}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("made") / "my photos 100%25 é"


@pytest.fixture
def made(place: Path, python: Python) -> Path:
    """A project with a run, weights and a champion, in a folder with a name that URIs escape."""
    if not place.exists():
        place.mkdir()
        python(place, LOG.format(name="a"))
    return place


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Iterator[Path]:
    """The same project as it was made there: moved away, and put back for the next test."""
    kept = tmp_path / "kept"
    shutil.copytree(made, kept)
    yield made
    shutil.rmtree(made, ignore_errors=True)
    kept.rename(made)


@pytest.mark.parametrize("tagged", [True, False], ids=["tagged", "made by an older version"])
def test_a_moved_project_takes_its_store_along(project: Path, python: Python, tmp_path: Path, tagged: bool):
    if not tagged:
        sql(project, UNTAG)
    there = project.rename(tmp_path / "B b")
    python(there, DOWNLOAD + LOG.format(name="b"))
    assert not project.exists()
    assert all(one.startswith((str(there), there.as_uri())) for one in locations(there))
    assert len(list(there.glob("mlartifacts/*/artifacts/card.json"))) == 2
    assert json.loads((there / "downloaded/card.json").read_text())["provenance"]["sha256"] == "a" * 64


def test_a_copy_is_independent(project: Path, python: Python, tmp_path: Path):
    before = contents(project)
    there = tmp_path / "copy"
    shutil.copytree(project, there)
    python(there, DOWNLOAD + LOG.format(name="b"))
    assert contents(project) == before
    assert (there / "downloaded/model.safetensors").is_file()
    assert len(list(there.glob("mlartifacts/models/*/artifacts/card.json"))) == 2


def test_a_root_elsewhere_stays(project: Path, python: Python, tmp_path: Path):
    """One that was chosen, on this machine or not."""
    elsewhere = tmp_path / "disk"
    elsewhere.mkdir()
    sql(project, f"UPDATE experiments SET artifact_location = 'file://{elsewhere}' WHERE name = 'test'")
    sql(project, "UPDATE runs SET artifact_uri = 's3://bucket/runs/1' WHERE name = 'train a'")
    there = project.rename(tmp_path / "B")
    python(there, LOG.format(name="b"))
    assert {f"file://{elsewhere}", "s3://bucket/runs/1"} <= locations(there)
    assert list(elsewhere.glob("*/artifacts/card.json")) and not project.exists()


def test_a_champion_without_files_is_an_error(project: Path, tmp_path: Path):
    project = project.rename(tmp_path / "B")
    tracking = Tracking(uri=f"sqlite:///{project}/mlflow.db", experiment="test")
    assert holder(tracking).version == "1" and lost_versions(tracking) == []
    (weights,) = project.glob("mlartifacts/models/*/artifacts/model.safetensors")
    weights.unlink()
    with pytest.raises(UserError, match=r"^champion version 1 of limelight has lost its files: .*; restore it, or"):
        holder(tracking)
    assert lost_versions(tracking) == [f"champion version 1 of limelight: {weights.parent}"]


def test_doctor_sees_a_store_that_was_moved_and_one_that_lost_files(project: Path, forks: Forks, tmp_path: Path):
    there = project.rename(tmp_path / "B")
    (there / "params.yaml").write_text(
        "profile: p\ntrain: {}\ntracking: {experiment: test}\n"
        "profiles: {p: {data: {datasets: [{name: embedded}]}, runs: {}}}\n"
    )

    shutil.rmtree(there / "mlartifacts")
    done = forks.start("from limelight.cli.main import main; main()", "doctor", "--json", folder=there).wait()
    findings = {finding["what"]: finding for finding in json.loads(done.stdout)}
    assert (
        findings["tracker"]["state"] == "note" and f"was made in {project}; the next run" in findings["tracker"]["text"]
    )
    assert findings["registry"]["state"] == "broken"
    assert f"champion version 1 of limelight: {there}/mlartifacts/models" in findings["registry"]["text"]


def test_a_root_whose_folder_is_gone_is_not_made_anew(project: Path, tmp_path: Path):
    project = project.rename(tmp_path / "B")
    sql(project, f"UPDATE experiments SET artifact_location = 'file://{tmp_path}/unmounted/root' WHERE name = 'test'")
    with (
        pytest.raises(UserError, match=r"unmounted/root, and .*unmounted is gone; restore it, or give another"),
        open_store(Tracking(uri=f"sqlite:///{project}/mlflow.db", experiment="test")),
    ):
        pass
    assert not (tmp_path / "unmounted").exists()
    check_reachable("s3://bucket/runs")
    check_reachable("mlflow-artifacts:/1")


def test_the_paths_follow_together_or_not_at_all(project: Path, tmp_path: Path):
    there = project.rename(tmp_path / "B")
    tracking = Tracking(uri=f"sqlite:///{there}/mlflow.db", experiment="test")
    before = locations(there)
    sql(there, "CREATE TRIGGER t BEFORE UPDATE ON model_versions BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
    with pytest.raises(sqlite3.Error, match="disk is full"):
        relocate_paths(tracking)
    assert locations(there) == before and moved_from(tracking) == project
