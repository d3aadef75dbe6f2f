"""The two stages in a folder laid out as the repository is."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from limelight.config import Params
from limelight.data.manifest import Sample, read_manifest, write_manifest
from limelight.models import create_model
from limelight.models.identity import folder_sha256
from limelight.models.weights import save_weights
from limelight.stages import compare, evaluate


@pytest.fixture
def params(tmp_path, monkeypatch) -> Params:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    samples = []
    for index in range(3):
        mask = np.zeros((40, 48), np.uint8)
        cv2.circle(mask, (20, 18), 9 + index, 255, -1)
        for kind, pixels in (("images", rng.integers(0, 255, (40, 48, 3), dtype=np.uint8)), ("masks", mask)):
            Path("set", kind).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(f"set/{kind}/{index}.png", pixels)
        paths = f"set/images/{index}.png", None, f"set/masks/{index}.png"
        samples.append(Sample(f"set/{index}", "set", "test", "rgb", "mask", *paths, None, None, (), 48, 40, ""))
    write_manifest(samples, "data/lists/manifest.parquet")
    model = create_model("sdnet")
    save_weights("artifacts/tiny", model, name="sdnet", input_size=(32, 32))
    save_weights("artifacts/tiny-deploy", model.reparameterize(), name="sdnet", input_size=(32, 32), form="merged")
    profile = {
        "data": {"datasets": [{"name": "set"}]},
        "runs": {"big": {"model": "scfnet"}, "tiny": {"model": "sdnet", "objective": {"name": "distilled"}}},
        "evaluate": {"workers": 1, "latency_runs": 1, "threads": 1, "overlays": 2},
        "compare": {"saliency": {"metric": "mae"}},
    }
    return Params.model_validate(
        {
            "profile": "small",
            "train": {"big": "scfnet"},
            "distill": {"tiny": {"family": "sdnet", "teacher": "big"}},
            "deploy": {"tiny": "sdnet"},
            "evaluate": {"tiny": "sdnet", "tiny-deploy": "sdnet"},
            "tracking": {"enabled": False},
            "profiles": {"small": profile},
        }
    )


@pytest.mark.slow
def test_from_weights_to_champion(params):
    for name in ("tiny", "tiny-deploy"):
        evaluate.run(params, name)
        written = {path.name for path in Path("reports/eval", name).iterdir()}
        assert written >= {"metrics.json", "about.json", "per_image.csv", "pr.csv", "f.csv", "curves.png"}
        assert len(list(Path("reports/eval", name, "overlays").iterdir())) == 2
    compare.run(params)
    champion = json.loads(Path("reports/leaderboard/champion.json").read_text())["saliency"]
    assert champion["artifact"] in ("tiny", "tiny-deploy")
    assert champion["folder_sha256"] == folder_sha256(Path("artifacts") / champion["artifact"])
    write_manifest(read_manifest(), trees={"set": "masks corrected"})
    compare.run(params)
    corrected = json.loads(Path("reports/leaderboard/champion.json").read_text())["saliency"]
    assert corrected["data_sha256"] != champion["data_sha256"]
    board = json.loads(Path("reports/leaderboard/leaderboard.json").read_text())
    rows = {row["artifact"]: row for row in board["contests"]["saliency"]["rows"]}
    assert rows["tiny"]["form"] == "training"
    assert rows["tiny-deploy"]["form"] == "merged"
    assert rows["tiny-deploy"]["teacher"] == "big"
    assert rows["tiny"]["mean"]["mae"] == pytest.approx(rows["tiny-deploy"]["mean"]["mae"], abs=1e-4)
    table = Path("reports/leaderboard/results-saliency.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in table] == ["artifact", *rows]
    assert Path("reports/leaderboard/results-saliency.tex").is_file()
    assert board["reproduce"]["profile"] == "small"
    assert "data:image/jpeg" in Path("reports/leaderboard/leaderboard.html").read_text()
