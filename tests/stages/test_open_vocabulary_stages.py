"""Open-vocabulary segmentation through the stages: learnt from label maps, scored by class, a contest of its own."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from limelight.champions.record import champion
from limelight.config import Params, load_params
from limelight.data.manifest import Sample, write_manifest
from limelight.foundation.errors import UserError
from limelight.foundation.files import read_json
from limelight.imaging.images import read_image
from limelight.inference.loading import load
from limelight.models import create_model, shipped
from limelight.models.weights import read_card, save_weights
from limelight.stages import compare, evaluate, train
from tests.families import families

pytestmark = pytest.mark.slow

CLASSES = {1: "red ball", 3: "blue box", 4: "green ring"}
COLOURS = {1: (220, 40, 40), 3: (50, 60, 220), 4: (40, 200, 60)}
SIDE = 40
ROOT = Path(__file__).resolve().parents[2]

RUN = {
    "model": "segdiffusion-tiny",
    "objective": {
        "name": "prompted",
        "prompts": 3,
        "held_out_classes": ["green ring"],
        "templates": ["a picture of a {}", "a {}"],
    },
    "size": {"input": 32},
    "epochs": 2,
    "batch": {"size": 4},
    "optimiser": {"lr": 1e-3},
    "schedule": {"name": "constant"},
}
RUNS = {
    "words": {**RUN, "optimiser": {"lr": 1e-3, "ema": 0.5}},
    "typo": {**RUN, "objective": {"name": "prompted", "held_out_classes": ["green rong"]}},
    "masks": {**RUN, "objective": {"name": "supervised"}},
    "no-words": {**RUN, "model": "autoencoder-tiny"},
    "salient": {"model": "sdnet"},
}
TREE = {
    "profile": "tiny",
    "device": "cpu",
    "train": families(RUNS),
    "evaluate": {"words": "diffusion", "salient": "sdnet"},
    "tracking": {"enabled": False},
    "profiles": {
        "tiny": {
            "data": {"datasets": [{"name": "toys", "path": "toys", "labels": "classes"}]},
            "runs": RUNS,
            "evaluate": {"workers": 1, "latency_runs": 1, "threads": 1, "overlays": 3},
            "compare": {"saliency": {"metric": "mae"}},
        }
    },
}


def make_sample(number: int, split: str, labels: str = "classes") -> Sample:
    """Two things of one class each on a grey ground, one of them half void."""
    generator = np.random.default_rng(number)
    image = generator.integers(90, 150, (SIDE, SIDE, 3), dtype=np.uint8)
    values = np.zeros((SIDE, SIDE), np.uint8)
    for corner, value in zip((4, 22), generator.permutation(list(CLASSES))[:2].tolist(), strict=True):
        values[corner : corner + 12, corner : corner + 14] = value
        image[values == value] = COLOURS[value]
    values[4:8][values[4:8] > 0] = 255
    if labels == "mask":
        values = np.where(values > 0, 255, 0).astype(np.uint8)
    paths = [f"toys/{split}-{labels}/{number}.{kind}.png" for kind in ("image", "label")]
    Path(paths[0]).parent.mkdir(parents=True, exist_ok=True)
    for path, pixels in zip(paths, (image[..., ::-1], values), strict=True):
        cv2.imwrite(path, pixels)
    dataset = "toys" if labels == "classes" else "masks"
    names = tuple(CLASSES[value] for value in np.unique(values).tolist() if value in CLASSES)
    name = f"{dataset}/{split}/{number}"
    return Sample(name, dataset, split, "rgb", labels, paths[0], None, paths[1], None, None, names, SIDE, SIDE, "0")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which such a network was trained and evaluated, beside a saliency network as it was initialised."""
    folder = tmp_path_factory.mktemp("words")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        samples = [make_sample(number, "train") for number in range(8)]
        samples += [make_sample(number, "val") for number in range(8, 10)]
        samples += [make_sample(number, "test") for number in range(10, 14)]
        samples += [make_sample(number, "test", "mask") for number in range(14, 16)]
        Path(samples[-3].image).write_bytes(b"damaged")
        write_manifest(samples)
        Path("data/lists/toys").mkdir()
        Path("data/lists/toys/classes.json").write_text(json.dumps({"background": True, "classes": CLASSES}))
        Path("params.yaml").write_text(yaml.safe_dump(TREE))
        save_weights("artifacts/salient", create_model("sdnet"), name="sdnet", input_size=(32, 32))
        train.run(load_params(), "words")
        for name in ("words", "salient"):
            evaluate.run(load_params(), name)
        compare.run(load_params())
    return folder


@pytest.fixture(autouse=True)
def params(project: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    monkeypatch.chdir(project)
    return load_params()


def test_training_says_what_it_named() -> None:
    card = read_card("artifacts/words")
    assert card.architecture.task == "open-vocabulary"
    assert card.use.classes == ("blue box", "red ball") and card.use.template == "a picture of a {}"
    assert card.provenance.metrics.keys() == {"val_miou"}  # nothing that it is validated on shows the held-out class
    assert all(0 <= value <= 1 for value in card.provenance.metrics.values())
    metrics = read_json("reports/train/words/metrics.json")
    assert metrics.keys() >= {"loss", "found", "vain", "best_val_miou", "best_epoch"}
    assert Path("reports/train/words/samples.png").is_file()


def test_evaluation_counts_every_class() -> None:
    folder = Path("reports/eval/words")
    metrics = read_json(folder / "metrics.json")
    figures = metrics["datasets"]["toys"]["torch"]
    names = {"mIoU", "mIoU_background", "mIoU_seen", "mIoU_unseen", "pixel_accuracy", "mean_accuracy"}
    assert figures.keys() == names | {f"{name}_se" for name in names}
    assert metrics["mean"]["torch"] == figures and metrics["iou"]["toys"].keys() <= set(CLASSES.values())
    assert metrics["images"] == {"toys": {"scored": 3, "failed": 1}}
    assert metrics["prompts"] == 3 and metrics["macs"] > 2 * metrics["macs_of_one"]
    assert metrics["latency_ms"]["torch"]["network_median"] > 0 and metrics["size_bytes"]["torch"] > 0
    about = read_json(folder / "about.json")
    assert about["unseen"] == {"toys": ["green ring"]} and list(about["failures"]["toys"]) == ["toys/test/13"]
    rows = (folder / "per_class.csv").read_text().splitlines()
    assert rows[0] == "dataset,class,trained,pixels,iou,accuracy" and len(rows) == 4
    assert len((folder / "per_image.csv").read_text().splitlines()) == 4
    assert {path.name for path in (folder / "overlays").iterdir()} == {
        "toys-1-best.png", "toys-2-median.png", "toys-3-worst.png", "toys-confusion.png",
    }  # fmt: skip


def test_evaluation_leaves_what_dvc_expects_of_every_network() -> None:
    stage = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["evaluate"]["do"]
    for entry in (*stage["outs"], *stage["metrics"], *stage["plots"]):
        path = entry if isinstance(entry, str) else next(iter(entry))
        for name in ("words", "salient"):
            assert Path(path.replace("${key}", name)).exists(), path
    rows = Path("reports/eval/words/f.csv").read_text().splitlines()
    assert rows[0] == "threshold,f" and len(rows) == 257


def test_the_matrix_is_that_of_the_predictions() -> None:
    """Counted anew, at the image's size, void left out."""
    predictor = load("artifacts/words", device="cpu")
    right = known = 0
    for number in (10, 11, 12):
        values = cv2.imread(f"toys/test-classes/{number}.label.png", cv2.IMREAD_GRAYSCALE)
        (segmentation,) = predictor.predict(
            [read_image(f"toys/test-classes/{number}.image.png")], list(CLASSES.values())
        )
        value_of_label = np.array([0, *CLASSES])
        right += (value_of_label[segmentation.labels_HW] == values)[values < 255].sum()
        known += (values < 255).sum()
    figures = read_json("reports/eval/words/metrics.json")["datasets"]["toys"]["torch"]
    assert figures["pixel_accuracy"] == pytest.approx(right / known)


def test_the_leaderboard_has_a_contest_of_each_task() -> None:
    folder = Path("reports/leaderboard")
    board = read_json(folder / "leaderboard.json")
    salient, named = board["contests"]["saliency"], board["contests"]["open-vocabulary"]
    assert [row["artifact"] for row in salient["rows"]] == ["salient"]
    assert [row["artifact"] for row in named["rows"]] == ["words"]
    assert "mIoU" in named["rows"][0]["mean"] and salient["champion"]["artifact"] == "salient"
    assert named["champion"]["artifact"] == "words" and named["champion"]["metric"] == "mIoU"
    chosen = read_json(folder / "champion.json")
    assert {task: champion["artifact"] for task, champion in chosen.items()} == {
        "saliency": "salient",
        "open-vocabulary": "words",
    }
    assert len({champion["code_sha256"] for champion in chosen.values()}) == 2
    assert {champion["manifest_sha256"] for champion in chosen.values()} == {board["manifest_sha256"]}
    text = (folder / "leaderboard.md").read_text()
    assert "## Open-vocabulary segmentation" in text and "mIoU unseen ↑" in text and "## toys" in text
    assert text.index("## Saliency") < text.index("## Open-vocabulary segmentation")
    assert "**Champion of saliency: salient (torch)**" in text
    assert "**Champion of open-vocabulary: words (torch)**" in text
    page = (folder / "leaderboard.html").read_text()
    assert page.count(">words<br>") == 3, "what it found in the pictures that can be read"
    assert page.count('<section class="champion">') == page.count("<picture>") == 2
    assert page.count("<tr class=champion-row") == 4, "each champion in its two tables"
    assert {path.stem for path in folder.glob("*.png")} == {
        "scatter-saliency", "scatter-saliency-dark", "scatter-open-vocabulary", "scatter-open-vocabulary-dark",
    }  # fmt: skip


def test_one_task_alone_has_a_champion(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("data", "reports", "toys"):
        shutil.copytree(project / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    tree = {**TREE, "evaluate": {"words": "diffusion"}}
    compare.run(Params.model_validate(tree))
    board = read_json("reports/leaderboard/leaderboard.json")
    assert board["contests"].keys() == {"open-vocabulary"} and len(board["contests"]["open-vocabulary"]["rows"]) == 1
    assert champion("open-vocabulary") == (Path("artifacts/words"), "torch")
    assert champion().folder == shipped.FOLDER / shipped.DEFAULT, "what comes with the package, for saliency"
    page = Path("reports/leaderboard/leaderboard.html").read_text()
    assert "Open-vocabulary segmentation" in page and "<h2>Saliency" not in page and "The same images" in page


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("typo", r"held_out_classes \['green rong'\] are not among the classes of its datasets: \['blue box', "),
        ("masks", "objective 'supervised' is not for SegDiffusion; set its name to 'prompted'"),
        ("no-words", "objective 'prompted' is not for PictureAutoencoder"),
    ],
)
def test_mistakes_are_named(params: Params, name: str, problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        train.run(params, name)
