"""The flows, run for real on a small DVC project by a real Prefect server."""

import filecmp
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from limelight.flows import process
from limelight.flows.graph import stages_to_run
from limelight.foundation.errors import UserError
from tests.checkout import dvc
from tests.flows.conftest import Flows

ROOT = Path(__file__).resolve().parent.parent.parent

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


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty one of git and DVC. Not to be changed."""
    folder = tmp_path_factory.mktemp("repository")
    subprocess.run(["git", "init", "-q"], check=True, cwd=folder)
    dvc(folder, "init", "-q")
    return folder


@pytest.fixture
def project(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(shutil.copytree(repository, tmp_path / "project"))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    Path("data/raw").mkdir(parents=True)
    Path("data/raw/source").write_text("one\n")
    Path("dvc.yaml").write_text(PIPELINE)
    return Path.cwd()


@pytest.fixture
def groups(project: Path) -> Path:
    """The project with groups of trainings and evaluations that leave when they ran in the file log."""
    Path("dvc.yaml").write_text(GROUPS)
    Path("record").write_text(RECORD)
    Path("record").chmod(0o755)
    dvc(project, "repro", "download")
    return project


@pytest.mark.slow
def test_the_graph_holds_what_is_stale_and_what_follows_from_it(project: Path) -> None:
    stale = stages_to_run()
    assert stale == {"left": [], "right": [], "join": ["left", "right"]} and list(stale)[-1] == "join"
    dvc(project, "repro")
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
    for remote in ("-d own store", f"beside {project.parent / 'beside'}", "shared s3://bucket/limelight"):
        dvc(project, "remote", "add", *remote.split())
    assert store_within(None) == store_within("own") == project / "store"
    assert store_within("beside") is None and store_within("shared") is None


@pytest.mark.slow
def test_reproduce_and_its_parallel_form_bring_the_project_up_to_date(project: Path, flow: Flows) -> None:
    for content, name in (("one", "reproduce"), ("two", "reproduce_parallel")):
        (project / "data/raw/source").write_text(f"{content}\n")
        result = flow(name)
        assert result.returncode == 0, result.stderr
        assert (project / "join").read_text() == f"{content}\n{content}\n"


@pytest.mark.slow
def test_a_failing_stage_fails_the_flow_and_shows_why(project: Path, flow: Flows) -> None:
    Path("dvc.yaml").write_text(PIPELINE.replace("cat left right > join", "echo no such thing >&2; false"))
    result = flow("reproduce")
    assert result.returncode == 2
    assert "error: dvc --wait-for-lock repro ended with 255: " in result.stderr and "no such thing" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_stages_beside_one_that_fails_go_on_to_their_end(project: Path, flow: Flows) -> None:
    failing = PIPELINE.replace("cat data/index > right", "echo no such thing >&2; false")
    Path("dvc.yaml").write_text(failing.replace("cat data/index > left", "sleep 5; cat data/index > left"))
    result = flow("reproduce_parallel")
    assert result.returncode == 2 and "no such thing" in result.stderr
    assert (project / "left").read_text() == "one\n" and not (project / "join").exists()


@pytest.mark.slow
def test_an_unknown_stage_is_one_line(project: Path, flow: Flows) -> None:
    for name in ("reproduce", "reproduce_parallel", "train_on_gpu"):
        result = flow(name, "nonsense")
        assert result.returncode == 2 and "Traceback" not in result.stderr
        assert result.stderr.splitlines()[-1].startswith("error: ") and "nonsense" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", ["reproduce", "reproduce_parallel", "train_on_gpu"])
def test_a_flow_waits_for_another_in_the_same_working_tree(project: Path, flow: Flows, name: str) -> None:
    dvc(project, "remote", "add", "-d", "own", "store")  # of train_on_gpu
    with process.working_tree(pytest.fail):
        waiting, deadline = flow.start(name, "left"), time.monotonic() + 120
        while "waiting for the flow that runs in" not in waiting.stderr.read_text():
            assert time.monotonic() < deadline, waiting.stderr.read_text()
            time.sleep(0.1)
        assert not (project / "data/index").exists()
    waiting.wait()
    assert (project / "left").exists()


@pytest.mark.slow
def test_trainings_have_a_gpu_each_and_evaluations_run_alone(
    groups: Path, flow: Flows, monkeypatch: pytest.MonkeyPatch
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
@pytest.mark.slow
def test_the_result_is_the_same_for_any_workers(flow: Flows, untrained: Path, tmp_path: Path) -> None:
    pytest.importorskip("prefect_dask", reason="the extra `label` is not installed")
    photos = shutil.copytree(ROOT / "tests/photos", tmp_path / "photos", ignore=shutil.ignore_patterns("*.md"))
    (photos / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    model = ("--model", str(untrained), "--runtime", "torch", "--part", "2")
    for name, runner in (("one", ("--workers", "1")), ("two", ("--runner", "dask", "--workers", "2"))):
        place = ("--store", str(tmp_path / f"store-{name}"))
        result = flow("label", str(photos), str(tmp_path / name), *model, *runner, *place)
        assert result.returncode == 1, result.stderr  # of the broken one
        assert "3 pictures with maps, 1 failed" in result.stderr
        assert "broken.png" in (tmp_path / f"{name}.failures.csv").read_text()
    names = sorted(path.relative_to(tmp_path / "one").as_posix() for path in (tmp_path / "one").rglob("*.*"))
    assert len(names) == 7  # three pictures, their maps, the marker
    assert filecmp.cmpfiles(tmp_path / "one", tmp_path / "two", names, shallow=False) == (names, [], [])


@pytest.mark.slow
def test_its_own_results_are_no_pictures(flow: Flows, untrained: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    shutil.copy(ROOT / "tests/photos/cat.jpg", photos)
    places = (str(photos), str(photos / "set"), "--store", str(photos / "maps"), "--workers", "1")
    for _ in range(2):
        result = flow("label", *places, "--model", str(untrained), "--runtime", "torch")
        assert result.returncode == 0, result.stderr
        assert "1 pictures with maps, 0 failed" in result.stderr
    shutil.copy(photos / "cat.jpg", photos / "cat.jpeg")
    result = flow("label", *places, "--model", str(untrained), "--runtime", "torch")
    assert result.returncode == 2 and "would have the same map; rename one" in result.stderr
    assert "in 1 parts" not in result.stderr, "it begins to work"


@pytest.mark.slow
def test_mistakes_are_one_line(flow: Flows, untrained: Path, tmp_path: Path) -> None:
    own = tmp_path / "own/masks/a.png"
    own.parent.mkdir(parents=True)
    own.touch()
    for output, runner, expected in (
        (tmp_path / "set", "spark", "error: unknown runner 'spark'; choose one of: processes, dask, ray"),
        (tmp_path / "own", "processes", "is not empty, and no dataset of maps"),
        (own, "processes", "is a file, but a dataset is a folder"),
    ):
        photos = str(ROOT / "tests/photos")
        result = flow("label", photos, str(output), "--model", str(untrained), "--runner", runner)
        assert result.returncode == 2
        assert expected in result.stderr
        assert "in 1 parts" not in result.stderr, "it begins to work"
    assert own.is_file()


# ------------------------------------------------------------------------------------------------------------ promotion
@pytest.mark.slow
def test_promotion_without_a_champion_is_one_line_at_once(
    flow: Flows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").symlink_to(ROOT / "params.yaml")
    result = flow("promote")
    assert result.returncode == 2
    assert "\nerror: there is no champion yet" in result.stderr
    assert "Traceback" not in result.stderr and "retr" not in result.stderr.lower()
