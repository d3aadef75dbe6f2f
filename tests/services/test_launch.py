"""What `limelight serve` prepares before it becomes BentoML; `tests/test_cli.py` has what it refuses."""

import os
from pathlib import Path

import pytest

from limelight.services import launch


@pytest.fixture(autouse=True)
def _environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")})
    for name in ("BENTOML_HOME", "LIMELIGHT_TOKEN"):
        monkeypatch.delitem(os.environ, name, raising=False)
    monkeypatch.setattr("limelight.services.launch.bindable", lambda host, port: host)


def prepare(untrained: Path, host: str = "127.0.0.1", port: int = 3000) -> None:
    launch.prepare(untrained, None, None, host=host, port=port)


def test_each_port_has_a_folder_of_its_own_for_figures(untrained: Path, tmp_path: Path) -> None:
    prepare(untrained, port=3001)
    assert os.environ.pop("BENTOML_HOME") == str(tmp_path / "cache" / "limelight" / "serve" / "3001")
    os.environ["BENTOML_HOME"] = "mine"
    prepare(untrained)
    assert os.environ["BENTOML_HOME"] == "mine"


@pytest.mark.parametrize(
    ("host", "token", "warned"),
    [("0.0.0.0", "", True), ("::", "", True), ("127.0.0.1", "", False), ("::1", "", False), ("0.0.0.0", "x", False)],
)
def test_an_open_address_without_a_token_is_one_line(
    untrained: Path, capsys: pytest.CaptureFixture[str], host: str, token: str, warned: bool
) -> None:
    if token:
        os.environ["LIMELIGHT_TOKEN"] = token
    prepare(untrained, host)
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if "LIMELIGHT_TOKEN" in line] == lines and len(lines) == warned


def test_the_settings_are_read_once(untrained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, calls = launch.service_settings, []
    monkeypatch.setattr(launch, "service_settings", lambda *given: calls.append(given) or read(*given))
    served = launch._folder(untrained, "saliency")
    assert len(calls) == 1
    assert served.settings == read(), "its workers read the same from the environment"
