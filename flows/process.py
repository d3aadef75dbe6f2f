"""Child processes that end with their flow, and the lock of the working tree that they change."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from limelight.foundation.errors import UserError
from limelight.foundation.parent import end_with_parent

GRACE_S = 20.0
"""A training run saves its state on SIGTERM; Prefect itself kills a cancelled flow after 30 s."""

_running: set[subprocess.Popen[str]] = set()
_lock = threading.Lock()


@contextmanager
def working_tree(log: Callable[[str], None]) -> Iterator[None]:
    """Wait until no other flow runs in this folder: DVC fails with 'is busy' where two reproduce the same stages."""
    path = Path("work/flow.lock")
    path.parent.mkdir(exist_ok=True)
    lock = FileLock(path)
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        log(f"waiting for the flow that runs in {Path.cwd()}")
        held = lock.acquire()
    with held:
        yield


def run(command: Sequence[str], log: Callable[[str], None], env: Mapping[str, str] | None = None) -> None:
    """Run a command in its own process group and pass its output on, line by line.

    Args:
        command: program and arguments; programs of this Python's environment are found without activating it.
        log: called with each line of standard output and standard error.
        env: added to this process's environment.

    Raises:
        UserError: the command failed; the text holds its last lines. The rest is in the log, a traceback included.
    """
    scripts = str(Path(sys.executable).parent)
    environment = {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}", "PYTHONUNBUFFERED": "1"}
    child = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        errors="replace",
        env={**environment, **(env or {})},
        start_new_session=True,
        preexec_fn=end_with_parent,
    )
    with _lock:
        _running.add(child)
    last: list[str] = []
    try:
        for line in child.stdout or ():
            log(line.rstrip())
            last = [*last[-9:], line.strip()]
        code = child.wait()
    except BaseException:
        end(child)
        raise
    finally:
        with _lock:
            _running.discard(child)
    if code:
        raise UserError(f"{' '.join(command)} ended with {code}: {' | '.join(filter(None, last))}")


def end_all() -> None:
    """End every command that `run` started and that still runs: for a flow whose task threads cannot be stopped."""
    with _lock:
        children = list(_running)
    end(*children)


def end(*children: subprocess.Popen[str]) -> None:
    """Send SIGTERM to the children's whole groups, and SIGKILL to what is left of them after `GRACE_S`."""
    deadline = time.monotonic() + GRACE_S
    left = [child for child in children if _signal_group(child, signal.SIGTERM)]
    while left and time.monotonic() < deadline:
        time.sleep(0.1)
        for child in left:
            child.poll()  # reaps the leader: a zombie would count as alive
        left = [child for child in left if _signal_group(child, 0)]
    for child in left:
        _signal_group(child, signal.SIGKILL)
        child.poll()


def _signal_group(child: subprocess.Popen[str], number: int) -> bool:
    """Whether there was anything left to signal. The group's id is the child's pid: it leads its session."""
    try:
        os.killpg(child.pid, number)
    except ProcessLookupError:
        return False
    return True
