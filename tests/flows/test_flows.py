"""The flows, run for real on a small DVC project by a real Prefect server."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import flows  # noqa: F401  (sets Prefect's environment before Prefect is imported)
from flows.graph import stages_to_run

PIPELINE = """
stages:
  download:
    cmd: cp data/raw/source data/index
    always_changed: true
    deps: [data/raw]
    outs: [data/index]
  left: {cmd: cat data/index > left, deps: [data/index], outs: [left]}
  right: {cmd: cat data/index > right, deps: [data/index], outs: [right]}
  join: {cmd: cat left right > join, deps: [left, right], outs: [join]}
"""


def shell(command: str) -> None:
    subprocess.run(command, shell=True, check=True, capture_output=True)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    shell("git init -q && dvc init -q && mkdir -p data/raw && echo one > data/raw/source")
    Path("dvc.yaml").write_text(PIPELINE)
    return tmp_path


@pytest.fixture(scope="module")
def server() -> Iterator[None]:
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        yield


def test_the_graph_holds_what_is_stale_and_what_follows_from_it(project: Path) -> None:
    stale = stages_to_run()
    assert stale == {"left": [], "right": [], "join": ["left", "right"]} and list(stale)[-1] == "join"
    shell("dvc repro")
    assert stages_to_run() == {}
    (project / "right").unlink()
    assert stages_to_run() == {"right": [], "join": ["right"]}
    assert stages_to_run(["right"]) == {"right": []}
    with pytest.raises(ValueError, match="no stage nonsense"):
        stages_to_run(["nonsense"])


def test_a_store_in_the_working_tree_is_told_from_one_that_others_reach(project: Path) -> None:
    from flows.tasks import store_within

    assert store_within(None) is None
    shell(f"dvc remote add -d own store && dvc remote add beside {project.parent / 'beside'}")
    shell("dvc remote add shared s3://bucket/limelight")
    assert store_within(None) == store_within("own") == project / "store"
    assert store_within("beside") is None and store_within("shared") is None


@pytest.mark.slow
def test_reproduce_and_its_parallel_form_bring_the_project_up_to_date(project: Path, server: None) -> None:
    from flows.reproduce import reproduce
    from flows.reproduce_parallel import reproduce_parallel

    reproduce()
    assert (project / "join").read_text() == "one\none\n"
    (project / "data/raw/source").write_text("two\n")
    reproduce_parallel()
    assert (project / "join").read_text() == "two\ntwo\n"


@pytest.mark.slow
def test_a_failing_stage_fails_the_flow_and_shows_why(project: Path, server: None) -> None:
    from flows.reproduce import reproduce

    Path("dvc.yaml").write_text(PIPELINE.replace("cat left right > join", "echo no such thing >&2; false"))
    with pytest.raises(RuntimeError, match="no such thing"):
        reproduce()
