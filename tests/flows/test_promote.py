"""Promotion: mistakes are one line, and the alias moves only where the right bento was pushed."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from limelight.champions.nomination import Nomination
from limelight.flows import promote
from limelight.foundation.errors import UserError
from limelight.foundation.files import write_json

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.slow
def test_promotion_without_a_champion_is_one_line_at_once(server: str, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").symlink_to(ROOT / "params.yaml")
    environment = os.environ | {"PREFECT_API_URL": server, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "limelight.flows.promote"]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert result.returncode == 2
    assert "\nerror: there is no champion yet" in result.stderr
    assert "Traceback" not in result.stderr and "retr" not in result.stderr.lower()


def test_the_alias_does_not_move_where_another_bento_would_be_pushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nomination, done = Nomination("best", "1", True, "", "a" * 64), []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(promote, "get_run_logger", logging.getLogger)
    monkeypatch.setattr(promote, "register_challenger", lambda what: nomination)
    monkeypatch.setattr(promote, "push_bento", lambda remote: done.append("pushed"))
    monkeypatch.setattr(promote, "make_champion", lambda nomination: done.append("champion"))

    write_json("reports/package/metrics.json", {"saliency": {"folder_sha256": "b" * 64}})
    with pytest.raises(UserError, match="run dvc repro package first"):
        promote.promote.fn(remote="shared")
    assert not done
    write_json("reports/package/metrics.json", {"saliency": {"folder_sha256": "a" * 64}})
    assert promote.promote.fn(remote="shared") and done == ["pushed", "champion"]
