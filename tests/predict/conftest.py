"""`limelight predict` as a user types it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from limelight.cli.main import app

Run = Callable[..., Result]


@pytest.fixture
def run(untrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """run(*arguments, input=...) predicts in `tmp_path`."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object, **options: object) -> Result:
        command = ["predict", "--model", str(untrained), "--device", "cpu", *map(str, arguments)]
        return CliRunner().invoke(app, command, **options)

    return run
