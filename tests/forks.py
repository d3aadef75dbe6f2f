"""Python processes that need not import large libraries: they are forked from one that has, and that runs nothing.

What they do is what a process of their own would: folder, environment, arguments and standard streams are theirs.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent

_SERVER = """
import importlib, json, os, sys, threading

for name in sys.argv[1:]:
    importlib.import_module(name)
assert threading.active_count() == 1, f"a thread would be missing in every process: {threading.enumerate()}"

def begin(arguments, folder, environment, stdout, stderr, **_):
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, path in ((0, os.devnull), (1, stdout), (2, stderr)):
        opened = os.open(path, os.O_RDWR)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = open(0, closefd=False)
    sys.argv[1:] = arguments

for line in sys.stdin:
    request = json.loads(line)
    if isinstance(request, int):
        print(os.waitstatus_to_exitcode(os.waitpid(request, 0)[1]), flush=True)
    elif child := os.fork():
        print(child, flush=True)
    else:
        begin(**request)
        code = request["code"]
        del line, request, begin, child
        break
else:
    sys.exit()
exec(code)
"""


@dataclass
class Started:
    """A process that may still run."""

    id: int
    stdout: Path
    stderr: Path
    _asked: IO[str]
    _told: IO[str]

    def wait(self) -> "subprocess.CompletedProcess[str]":
        """Its exit status, and what it has written."""
        print(self.id, file=self._asked, flush=True)
        status = int(self._told.readline())
        return subprocess.CompletedProcess([], status, self.stdout.read_text(), self.stderr.read_text())


class Forks:
    """Starts processes that have some modules imported.

    Args:
        modules: none that starts a thread when it is imported.
        scratch: folder for their output.
        code: folder of the package limelight that they import.
        environment: in which the modules are imported, besides this process's.
    """

    def __init__(self, modules: Sequence[str], scratch: Path, code: Path = ROOT, **environment: str) -> None:
        self._scratch, self._count = scratch, 0
        command = [sys.executable, "-c", _SERVER, *modules]
        variables = {**os.environ, "PYTHONPATH": str(code), **environment}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen(command, cwd=code, env=variables, **pipes)

    def start(self, code: str, *arguments: str, folder: Path, **environment: str) -> Started:
        """Start `python -c code arguments` in a folder, with this process's environment and more."""
        self._count += 1
        outputs = [self._scratch / f"{self._count}.{name}" for name in ("stdout", "stderr")]
        for path in outputs:
            path.touch()
        request = {
            "code": code,
            "arguments": arguments,
            "folder": str(folder),
            "environment": {**os.environ, **environment},
            "stdout": str(outputs[0]),
            "stderr": str(outputs[1]),
        }
        asked, told = self._process.stdin, self._process.stdout
        assert asked is not None and told is not None
        print(json.dumps(request), file=asked, flush=True)
        return Started(int(told.readline()), *outputs, asked, told)

    def close(self) -> None:
        self._process.communicate()


AS_A_MODULE = """
import runpy, sys
sys.modules.pop(sys.argv[1], None)
del sys.argv[0]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
"""`python -m`, whose module is the first argument; it runs anew where it is imported."""
