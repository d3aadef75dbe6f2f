"""A copy of this working tree with a git repository of its own, for dvc to run in."""

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.forks import Forks

ROOT = Path(__file__).resolve().parent.parent
DVC = "import sys; from dvc.cli import main; sys.exit(main())"


def copy_checkout(target: Path, **params: Any) -> Path:
    """Copy what git tracks or would track into an empty folder, params.yaml with changes, and commit it."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode:
        pytest.skip("needs a git checkout")
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target / name)
    own = yaml.safe_load((ROOT / "params.yaml").read_text())
    (target / "params.yaml").write_text(yaml.safe_dump(own | params))
    for command in ("init -q", "add -A", "-c user.name=t -c user.email=t@t commit -qm start"):
        subprocess.run(["git", *command.split()], cwd=target, check=True)
    return target


def dvc(project: Path, *arguments: str, fails: bool = False) -> str:
    """Run dvc and return what it prints; it has to fail if `fails`."""
    environment = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "DVC_NO_ANALYTICS": "1"}
    answer = _forks().start(DVC, *arguments, folder=project, **environment).wait()
    assert bool(answer.returncode) == fails, answer.stdout[-2000:] + answer.stderr[-4000:]
    return answer.stdout + answer.stderr


@cache
def _forks() -> Forks:
    """Of processes that have DVC imported; it is there until the tests end."""
    scratch = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, scratch)
    return Forks(["dvc.cli", "dvc.commands.repro", "dvc.repo", "dvc.commands.status"], scratch)
