"""download -> prepare -> validate as the pipeline runs them."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
import trees
import yaml
from PIL import Image

from limelight.config import DatasetRequest, Params
from limelight.data.catalogue import markdown_table
from limelight.data.index import read_index
from limelight.data.manifest import manifest_trees, read_manifest
from limelight.foundation.errors import UserError
from limelight.stages import download, prepare, validate

ROOT = Path(__file__).resolve().parents[2]
SHARES = {"train": 0.5, "val": 0.25, "test": 0.25}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def params(*datasets: dict, **validation: object) -> Params:
    requests = [DatasetRequest(**dataset) for dataset in datasets]
    profile = {"data": {"datasets": requests}, "validation": validation, "runs": {}}
    return Params.model_validate({"profile": "demo", "train": {}, "profiles": {"demo": profile}})


@pytest.mark.slow
def test_three_stages(here, capsys):
    trees.stills(here / "photos", [f"{number:02}" for number in range(16)])
    trees.stills(here / "depth", ["a/1", "a/2", "b/1", "b/2"], companion="depth", seed=100)
    given = params(
        {"name": "photos", "path": "photos", "split": SHARES},
        {"name": "depth", "path": "depth", "sensor": "rgbd", "split": "test"},
        min_rows=20,
    )
    for stage in (download, prepare, validate):
        stage.run(given)
    out = capsys.readouterr().out
    assert "photos: test 4, train 8, val 4 images" in out and "20 samples meet" in out
    index = read_index()
    assert index["photos"].root == "photos" and (index["depth"].sensor, index["depth"].labels) == ("rgbd", "mask")
    assert len(read_manifest(splits=["test"])) == 8
    assert manifest_trees() == {name: entry.sha256 for name, entry in index.items()}
    assert (here / "data/lists/depth/test/x_list.txt").read_text().startswith("depth/depth/a/1.png\n")
    assert (here / "data/lists/rejected.csv").read_text() == "dataset,path,reason\n"
    summary = json.loads((here / "reports/data/summary.json").read_text())
    assert summary["success"] and summary["samples"] == summary["decoded"] == 20 and not summary["failed"]
    assert summary["datasets"] == {"depth": {"test": 4}, "photos": {"test": 4, "train": 8, "val": 4}}
    assert (here / "reports/data/docs/index.html").is_file() and (here / "reports/data/samples.png").is_file()

    before = {path: path.read_bytes() for path in sorted((here / "data").rglob("*")) if path.is_file()}
    for stage in (download, prepare):
        stage.run(given)
    assert before == {path: path.read_bytes() for path in sorted((here / "data").rglob("*")) if path.is_file()}

    for path in (here / "photos/masks").iterdir():
        trees.mask(path, level=0)
    for stage in (download, prepare):
        stage.run(given)
    assert (here / "data/lists/manifest.parquet").read_bytes() != before[here / "data/lists/manifest.parquet"]
    with pytest.raises(UserError, match=r"fail 1 of .*photos: at most 20% of the masks are empty"):
        validate.run(given)
    failures = json.loads((here / "reports/data/summary.json").read_text())["failed"]
    assert [failure["table"] for failure in failures] == ["samples"]
    assert "FAILED   samples: photos: at most 20%" in capsys.readouterr().out


def test_one_missing_dataset_does_not_stop_the_others(here, capsys):
    trees.stills(here / "photos", ["1"])
    given = params({"name": "ECSSD"}, {"name": "photos", "path": "photos"}, {"name": "SOD"})
    with pytest.raises(UserError, match="2 of 3 datasets are missing"):
        download.run(given)
    captured = capsys.readouterr()
    assert "photos: 2 files" in captured.out
    assert captured.err.count("error: dataset") == 2 and not (here / "data/index.json").exists()


def test_left_out_files_are_written_down(here, capsys):
    root = trees.stills(here / "photos", [f"{number:02}" for number in range(40)])
    trees.mask(root / "masks/orphan, with comma.png")
    (root / "images/07.jpg").write_bytes(b"")
    given = params({"name": "photos", "path": "photos", "split": "test"})
    download.run(given)
    prepare.run(given)
    with (here / "data/lists/rejected.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [(row["dataset"], row["path"]) for row in rows] == [
        ("photos", "photos/masks/orphan, with comma.png"),
        ("photos", "photos/images/07.jpg"),
    ]
    assert "39" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"dataset other is not in data/index.json"):
        prepare.run(params({"name": "other", "path": "photos"}))
    (here / "photos").rename(here / "moved")
    with pytest.raises(UserError, match=r"photos is gone; run the download stage"):
        prepare.run(given)


@pytest.mark.slow
def test_a_few_odd_masks_among_many_are_counted_and_named(here, capsys):
    root = trees.stills(here / "photos", [f"{number:02}" for number in range(60)])
    voc = Image.open(root / "masks/00.png").point(lambda value: value // 255)
    voc.putpalette([0, 0, 0, 128, 0, 0])
    for number in range(7):
        voc.save(root / f"masks/{number:02}.png")
    voc.convert("L").save(root / "masks/20.png")  # 38 where salient
    trees.mask(root / "masks/30.png", level=1)
    trees.mask(root / "masks/40.png", level=0)
    given = params({"name": "photos", "path": "photos", "split": "test"})
    for stage in (download, prepare):
        stage.run(given)
    out = capsys.readouterr().out
    assert "  fault: 1 mask never above 0.5: photos/20 (all in data/lists/masks.csv)\n" in out
    first = ", ".join(f"photos/{number:02}" for number in range(5))
    assert f"  notice: 7 masks read as labels by index: {first}, ... (all in data/lists/masks.csv)\n" in out
    assert f"  notice: 8 masks coded differently from the rest: {first}, ... (all in data/lists/masks.csv)\n" in out
    with (here / "data/lists/masks.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [row["sample_id"][-2:] for row in rows if row["finding"] == "coded differently from the rest"][-1] == "30"
    assert (rows[0]["mask"], rows[0]["detail"]) == ("photos/masks/20.png", "0.149")
    with pytest.raises(UserError, match=r"fail 1 of .*exceeds 0\.5 somewhere .*save 255 .*1 of 60 .*: at most 0\.149"):
        validate.run(given)
    assert "- photos/20" in capsys.readouterr().out
    allowed = params({"name": "photos", "path": "photos", "split": "test"}, max_faint_masks=0.05)
    validate.run(allowed)
    assert "7 masks read as labels by index" in capsys.readouterr().out
    noted = json.loads((here / "reports/data/summary.json").read_text())["masks"]
    assert [(row["state"], row["masks"]) for row in noted] == [("fault", 1), ("notice", 7), ("notice", 8)]
    for number in (*range(7), 20, 30):
        trees.mask(root / f"masks/{number:02}.png")
    for stage in (download, prepare):
        stage.run(given)
    assert not (here / "data/lists/masks.csv").exists()


@pytest.mark.slow
def test_more_decoded_samples_retrain_nothing(here):
    """The summary says how many were decoded; trainings depend on whether validation passed."""
    trees.stills(here / "photos", [f"{number:02}" for number in range(16)])
    photos = {"name": "photos", "path": "photos", "split": "test"}
    for stage in (download, prepare):
        stage.run(params(photos))
    written = []
    for count in (4, 8):
        validate.run(params(photos, samples=count))
        written.append([(here / "reports/data" / name).read_bytes() for name in ("passed.json", "summary.json")])
    (passed, summary), (later, later_summary) = written
    assert passed == later and summary != later_summary
    with pytest.raises(UserError, match="the data fail"):
        validate.run(params(photos, min_rows=17))
    assert not (here / "reports/data/passed.json").exists()
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    for name in ("train", "finetune", "distill", "finetune_distill"):
        reports = [path for path in stages[name]["do"]["deps"] if path.startswith("reports/data")]
        assert reports == [str(validate.PASSED)]


def test_datasets_are_named_once():
    with pytest.raises(ValueError, match="photos named twice"):
        params({"name": "photos", "path": "a"}, {"name": "photos", "path": "b"})


def test_command_line_of_a_stage(here):
    (here / "params.yaml").write_text(
        "profile: demo\ntrain: {}\nprofiles: {demo: {data: {datasets: [{name: photos, path: nowhere}]}, runs: {}}}\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "limelight.stages.download"],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr == (
        f"error: dataset photos: path {here}/nowhere does not exist; correct `path` in params.yaml\n"
    )


def test_download_imports_nothing_heavy():
    heavy = "torch", "pyarrow", "pandas", "great_expectations", "mlflow", "httpx", "matplotlib", "cv2", "numpy"
    code = f"import sys, limelight.stages.download; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_prepare_needs_no_torch():
    heavy = ("torch", "great_expectations", "mlflow")
    code = f"import sys, limelight.stages.prepare; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_catalogue_page_is_in_step():
    assert markdown_table() in (ROOT / "docs/data.md").read_text()
