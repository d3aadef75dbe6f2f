"""`tools/leaderboard` on a set of photos, by the stages that a pipeline has."""

import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from limelight.foundation.errors import UserError
from limelight.models.foreign.onnx_file import Preparation, import_onnx
from tests.conftest import ROOT
from tests.models.onnx_nets import net

PAGE = "# Models\n\n<!-- leaderboard: tools/leaderboard writes this table -->\nold\n<!-- leaderboard ends -->\n\nEnd.\n"


def tool(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "GX_ANALYTICS_ENABLED": "false"}
    command = [sys.executable, str(ROOT / "tools/leaderboard"), *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.slow
def test_a_table_of_models_and_maps(tmp_path: Path) -> None:
    import_onnx(net(tmp_path / "net.onnx"), tmp_path / "weights", Preparation(size=(64, 64)))
    for name in ("images", "masks"):
        (tmp_path / "set" / name).mkdir(parents=True)
    for photo in (ROOT / "tests/photos").glob("*.jpg"):
        shutil.copy(photo, tmp_path / "set/images")
        mask_HW = np.zeros(cv2.imread(str(photo)).shape[:2], np.uint8)
        cv2.circle(mask_HW, (180, 120), 70, 255, -1)
        cv2.imwrite(str(tmp_path / "set/masks" / f"{photo.stem}.png"), mask_HW)
    shutil.copytree(tmp_path / "set/masks", tmp_path / "maps/photos")
    (tmp_path / "page.md").write_text(PAGE)
    arguments = (
        "--data",
        "photos=set",
        "--model",
        f"plain={tmp_path}/weights",
        "--maps",
        "perfect=maps",
        "--table",
        "page.md",
        "--no-shipped",
    )
    result = tool(tmp_path, *arguments)
    assert result.returncode == 0, result.stderr
    rows = (tmp_path / "page.md").read_text().splitlines()[3:-3]
    cells = {row.split(" | ")[0].removeprefix("| "): row for row in rows}
    assert rows[0].startswith("| model | M parameters | photos: MAE / max F / wF / mBA") and "plain" in cells
    assert ".0000 / 1.000 / 1.000 / 1.000" in cells["perfect"]
    assert (tmp_path / "page.md").read_text().startswith("# Models") and "old" not in "".join(rows)


def test_nothing_to_compare_and_no_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    main = runpy.run_path(str(ROOT / "tools/leaderboard"))["main"]
    for given, message in (
        ({"data": ["photos=empty"], "model": ["plain=nowhere"]}, "'nowhere' is neither a weights folder nor the name"),
        ({"data": ["photos=gone"], "maps": ["a=empty"]}, "gone is not a folder; give NAME=FOLDER"),
        ({"data": ["photos=empty"], "shipped": False}, "there is nothing to compare; give --model or --maps"),
    ):
        with pytest.raises(UserError, match=message):
            main(**given)
