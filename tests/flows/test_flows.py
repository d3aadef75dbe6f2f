"""The flows, run for real on a small DVC project by a real Prefect server."""

import filecmp
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from limelight.flows.graph import stages_to_run

ROOT = Path(__file__).resolve().parent.parent.parent
Flow = Callable[[str], subprocess.CompletedProcess[str]]

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


@pytest.fixture
def flow(server: str) -> Flow:
    """flow('reproduce') runs `python -m limelight.flows.reproduce` in the current folder."""
    environment = {"PREFECT_API_URL": server, "PYTHONPATH": str(ROOT)}

    def run(name: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", f"limelight.flows.{name}"]
        return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True)

    return run


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_store_in_the_working_tree_is_told_from_one_that_others_reach(project: Path) -> None:
    from limelight.flows.tasks import store_within

    assert store_within(None) is None
    shell(f"dvc remote add -d own store && dvc remote add beside {project.parent / 'beside'}")
    shell("dvc remote add shared s3://bucket/limelight")
    assert store_within(None) == store_within("own") == project / "store"
    assert store_within("beside") is None and store_within("shared") is None


@pytest.mark.slow
def test_reproduce_and_its_parallel_form_bring_the_project_up_to_date(project: Path, flow: Flow) -> None:
    for content, name in (("one", "reproduce"), ("two", "reproduce_parallel")):
        (project / "data/raw/source").write_text(f"{content}\n")
        result = flow(name)
        assert result.returncode == 0, result.stderr
        assert (project / "join").read_text() == f"{content}\n{content}\n"


@pytest.mark.slow
def test_a_failing_stage_fails_the_flow_and_shows_why(project: Path, flow: Flow) -> None:
    Path("dvc.yaml").write_text(PIPELINE.replace("cat left right > join", "echo no such thing >&2; false"))
    result = flow("reproduce")
    assert result.returncode == 1
    assert "RuntimeError" in result.stderr and "no such thing" in result.stderr


@pytest.mark.slow
def test_stages_beside_one_that_fails_go_on_to_their_end(project: Path, flow: Flow) -> None:
    failing = PIPELINE.replace("cat data/index > right", "echo no such thing >&2; false")
    Path("dvc.yaml").write_text(failing.replace("cat data/index > left", "sleep 5; cat data/index > left"))
    result = flow("reproduce_parallel")
    assert result.returncode == 1 and "no such thing" in result.stderr
    assert (project / "left").read_text() == "one\n" and not (project / "join").exists()


# ------------------------------------------------------------------------------------------------------------ labelling
def label(server: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "limelight.flows.label", *arguments]
    environment = os.environ | {"PREFECT_API_URL": server, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=environment, capture_output=True, text=True)


@pytest.mark.slow
def test_the_result_is_the_same_for_any_workers(server: str, untrained: Path, tmp_path: Path) -> None:
    pytest.importorskip("prefect_dask", reason="the extra `label` is not installed")
    photos = shutil.copytree(ROOT / "tests/photos", tmp_path / "photos", ignore=shutil.ignore_patterns("*.md"))
    (photos / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    model = ("--model", str(untrained), "--runtime", "torch", "--part", "2")
    for name, runner in (("one", ("--workers", "1")), ("two", ("--runner", "dask", "--workers", "2"))):
        place = ("--store", str(tmp_path / f"store-{name}"))
        result = label(server, str(photos), str(tmp_path / name), *model, *runner, *place)
        assert result.returncode == 1, result.stderr  # of the broken one
        assert "3 pictures with maps, 1 failed" in result.stderr
        assert "broken.png" in (tmp_path / f"{name}.failures.csv").read_text()
    names = sorted(path.relative_to(tmp_path / "one").as_posix() for path in (tmp_path / "one").rglob("*.*"))
    assert len(names) == 6
    assert filecmp.cmpfiles(tmp_path / "one", tmp_path / "two", names, shallow=False) == (names, [], [])


@pytest.mark.slow
def test_mistakes_are_one_line(server: str, untrained: Path, tmp_path: Path) -> None:
    result = label(
        server, str(ROOT / "tests/photos"), str(tmp_path / "set"), "--model", str(untrained), "--runner", "spark"
    )
    assert result.returncode == 2
    assert "error: unknown runner 'spark'; choose one of: processes, dask, ray" in result.stderr
