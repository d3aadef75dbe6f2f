"""The labelling flow, on real workers."""

import filecmp
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


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
