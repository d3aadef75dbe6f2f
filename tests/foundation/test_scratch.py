"""What killed processes leave is removed, and nothing else is."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from limelight.foundation.files import atomic_path, write_text
from limelight.foundation.scratch import REPLACED, scratch_folder, sweep

WRITES = """
import os, sys, time
from pathlib import Path
from limelight.foundation.files import atomic_path
with atomic_path(sys.argv[1]) as temporary:
    temporary.write_bytes(b"half")
    print("begun", flush=True)
    time.sleep(60)
"""
DIES_BETWEEN_TWO_RENAMES = """
import os, signal, sys
from limelight.foundation.files import atomic_path
os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
with atomic_path(sys.argv[1]) as temporary:
    temporary.mkdir()
    (temporary / "new").touch()
"""


@pytest.fixture
def begin() -> Callable[[Path], subprocess.Popen]:
    """begin(path) is another process that is in the middle of writing it."""
    started: list[subprocess.Popen] = []

    def start(path: Path) -> subprocess.Popen:
        started.append(subprocess.Popen([sys.executable, "-c", WRITES, str(path)], stdout=subprocess.PIPE))
        assert started[-1].stdout.readline() == b"begun\n"
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_next_process_sweeps_what_a_killed_one_left(tmp_path: Path, begin) -> None:
    killed = begin(tmp_path / "a.bin")
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert len(names(tmp_path)) == 1, "there must be something to sweep"
    write_text(tmp_path / "b", "whole")
    assert names(tmp_path) == ["b"]


def test_what_is_being_written_stays(tmp_path: Path, begin) -> None:
    begin(tmp_path / "a.bin")
    with atomic_path(tmp_path / "b") as temporary:  # of this process
        temporary.touch()
        sweep(tmp_path)
        assert len(names(tmp_path)) == 2
        assert {path.name for path in tmp_path.glob(".limelight.*/*")} >= {"a.bin", "b"}
    assert len(names(tmp_path)) == 2


def test_lookalikes_stay(tmp_path: Path) -> None:
    (tmp_path / ".limelight.notours12").mkdir()
    (tmp_path / ".limelight.afile123").touch()
    (tmp_path / "kept").mkdir()
    (tmp_path / ".limelight.alink123").symlink_to("kept")
    foreign = tmp_path / ".limelight.foreign1"
    foreign.mkdir()
    expected = names(tmp_path)
    if os.geteuid() == 0:
        os.chown(foreign, 12345, 12345)
    else:
        expected.remove(foreign.name)
    sweep(tmp_path)
    assert names(tmp_path) == expected
    sweep(tmp_path / "gone")


def test_killed_between_the_renames_of_a_folder_loses_neither(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").touch()
    killed = subprocess.run([sys.executable, "-c", DIES_BETWEEN_TWO_RENAMES, str(tmp_path / "out")])
    assert killed.returncode == -signal.SIGKILL and not (tmp_path / "out").exists()
    assert list(tmp_path.glob(f".limelight.*/{REPLACED}/old"))
    sweep(tmp_path)
    assert names(tmp_path) == ["out"] and names(tmp_path / "out") == ["new"]


def test_sweeping_while_others_begin_to_write_takes_nothing_from_them(tmp_path: Path) -> None:
    def write(number: int) -> None:
        with scratch_folder(tmp_path) as scratch:
            (scratch / "a").touch()
            sweep(tmp_path)
            assert (scratch / "a").exists(), number

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(400)))
    assert not names(tmp_path)
