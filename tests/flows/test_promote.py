"""Promotion: the alias moves only where the right bento was pushed. See also test_flows.py, which has the server."""

import logging
from pathlib import Path

import pytest

from limelight.champions.nomination import Nomination
from limelight.flows import promote
from limelight.foundation.errors import UserError
from limelight.foundation.files import write_json


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
