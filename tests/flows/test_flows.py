"""The flows, run for real on a small DVC project by a real Prefect server."""

import filecmp
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from limelight.flows import process
from limelight.flows.graph import stages_to_run
from limelight.foundation.errors import UserError

ROOT = Path(__file__).resolve().parent.parent.parent
Flow = Callable[..., subprocess.CompletedProcess[str]]

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
GROUPS = """
stages:
  download: {cmd: cp data/raw/source data/index, always_changed: true, deps: [data/raw], outs: [data/index]}
  train:
    foreach: [a, b, c]
    do:
      cmd: ./record train-${item} && echo $CUDA_VISIBLE_DEVICES > ${item}
      deps: [data/index]
      outs: ["${item}"]
  evaluate:
    foreach: [a, b]
    do: {cmd: "./record evaluate-${item} > ${item}.json", deps: ["${item}"], outs: ["${item}.json"]}
  compare: {cmd: cat a.json b.json > board, deps: [a.json, b.json], outs: [board]}
"""
RECORD = """#!/bin/sh
echo "begin $1" >> log
sleep 2
echo "end $1" >> log
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
    """flow('reproduce', 'left') runs `python -m limelight.flows.reproduce left` in the current folder."""
    environment = {"PREFECT_API_URL": server, "PYTHONPATH": str(ROOT)}

    def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", f"limelight.flows.{name}", *arguments]
        return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True)

    return run


@pytest.fixture
def groups(project: Path) -> Path:
    """The project with groups of trainings and evaluations that leave when they ran in the file log."""
    Path("dvc.yaml").write_text(GROUPS)
    Path("record").write_text(RECORD)
    Path("record").chmod(0o755)
    shell("dvc repro download")
    return project


@pytest.mark.slow
def test_the_graph_holds_what_is_stale_and_what_follows_from_it(project: Path) -> None:
    stale = stages_to_run()
    assert stale == {"left": [], "right": [], "join": ["left", "right"]} and list(stale)[-1] == "join"
    shell("dvc repro")
    assert stages_to_run() == {}
    (project / "right").unlink()
    assert stages_to_run() == {"right": [], "join": ["right"]}
    assert stages_to_run(["right"]) == {"right": []}
    with pytest.raises(UserError, match="no stage nonsense; `dvc stage list` shows"):
        stages_to_run(["nonsense"])


@pytest.mark.slow
def test_targets_are_what_dvc_repro_takes(groups: Path) -> None:
    assert stages_to_run(["train"]).keys() == {"train@a", "train@b", "train@c"}
    assert list(stages_to_run(["evaluate@a"])) == ["train@a", "evaluate@a"]
    assert stages_to_run(["download"]) == {}
    assert list(stages_to_run())[3:] == ["evaluate@a", "evaluate@b", "compare"]


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
    assert result.returncode == 2
    assert "error: dvc --wait-for-lock repro ended with 255: " in result.stderr and "no such thing" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_stages_beside_one_that_fails_go_on_to_their_end(project: Path, flow: Flow) -> None:
    failing = PIPELINE.replace("cat data/index > right", "echo no such thing >&2; false")
    Path("dvc.yaml").write_text(failing.replace("cat data/index > left", "sleep 5; cat data/index > left"))
    result = flow("reproduce_parallel")
    assert result.returncode == 2 and "no such thing" in result.stderr
    assert (project / "left").read_text() == "one\n" and not (project / "join").exists()


@pytest.mark.slow
def test_an_unknown_stage_is_one_line(project: Path, flow: Flow) -> None:
    for name in ("reproduce", "reproduce_parallel", "train_on_gpu"):
        result = flow(name, "nonsense")
        assert result.returncode == 2 and "Traceback" not in result.stderr
        assert result.stderr.splitlines()[-1].startswith("error: ") and "nonsense" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", ["reproduce", "reproduce_parallel", "train_on_gpu"])
def test_a_flow_waits_for_another_in_the_same_working_tree(project: Path, server: str, name: str) -> None:
    shell("dvc remote add -d own store")  # of train_on_gpu
    command = [sys.executable, "-m", f"limelight.flows.{name}", "left"]
    environment = os.environ | {"PREFECT_API_URL": server, "PYTHONPATH": str(ROOT)}
    with process.working_tree(pytest.fail):
        waiting = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        assert any("waiting for the flow that runs in" in line for line in waiting.stderr)
        assert not (project / "data/index").exists()
    waiting.communicate()
    assert (project / "left").exists()


@pytest.mark.slow
def test_trainings_have_a_gpu_each_and_evaluations_run_alone(
    groups: Path, flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    smi = groups / "bin/nvidia-smi"
    smi.parent.mkdir()
    smi.write_text("#!/bin/sh\necho GPU-1\necho GPU-2\n")
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", f"{smi.parent}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    result = flow("reproduce_parallel")
    assert result.returncode == 0, result.stderr
    assert {(groups / name).read_text().strip() for name in "abc"} == {"GPU-1", "GPU-2"}
    log = (groups / "log").read_text().splitlines()
    assert [line[:11] for line in log[:2]] == ["begin train"] * 2 and log[2].startswith("end train")
    assert log[6:] == ["begin evaluate-a", "end evaluate-a", "begin evaluate-b", "end evaluate-b"]


def test_deployments_leave_the_working_tree_to_each_worker(tmp_path: Path) -> None:
    stub = tmp_path / "prefect"
    stub.write_text(f'#!/bin/sh\necho "$@ in ${{LIMELIGHT_HOME-each}}" >> {tmp_path}/log\n')
    stub.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:/usr/bin:/bin", "LIMELIGHT_HOME": "/here"}
    subprocess.run([ROOT / "tools/deploy"], env=environment, check=True)
    log = (tmp_path / "log").read_text()
    assert "work-pool clear-concurrency-limit gpu" in log and log.endswith("deploy --all in each\n")


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
    assert len(names) == 7  # three pictures, their maps, the marker
    assert filecmp.cmpfiles(tmp_path / "one", tmp_path / "two", names, shallow=False) == (names, [], [])


@pytest.mark.slow
def test_its_own_results_are_no_pictures(server: str, untrained: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    shutil.copy(ROOT / "tests/photos/cat.jpg", photos)
    places = (str(photos), str(photos / "set"), "--store", str(photos / "maps"), "--workers", "1")
    for _ in range(2):
        result = label(server, *places, "--model", str(untrained), "--runtime", "torch")
        assert result.returncode == 0, result.stderr
        assert "1 pictures with maps, 0 failed" in result.stderr
    shutil.copy(photos / "cat.jpg", photos / "cat.jpeg")
    result = label(server, *places, "--model", str(untrained), "--runtime", "torch")
    assert result.returncode == 2 and "would have the same map; rename one" in result.stderr
    assert "in 1 parts" not in result.stderr, "it begins to work"


@pytest.mark.slow
def test_mistakes_are_one_line(server: str, untrained: Path, tmp_path: Path) -> None:
    own = tmp_path / "own/masks/a.png"
    own.parent.mkdir(parents=True)
    own.touch()
    for output, runner, expected in (
        (tmp_path / "set", "spark", "error: unknown runner 'spark'; choose one of: processes, dask, ray"),
        (tmp_path / "own", "processes", "is not empty, and no dataset of maps"),
        (own, "processes", "is a file, but a dataset is a folder"),
    ):
        photos = str(ROOT / "tests/photos")
        result = label(server, photos, str(output), "--model", str(untrained), "--runner", runner)
        assert result.returncode == 2
        assert expected in result.stderr
        assert "in 1 parts" not in result.stderr, "it begins to work"
    assert own.is_file()
