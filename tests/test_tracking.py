"""Tracking against a real SQLite store, and against stores that are not there."""

import http.server
import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from limelight.champions.registry import find_model, holder, register, set_alias
from limelight.config import Params
from limelight.foundation.errors import UserError
from limelight.foundation.files import read_json
from limelight.models.identity import FOLDER_TAG, folder_sha256
from limelight.tracking.journal import FOLDER as JOURNAL
from limelight.tracking.journal import noted_run
from limelight.tracking.provenance import pipeline_key, provenance
from limelight.tracking.runs import log_journal, tracked_run
from limelight.tracking.store import open_store
from limelight.tracking.tracker import Tracker

ROOT = Path(__file__).resolve().parent.parent


def make_params(**tracking: object) -> Params:
    profile = {"data": {"datasets": [{"name": "embedded"}]}, "runs": {"a": {"model": "sdnet"}}}
    tree = {
        "profile": "p",
        "train": {"a": "sdnet"},
        "profiles": {"p": profile},
        "tracking": {"experiment": "test", **tracking},
    }
    return Params.model_validate(tree)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose mlflow.db is there already: creating one takes seconds."""
    folder = tmp_path_factory.mktemp("store")
    with open_store(make_params(uri=f"sqlite:///{folder}/mlflow.db", artifacts=f"{folder}/artifacts").tracking):
        return folder


@pytest.fixture
def params(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """In an empty folder, with an experiment of its own in the shared store."""
    monkeypatch.chdir(tmp_path)
    for name in ("LIMELIGHT_PARENT_RUN", "DVC_STAGE", "RANK"):
        monkeypatch.delenv(name, raising=False)
    return make_params(uri=f"sqlite:///{store}/mlflow.db", artifacts=f"{store}/artifacts", experiment=tmp_path.name)


def runs(params: Params) -> dict[str, object]:
    """Name -> run."""
    with open_store(params.tracking) as (client, experiment):
        return {run.info.run_name: run for run in client.search_runs([experiment])}


def write_weights(folder: Path, sha256: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    architecture = {"model": "sdnet", "family": "sdnet", "form": "training", "parameters": 7}
    provenance = {"licence": "MIT", "sha256": sha256}
    card = {"architecture": architecture, "prepare": {"size": [32, 32]}, "provenance": provenance}
    (folder / "card.json").write_text(json.dumps(card))
    return folder


def test_stages_of_one_pipeline_run_share_a_parent(params: Params, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/index.json").write_text("{}")
    (tmp_path / "data.dvc").write_text("outs:\n- md5: 0123.dir\n  path: data/raw\n")
    (tmp_path / "dvc.lock").write_text("stages:\n  prepare:\n    outs:\n    - path: data/lists\n      md5: 4567.dir\n")
    monkeypatch.setenv("DVC_STAGE", "train@a")
    with tracked_run(params, "train", "a") as tracker:
        tracker.log_params({"run": {"optimiser": {"lr": 0.1}}, "seed": 3})
        for epoch in (1, 2):
            tracker.log_metrics({"loss": 1 / epoch}, epoch)
        tracker.log_artifact(tmp_path / "data.dvc")
        tracker.log_dataset("toy/train", "ab" * 32, tmp_path / "data/index.json")
    with tracked_run(params, "evaluate", "a"):
        pass
    runs_by_name = runs(params)
    train, evaluate = runs_by_name["train a"], runs_by_name["evaluate a"]
    parent = train.data.tags["mlflow.parentRunId"]
    assert evaluate.data.tags["mlflow.parentRunId"] == parent
    assert len(runs_by_name) == 3 and parent in {run.info.run_id for run in runs_by_name.values()}
    assert train.data.params == {"run.optimiser.lr": "0.1", "seed": "3"}
    assert train.data.metrics["loss"] == 0.5
    assert train.inputs.dataset_inputs[0].dataset.name == "toy/train"
    expected = {"stage": "train", "dvc.stage": "train@a", "dvc.data.md5": "0123.dir"}
    expected |= {"dvc.lists.md5": "4567.dir", "params.profile": "p"}
    assert expected.items() <= train.data.tags.items()
    assert {"params.sha256", "data.index.sha256"} <= train.data.tags.keys()
    assert all(run.info.status == "FINISHED" for run in runs_by_name.values())


def test_a_pipeline_has_failed_if_the_newest_run_of_any_stage_has(params: Params):
    def pipeline() -> str:
        with open_store(params.tracking) as (client, experiment):
            log_journal(client, experiment)
        return next(run.info.status for name, run in runs(params).items() if name.startswith("pipeline"))

    def stage(name: str, error: BaseException | None = None) -> None:
        with suppress(ValueError, SystemExit), noted_run(params, name):
            if error:
                raise error

    stage("validate")
    assert pipeline() == "FINISHED"
    stage("evaluate", ValueError("broken"))
    with tracked_run(params, "train", "a"):
        pass
    assert pipeline() == "FAILED"
    stage("evaluate")
    assert pipeline() == "FINISHED"
    stage("evaluate", SystemExit(143))
    assert pipeline() == "KILLED"


def test_a_parent_from_the_environment(params: Params, monkeypatch: pytest.MonkeyPatch):
    with open_store(params.tracking) as (client, experiment):
        parent = client.create_run(experiment, run_name="outer").info.run_id
    monkeypatch.setenv("LIMELIGHT_PARENT_RUN", parent)
    with tracked_run(params, "train", "a"):
        pass
    runs_by_name = runs(params)
    assert runs_by_name.keys() == {"outer", "train a"}
    assert runs_by_name["train a"].data.tags["mlflow.parentRunId"] == parent
    assert runs_by_name["outer"].info.status == "RUNNING"


def test_a_run_that_was_killed_is_continued_and_a_finished_one_is_not(params: Params):
    identities = []
    for error in (SystemExit(143), RuntimeError("x"), None, None):
        try:
            with tracked_run(params, "train", "a", key="k1") as tracker:
                identities.append(tracker.run_id)
                tracker.log_params({"lr": 1 + len(identities)})
                if error:
                    raise error
        except (SystemExit, RuntimeError):
            pass
    assert identities[0] == identities[1]
    assert len(set(identities)) == 3
    with open_store(params.tracking) as (client, _):
        first = client.get_run(identities[0])
        assert first.info.status == "FAILED"
        assert first.data.params == {"lr": "2"}


def test_a_noted_run_is_logged_by_the_next_tracked_one(params: Params, tmp_path: Path):
    Path("reports").mkdir()
    Path("reports/page.json").write_text("{}")
    with noted_run(params, "evaluate", "a") as note:
        note.log_metrics({"mean": {"torch": {"mae": 0.25}}})
        note.log_params({"splits": ["test"]})
        note.log_artifact(Path("reports/page.json"))
        note.log_artifact(Path("reports/gone.json"))
    with pytest.raises(ValueError, match="broken"), noted_run(params, "validate"):
        raise ValueError("broken")
    assert len(list(JOURNAL.glob("*.json"))) == 2
    with tracked_run(params, "compare"):
        pass
    runs_by_name = runs(params)
    evaluated, parent = runs_by_name["evaluate a"], runs_by_name["compare"].data.tags["mlflow.parentRunId"]
    assert evaluated.data.metrics == {"mean.torch.mae": 0.25}
    assert evaluated.data.params == {"splits": "['test']"}
    assert (
        evaluated.data.tags["mlflow.parentRunId"] == parent == runs_by_name["validate"].data.tags["mlflow.parentRunId"]
    )
    assert evaluated.info.end_time <= runs_by_name["compare"].info.start_time
    assert (evaluated.info.status, runs_by_name["validate"].info.status) == ("FINISHED", "FAILED")
    with open_store(params.tracking) as (client, _):
        assert [file.path for file in client.list_artifacts(evaluated.info.run_id)] == ["page.json"]
    assert not list(JOURNAL.glob("*.json"))


def test_notes_outlast_a_store_that_is_down(params: Params, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "bad.db").write_text("no database")
    down = params.model_copy(update={"tracking": params.tracking.model_copy(update={"uri": "sqlite:///bad.db"})})
    with noted_run(down, "evaluate", "a") as note:
        note.log_metrics({"mae": 0.25})
    with tracked_run(down, "compare"):
        pass
    assert "tracking stopped" in capsys.readouterr().err
    with tracked_run(params, "compare"):
        pass
    assert runs(params)["evaluate a"].data.metrics == {"mae": 0.25}


def test_what_a_failing_store_has_half_logged_is_logged_once(params: Params, monkeypatch: pytest.MonkeyPatch):
    with noted_run(params, "evaluate", "a") as note:
        note.log_metrics({"mae": 0.25})
    with monkeypatch.context() as patch:
        patch.setattr(Tracker, "log_metrics", lambda tracker, *_: tracker._attempt(lambda _: 1 / 0))
        with tracked_run(params, "compare"):
            pass
    assert len(list(JOURNAL.glob("*.json"))) == 1
    with tracked_run(params, "compare"):
        pass
    with open_store(params.tracking) as (client, experiment):
        names = [run.info.run_name for run in client.search_runs([experiment])]
    assert names.count("evaluate a") == 1 and runs(params)["evaluate a"].data.metrics == {"mae": 0.25}


def test_figures_that_json_lacks_are_noted_as_null(params: Params):
    with noted_run(params, "evaluate", "a") as note:
        note.log_metrics({"mean": {"mae": float("nan")}, "f": 0.5})
        note.log_params({"limits": [float("inf"), 1.0]})
    (entry,) = map(read_json, JOURNAL.glob("*.json"))
    assert entry["metrics"] == {"mean": {"mae": None}, "f": 0.5} and entry["params"] == {"limits": [None, 1.0]}
    with tracked_run(params, "compare"):
        pass
    assert runs(params)["evaluate a"].data.metrics == {"f": 0.5}


def test_an_error_outlasts_a_journal_that_cannot_be_written(params: Params):
    Path("work").write_text("no folder")
    with pytest.raises(ValueError, match="broken"), noted_run(params, "validate"):
        raise ValueError("broken")


def test_nothing_is_noted_where_tracking_is_off(params: Params):
    off = params.model_copy(update={"tracking": params.tracking.model_copy(update={"enabled": False})})
    with noted_run(off, "evaluate", "a"):
        pass
    assert not JOURNAL.exists()


def test_weights_become_a_registered_champion(params: Params, tmp_path: Path):
    folder, sha256 = write_weights(tmp_path / "artifacts/a", f"{tmp_path.name:0>64}"), f"{tmp_path.name:0>64}"
    tracking = params.tracking.model_copy(update={"registered_model": f"model-{tmp_path.name}"})
    with tracked_run(params, "train", "a") as tracker:
        model_id = tracker.log_weights(folder, {"val_mae": 0.25})
    assert find_model(tracking, folder_sha256(folder)) == model_id
    assert find_model(tracking, sha256) is None
    assert holder(tracking) is None
    version = register(tracking, model_id)
    assert register(tracking, model_id) == version
    set_alias(tracking, "champion", version)
    version_held = holder(tracking)
    assert (version_held.version, version_held.model_id, version_held.sha256) == (version, model_id, sha256)
    assert version_held.folder_sha256 == folder_sha256(folder)
    assert version_held.metrics == {"val_mae": 0.25}
    with open_store(tracking) as (client, _):
        model = client.get_logged_model(model_id)
        assert model.status == "READY"
        names = {Path(item.path).name for item in client.list_logged_model_artifacts(model_id)}
        assert names == {"model.safetensors", "card.json"}
        assert client.get_run(tracker.run_id).data.tags["weights.sha256"] == sha256


def test_a_model_whose_upload_failed_is_not_found(params: Params, tmp_path: Path):
    folder = write_weights(tmp_path / "artifacts/a", f"{tmp_path.name:1>64}")
    sha256 = folder_sha256(folder)
    with open_store(params.tracking) as (client, experiment_id):
        client.create_logged_model(experiment_id, name="a", tags={FOLDER_TAG: sha256})
    assert find_model(params.tracking, sha256) is None
    with tracked_run(params, "train", "a") as tracker:
        model_id = tracker.log_weights(folder, {})
    assert model_id is not None and find_model(params.tracking, sha256) == model_id


def test_names_that_mlflow_refuses_are_logged_in_another_spelling(params: Params):
    with noted_run(params, "download") as note:
        note.log_params({"DUTS (clean).source": "here"})
        note.log_metrics({"BASNet (2019)": {"mae": 0.5}})
    with tracked_run(params, "train", "a"):
        pass
    assert not list(JOURNAL.glob("*.json"))
    data = runs(params)["download"].data
    assert data.params == {"DUTS _clean_.source": "here"} and data.metrics == {"BASNet _2019_.mae": 0.5}


def work_through(params: Params, tmp_path: Path) -> None:
    """All that a stage asks of a tracker."""
    with tracked_run(params, "train", "a") as tracker:
        tracker.log_params({"a": 1})
        tracker.log_metrics({"loss": 1.0}, 1)
        tracker.set_tags({"a": "b"})
        tracker.log_artifact(tmp_path)
        assert tracker.log_weights(tmp_path, {}) is None


@pytest.fixture
def silent_server() -> Iterator[str]:
    """Takes connections and never answers."""

    class Silent(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            over.wait(30)

    over = threading.Event()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Silent)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    over.set()
    server.shutdown()


@pytest.mark.slow
def test_a_silent_server_costs_one_line_and_a_few_seconds(
    silent_server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    work_through(make_params(uri=silent_server), tmp_path)
    output = capsys.readouterr().err
    assert output.startswith("warning: MLflow tracking stopped: ") and output.count("\n") == 1


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "postgresql://user:pw@127.0.0.1:9/db", "nonsense://x"])
def test_an_unreachable_store(uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    work_through(make_params(uri=uri), tmp_path)
    output = capsys.readouterr().err
    assert output.count("warning: MLflow tracking stopped") == 1


def test_a_damaged_database(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "mlflow.db").write_text("not a database, but long enough to look like one " * 100)
    work_through(make_params(uri=f"sqlite:///{tmp_path}/mlflow.db"), tmp_path)
    assert "file is not a database; the numbers are in the reports" in capsys.readouterr().err


@pytest.mark.slow
def test_a_locked_database(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    connection = sqlite3.connect(tmp_path / "mlflow.db")
    connection.execute("CREATE TABLE t (x)")
    connection.execute("BEGIN EXCLUSIVE")
    work_through(make_params(uri=f"sqlite:///{tmp_path}/mlflow.db"), tmp_path)
    connection.close()
    assert "database is locked" in capsys.readouterr().err


def test_a_store_that_dies_half_way(params: Params, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with tracked_run(params, "train", "a") as tracker:
        tracker.log_metrics({"loss": 1.0}, 1)
        tracker.run_id = "0" * 32  # as after the store was replaced by an empty one
        for epoch in (2, 3):
            tracker.log_metrics({"loss": 1.0}, epoch)
    assert capsys.readouterr().err.count("warning: MLflow tracking stopped") == 1


def test_the_registry_says_that_it_is_down():
    with pytest.raises(UserError, match=r"the model registry at http://127.0.0.1:9 failed: .*is the tracker running\?"):
        holder(make_params(uri="http://127.0.0.1:9").tracking)


def test_where_it_is_off_mlflow_is_not_even_imported(tmp_path: Path):
    code = (
        "import sys; from pathlib import Path; from tests.test_tracking import make_params, work_through;"
        "work_through(make_params(enabled=False), Path('.'));"
        "assert not {'mlflow', 'torch', 'pandas'} & sys.modules.keys(), 'imported'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_other_processes_of_a_parallel_training_do_not_track(params: Params, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RANK", "1")
    with tracked_run(params, "train", "a") as tracker:
        assert tracker.run_id is None
    assert runs(params) == {}


@pytest.mark.slow
def test_stages_that_start_together_on_an_empty_store(tmp_path: Path):
    code = (
        "from tests.test_tracking import make_params; from limelight.tracking.runs import tracked_run;"
        f"p = make_params(uri='sqlite:///{tmp_path}/mlflow.db', artifacts='{tmp_path}/artifacts')\n"
        "with tracked_run(p, 'train', 'a') as t: assert t.run_id; t.log_metrics({'loss': 1.0}, 1)"
    )
    # Not in the repository: what changes there meanwhile (dvc.lock, say) would make them parts of two pipelines.
    places = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": str(ROOT)}}
    children = [subprocess.Popen([sys.executable, "-c", code], **places) for _ in range(2)]
    assert [child.wait() for child in children] == [0, 0]
    with open_store(make_params(uri=f"sqlite:///{tmp_path}/mlflow.db").tracking) as (client, experiment):
        tracked_runs = client.search_runs([experiment])
        assert len({run.data.tags.get("mlflow.parentRunId") for run in tracked_runs} - {None}) == 1
        assert len(tracked_runs) == 3


@pytest.mark.parametrize("content", ["", "stages:\n", "stages: {prepare:", "- 1\n", "stages:\n  prepare:\n    outs:\n"])
def test_a_lock_file_that_dvc_is_writing_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str):
    monkeypatch.chdir(tmp_path)
    Path("dvc.lock").write_text(content)
    assert "dvc.lists.md5" not in provenance(make_params())
    Path("dvc.lock").write_text("stages: {prepare: {outs: [{path: data/lists, md5: abc}]}}")
    assert provenance(make_params())["dvc.lists.md5"] == "abc"


def test_pipeline_key_follows_code_settings_and_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    base = provenance(make_params())
    assert "mlflow.source.git.commit" not in base
    changed = provenance(make_params(experiment="other"))
    (tmp_path / "data").mkdir()
    (tmp_path / "data/index.json").write_text("{}")
    keys = {pipeline_key(base), pipeline_key(changed), pipeline_key(provenance(make_params()))}
    assert len(keys) == 3
