"""The champion as a bento: built, exported and served for real."""

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from limelight.foundation.errors import UserError
from limelight.foundation.files import read_json, sha256_file, write_json
from limelight.models import create_model
from limelight.models.identity import folder_sha256
from limelight.models.weights import read_card, save_weights
from limelight.packaging.bento import CODE, pinned, unpack

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements.lock"
NOBODY = "http://127.0.0.1:9"
"""A proxy that does not answer."""


@pytest.fixture
def project(untrained: Path, tmp_path: Path) -> Path:
    """A project folder whose leaderboard has chosen the untrained weights."""
    for name in (*CODE, "stages", "bentofile.yaml", "bentofile.open-vocabulary.yaml", "requirements.lock"):
        (tmp_path / name).symlink_to(ROOT / name)
    artifact = tmp_path / "artifacts" / "best"
    artifact.mkdir(parents=True)
    for path in untrained.iterdir():
        (artifact / path.name).write_bytes(path.read_bytes())
    champion = tmp_path / "reports" / "leaderboard" / "champion.json"
    champion.parent.mkdir(parents=True)
    champion.write_text(json.dumps({"saliency": {"artifact": "best", "runtime": "torch"}}))
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["tracking"]["enabled"] = False
    params["profiles"]["demo"]["package"] = {
        "max_body_mb": 2,
        "max_pixels": 123_456,
        "max_video_mb": 3,
        "max_frames": 99,
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    return tmp_path


@pytest.mark.slow
def test_each_task_s_champion_is_whole_and_answers(project: Path) -> None:
    """In one run; what an open-vocabulary champion brings along beside its weights is packaged too."""
    import torch

    torch.manual_seed(0)
    words = create_model("segdiffusion-tiny")
    save_weights(project / "artifacts" / "words", words, name="segdiffusion-tiny", input_size=(32, 32))
    champions = {
        task: {"artifact": name, "runtime": "torch"}
        for task, name in (("saliency", "best"), ("open-vocabulary", "words"))
    }
    write_json(project / "reports/leaderboard/champion.json", champions)
    home = project / "home"
    environment = os.environ | {"HOME": str(home), "OMP_NUM_THREADS": "1"}
    environment |= {"LIMELIGHT_TOKEN": "of-another-service", "LIMELIGHT_MODEL": "gone", "http_proxy": NOBODY}
    environment.pop("no_proxy", None)
    result = subprocess.run(
        [sys.executable, "-m", "limelight.stages.package"], cwd=project, env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    facts = read_json(project / "reports/package/metrics.json")
    assert facts.keys() == {"saliency", "open-vocabulary"}
    assert all(task_facts["served_difference"] <= 1.01 / 255 for task_facts in facts.values())
    assert {path.name for path in (project / "artifacts/bento").iterdir()} == {
        "limelight.bento",
        "open-vocabulary.bento",
    }
    assert not (home / "bentoml").exists(), "the user's own store was touched"
    assert not (project / "work" / "package").exists()
    check_words(unpack(project / "artifacts/bento/open-vocabulary.bento", project / "unpacked-words"))
    check_saliency(project, facts["saliency"])


def check_words(folder: Path) -> None:
    check_silent(folder)
    assert read_json(folder / "src/limelight/services/settings.json")["max_classes"] == 64
    needed = (folder / "env/python/requirements.txt").read_text()
    assert all(f"{name}==" in needed for name in ("torch", "diffusers", "transformers", "tokenizers"))


def check_silent(folder: Path) -> None:
    """BentoML's telemetry is off in containers too."""
    (variable,) = yaml.safe_load((folder / "bento.yaml").read_text())["envs"]
    assert (variable["name"], variable["value"]) == ("BENTOML_DO_NOT_TRACK", "True")


def check_saliency(project: Path, facts: dict[str, Any]) -> None:
    bento = project / "artifacts" / "bento" / "limelight.bento"
    sha256 = read_card(project / "artifacts" / "best").provenance.sha256
    assert facts["weights_sha256"] == sha256
    assert facts["folder_sha256"] == folder_sha256(project / "artifacts" / "best")
    assert facts["tag"] == f"limelight:{sha256[:12]}"
    assert facts["bento_sha256"] == sha256_file(bento)

    folder = unpack(bento, project / "unpacked")
    check_silent(folder)
    model = f"models/limelight/{sha256[:12]}"
    assert sha256_file(folder / model / "model.safetensors") == sha256
    page = ("services/page.html", "services/static/main.js", "services/static/examples/cat.jpg")
    for code in ("limelight/inference/predictor.py", "models/sdnet/network.py", *page):
        packed = code if code.startswith("limelight/") else f"limelight/{code}"
        assert (folder / "src" / packed).read_bytes() == (ROOT / code).read_bytes()
    settings = json.loads((folder / "src/limelight/services/settings.json").read_text())
    video = {"max_video_body": 3 << 20, "max_frames": 99, "max_seconds": 600, "max_frame_pixels": 4096 * 2304}
    assert settings == {"max_body": 2 << 20, "max_pixels": 123_456, "runtime": "torch", **video}
    requirements = (folder / "env" / "python" / "requirements.txt").read_text()
    assert all(f"{package}==" in requirements for package in ("torch", "av", "websockets", "pillow-heif"))
    families = {path.name for path in (folder / "src/limelight/models").iterdir() if path.is_dir()}
    assert families == {"difference", "importers", "losses", "sdnet", "shipped", "zoo"}, (
        "other families' code has no place in the bento"
    )
    assert not [*(folder / "src/limelight/models/shipped").glob("*/*.safetensors")], "nor have other weights"
    with tarfile.open(bento) as archive:
        assert not any(member.issym() or "__pycache__" in member.name for member in archive)


def test_requirements_are_those_of_the_runtime_at_locked_versions() -> None:
    locked = LOCK.read_text()
    served = {line.partition("==")[0]: line for line in pinned("openvino-int8", "diffsod", lock=LOCK)}
    assert {"bentoml", "numpy", "pillow", "pillow-heif", "openvino", "starlette"} <= served.keys()
    assert not {"torch", "timm", "mlflow", "dvc", "onnxruntime"} & served.keys()
    assert all(f"\n{line} " in locked for line in served.values() if line != locked.split(" ")[0])
    plain, diffusion = (
        {line.partition("==")[0] for line in pinned("torch", name, lock=LOCK)} for name in ("sdnet", "diffsod")
    )
    assert "torch" in plain and not {"diffusers", "transformers"} & plain
    assert {"torch", "timm", "diffusers", "transformers", "tokenizers"} <= diffusion


@pytest.mark.slow
def test_service_runs_an_export_without_torch() -> None:
    heavy = {"torch", "timm", "dvc", "mlflow"}
    script = f"import sys, limelight.services.saliency; print(sorted({heavy} & sys.modules.keys()))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert result.stdout == "[]\n"


def test_package_without_champion_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").symlink_to(ROOT / "params.yaml")
    result = subprocess.run(
        [sys.executable, "-m", "limelight.stages.package"], cwd=tmp_path, capture_output=True, text=True
    )
    assert result.returncode == 2
    assert (
        result.stderr.startswith("error: nothing to package: there is no champion yet")
        and result.stderr.count("\n") == 1
    )


def test_unpack_refuses_what_is_no_bento(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        unpack(tmp_path / "gone.bento", tmp_path / "out")
    (tmp_path / "text.bento").write_text("text")
    with pytest.raises(UserError, match="not a zip or tar archive"):
        unpack(tmp_path / "text.bento", tmp_path / "out")
    assert not (tmp_path / "out").exists()
