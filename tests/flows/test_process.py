"""A cancelled flow leaves no process behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from limelight.flows import process
from limelight.foundation.errors import UserError

# A leader that starts a child, as dvc starts a training, and names it in a file.
LEADER = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open(sys.argv[1], "w").write(str(child.pid))
print("started", flush=True)
time.sleep(600)
"""


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def gone(pid: int, seconds: float = 120.0) -> bool:
    deadline = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not alive(pid)


def test_output_is_passed_on_line_by_line() -> None:
    lines: list[str] = []
    process.run([sys.executable, "-c", "print('one'); print('two')"], lines.append)
    assert lines == ["one", "two"]


def test_failure_shows_the_last_lines() -> None:
    with pytest.raises(UserError, match=r"ended with 3: .*what went wrong"):
        process.run([sys.executable, "-c", "print('what went wrong'); raise SystemExit(3)"], lambda line: None)


def test_programs_of_the_environment_are_found_without_activating_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    lines: list[str] = []
    process.run(["dvc", "--version"], lines.append)
    assert lines


@pytest.mark.slow
def test_an_interrupted_run_ends_the_whole_group(tmp_path: Path) -> None:
    def interrupt(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        process.run([sys.executable, "-c", LEADER, str(tmp_path / "pid")], interrupt)
    assert gone(int((tmp_path / "pid").read_text()))


@pytest.mark.slow
def test_end_all_reaches_runs_of_other_threads(tmp_path: Path) -> None:
    started, failures = threading.Event(), []

    def work() -> None:
        try:
            process.run([sys.executable, "-c", LEADER, str(tmp_path / "pid")], lambda line: started.set())
        except UserError as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert started.wait(120)
    process.end_all()
    thread.join(120)
    assert not thread.is_alive()
    assert failures and gone(int((tmp_path / "pid").read_text()))


def test_a_killed_flow_takes_its_command_along(tmp_path: Path) -> None:
    code = f"""
import sys
from limelight.flows import process
process.run([sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(600)"],
            lambda line: open({str(tmp_path / "pid")!r}, "w").write(line))
"""
    flow = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 120
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    child = int((tmp_path / "pid").read_text())
    os.kill(flow.pid, signal.SIGKILL)
    flow.wait()
    assert gone(child)


def test_a_working_tree_takes_one_flow_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    waiting, entered = threading.Event(), threading.Event()

    def second() -> None:
        with process.working_tree(lambda line: waiting.set()):
            entered.set()

    thread = threading.Thread(target=second)
    with process.working_tree(pytest.fail):
        thread.start()
        assert waiting.wait(60) and not entered.wait(0.2)
    thread.join(60)
    assert entered.is_set()
