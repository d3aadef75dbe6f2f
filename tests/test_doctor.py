"""`limelight doctor`: it sees what is broken, and does not call broken what is merely not there yet."""

import json
import shutil
import socket
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from limelight.cli.doctor import Finding, examine
from limelight.cli.main import app
from limelight.data.index import Entry, write_index

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").touch()
    return tmp_path


def examined() -> dict[str, Finding]:
    return {finding.what: finding for finding in examine()}


def broken() -> dict[str, str]:
    return {what: finding.text for what, finding in examined().items() if finding.state == "broken"}


def test_fresh_project_is_not_broken(project: Path) -> None:
    result = CliRunner().invoke(app, ["doctor", "--json"])
    assert result.exit_code == 0, result.stdout
    findings = {finding["what"]: finding for finding in json.loads(result.stdout)}
    assert {"python", "packages", "torch", "runtimes", "disk", "settings", "data", "tracker"} <= findings.keys()
    assert findings["weights"]["state"] == "note"


def test_any_folder_will_do_for_predictions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert broken() == {}
    assert "limelight-base and limelight-small come with the package" in examined()["weights"].text


def test_settings_with_a_mistake(project: Path) -> None:
    params = yaml.safe_load((project / "params.yaml").read_text())
    (project / "params.yaml").write_text(yaml.safe_dump(params | {"prolife": "demo"}))
    assert "prolife: unknown key" in broken()["settings"]
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 1
    assert any(line.startswith("broken") and "prolife" in line for line in result.stdout.splitlines())


def test_damaged_weights(project: Path, untrained: Path) -> None:
    shutil.copytree(untrained, project / "artifacts" / "good")
    shutil.copytree(untrained, project / "artifacts" / "bad")
    with (project / "artifacts" / "bad" / "model.safetensors").open("r+b") as handle:
        handle.seek(-1, 2)
        handle.write(b"\xff")
    shutil.copytree(untrained, project / "artifacts" / "a-card")
    (project / "artifacts" / "a-card" / "card.json").write_text("{")
    assert broken().keys() == {"weights artifacts/a-card", "weights artifacts/bad"}
    assert "is not valid JSON" in examined()["weights artifacts/a-card"].text
    assert "745,197 parameters" in examined()["weights artifacts/good"].text


def test_data_that_is_gone_or_damaged(project: Path) -> None:
    (project / "data" / "raw").mkdir(parents=True)
    write_index({"mine": Entry(str(project / "gone"), 3, "0" * 64, "local", "MIT", "rgb", "mask", None)})
    (project / "data" / "raw.sha256.json").write_text(json.dumps({"a.zip": "0" * 64, "b.zip": "0" * 64}))
    (project / "data" / "raw" / "a.zip").write_bytes(b"damaged")
    assert broken().keys() == {"data", "raw a.zip"}
    assert "a.zip is damaged" in broken()["raw a.zip"]
    assert "dvc repro restores it" in examined()["raw b.zip"].text


def test_port_in_use_and_tracker_down(project: Path) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        params = yaml.safe_load((project / "params.yaml").read_text())
        params["tracking"]["uri"] = f"http://127.0.0.1:{port}"
        (project / "params.yaml").write_text(yaml.safe_dump(params))
        assert examined()["tracker"].state == "note", "bound, but nobody listens"
        taken.listen()
        assert examined()["tracker"].state == "ok"
