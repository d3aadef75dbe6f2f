"""Published weights as artifacts of the pipeline: dvc makes them by name, and keeps what was made by hand."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from limelight.config import load_params
from limelight.foundation.errors import UserError
from limelight.models.shipped import FOLDER
from limelight.models.weights import load_weights, read_card
from limelight.stages.weights import run
from tests.checkout import copy_checkout, dvc
from tests.file_server import FileServer, serving
from tests.models.published_scfnet import published_student, write_pickle

NAME, MINE = "scfnet-mobilenetv3.fs", "mine"


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """A mirror that has one of the files without a published hash; the user's cache is empty."""
    paddle = write_pickle(tmp_path / "net.pdparams", published_student())
    with serving() as server:
        server.files[f"/{NAME}/{NAME}.pdparams"] = paddle.read_bytes()
        monkeypatch.setenv("LIMELIGHT_WEIGHTS_URL", server.address)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.delenv("LIMELIGHT_OFFLINE", raising=False)
        yield server


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A checkout that imports published weights and some of its own, and evaluates both."""
    (tmp_path / "project").mkdir()
    evaluated = {NAME: "scfnet", MINE: "sdnet"}
    return copy_checkout(
        tmp_path / "project", train={}, distill={}, deploy={}, imported=[NAME, MINE], evaluate=evaluated
    )


@pytest.mark.slow
def test_dvc_makes_and_keeps_imported_artifacts(mirror: FileServer, project: Path, untrained: Path) -> None:
    shutil.copytree(untrained, project / "artifacts" / MINE)
    dvc(project, "repro", "weights")
    artifact = project / "artifacts" / NAME
    card = read_card(artifact)
    assert card.provenance.licence == "none stated; all rights reserved, no commercial use"
    assert read_card(project / "artifacts" / MINE) == read_card(untrained), "what was made by hand is still there"
    assert f"weights@{NAME}" in dvc(project, "dag", f"evaluate@{NAME}"), "what needs it waits for it"
    assert "Running stage" not in dvc(project, "repro", "weights") and len(mirror.requests) == 1

    # A change of the table runs the stage again, from the user's cache; the artifact stays what it was.
    with (project / "models/zoo/pins.py").open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    assert dvc(project, "repro", "weights").count("Running stage") == 2
    assert read_card(artifact) == card and len(mirror.requests) == 1

    # A lost artifact comes back from the user's cache, or from dvc's.
    shutil.rmtree(artifact)
    dvc(project, "repro", "weights")
    shutil.rmtree(artifact)
    shutil.rmtree(os.environ["XDG_CACHE_HOME"])
    dvc(project, "checkout", f"weights@{NAME}")
    assert "Running stage" not in dvc(project, "repro", "weights")
    assert read_card(artifact) == card and len(mirror.requests) == 1

    # What is imported again by hand counts as changed.
    shutil.copytree(artifact, project / "artifacts" / MINE, dirs_exist_ok=True)
    assert f"weights@{MINE}" in dvc(project, "status")
    assert dvc(project, "repro", "weights").count("Running stage") == 1
    assert read_card(project / "artifacts" / MINE) == card


def test_an_imported_artifact_has_to_be_there_and_whole(
    mirror: FileServer, untrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(
        "profile: p\ntrain: {}\ntracking: {enabled: false}\n"
        "profiles: {p: {data: {datasets: [{name: embedded}]}, runs: {}}}\n"
    )
    params = load_params()
    with pytest.raises(UserError, match=r"artifacts/mine does not exist, and 'mine' is not the name of weights"):
        run(params, "mine")
    with pytest.raises(UserError, match=r"did you mean scfnet-mobilenetv3\.fs"):
        run(params, "scfnet-mobilenetv3.fss")
    shutil.copytree(untrained, "artifacts/mine")
    run(params, "mine")
    with Path("artifacts/mine/model.safetensors").open("r+b") as handle:
        handle.truncate(1000)
    with pytest.raises(UserError, match="was damaged or replaced"):
        run(params, "mine")
    run(params, "limelight-small")
    assert load_weights("artifacts/limelight-small")[1] == read_card(FOLDER / "limelight-small")
    shutil.copytree(untrained, f"artifacts/{NAME}")  # of the same name, and not what is pinned
    run(params, NAME)
    assert read_card(f"artifacts/{NAME}").architecture.model == "scfnet-mobilenetv3"
