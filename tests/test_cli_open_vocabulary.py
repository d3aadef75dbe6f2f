"""`limelight predict` for open-vocabulary networks and for networks that sample, as it is typed."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner, Result

from limelight.cli.main import app
from limelight.foundation.errors import UserError
from limelight.foundation.files import write_json
from limelight.imaging.encoding import write_png
from limelight.media.labels import colour
from limelight.media.legend import MIN_WIDTH, overlay
from limelight.models.registry import create_model
from limelight.models.weights import read_card, save_weights
from limelight.predict.done import DONE
from limelight.predict.options import read_classes
from limelight.predict.styles import file_names

pytestmark = pytest.mark.slow

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Weights as initialised, for 32x32 pictures: 'words' and 'salient'."""
    root = tmp_path_factory.mktemp("weights")
    for kind, name in (("words", "segdiffusion-tiny"), ("salient", "diffsod-tiny")):
        torch.manual_seed(0)
        model = create_model(name)
        save_weights(root / kind, model, name=name, input_size=(32, 32))
    return {kind: root / kind for kind in ("words", "salient")}


@pytest.fixture
def run(weights: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Type `limelight predict ...` in a folder with in/a.png and in/sub/b.png."""
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("in/a.png", "in/sub/b.png")):
        write_png(Path(name), np.random.default_rng(seed).integers(0, 256, (20, 30, 3), np.uint8))

    def predict(*arguments: str, kind: str = "words") -> Result:
        return CliRunner().invoke(app, ["predict", "--model", str(weights[kind]), "--device", "cpu", *arguments])

    return predict


def files(folder: str) -> set[str]:
    """All below a folder but what a folder of results always has besides them."""
    root = Path(folder)
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file() and path.name != DONE}


def test_labels_are_the_default(run: Run) -> None:
    result = run("in", "--classes", "dog, 椅子", "--background", "0.3")
    assert result.exit_code == 0, result.stderr
    assert files("results/labels") == {"a.png", "sub/b.png", "classes.json", "limelight.json"}
    assert json.loads(Path("results/labels/classes.json").read_text(encoding="utf-8")) == {"1": "dog", "2": "椅子"}
    picture = Image.open("results/labels/a.png")
    assert (picture.mode, picture.size) == ("P", (30, 20)) and set(np.unique(picture)) <= {0, 1, 2}
    assert picture.getpalette()[3:9] == [*colour(1), *colour(2)]


def test_labels_maps_and_arrays_agree(run: Run) -> None:
    arguments, background = ("in/a.png", "--classes", "dog, grass"), ("--background", "0.4")
    assert run(*arguments, *background, "-o", "out/l.png").exit_code == 0
    for kind, target in (("npy", "out/n.npy"), ("map", "out/m.png"), ("white", "out/w.png")):
        assert run(*arguments, "--kind", kind, "-o", target).exit_code == 0
        assert "is for labels and overlay" in str(run(*arguments, *background, "--kind", kind).exception)
    maps_KHW = np.load("out/n.npy")
    labels_HW = np.where(maps_KHW.max(0) >= 0.4, maps_KHW.argmax(0) + 1, 0)
    np.testing.assert_array_equal(np.asarray(Image.open("out/l.png")), labels_HW)
    for name, map_HW in zip(("dog", "grass"), maps_KHW, strict=True):
        np.testing.assert_array_equal(cv2.imread(f"out/m.{name}.png", cv2.IMREAD_UNCHANGED), np.rint(255 * map_HW))
    assert json.loads(Path("out/l.classes.json").read_text()) == {"1": "dog", "2": "grass"}
    result = run(*arguments, "--kind", "map", "-o", "out/m.PNG").stderr
    assert result.endswith("written to out/m.dog.PNG, out/m.grass.PNG, out/m.classes.json\n")
    assert cv2.imread("out/w.png").shape == (20, 30, 3)


def test_hidden_pixels_are_of_no_class(run: Run) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 4), np.uint8)
    pixels[..., 3] = 255
    pixels[:, :10, 3] = 0
    Image.fromarray(pixels).save("cut.png")
    arguments, background = ("cut.png", "--classes", "dog, grass"), ("--background", "0")
    for kind, target in (("labels", "l.png"), ("overlay", "o.png")):
        assert run(*arguments, *background, "--kind", kind, "-o", target).exit_code == 0
    for kind, target in (("npy", "n.npy"), ("rgba", "c.png")):
        assert run(*arguments, "--kind", kind, "-o", target).exit_code == 0
    labels_HW = np.asarray(Image.open("l.png"))
    assert not labels_HW[:, :10].any() and labels_HW[:, 10:].all()
    assert not np.load("n.npy")[..., :10].any()
    assert not np.asarray(Image.open("c.png"))[:, :10].any()
    ground = np.asarray(Image.open("o.png"))[:20, :10]
    assert (ground == ground[0, 0]).all(), "what is hidden shows through"


def test_resuming_knows_the_classes(run: Run) -> None:
    arguments = ("in", "--classes", "dog, grass", "--kind", "map", "-o", "out")
    assert run(*arguments).exit_code == 0
    Path("out/sub/b.grass.png").unlink()
    assert "1 written to out, 1 already there" in run(*arguments).stderr
    assert "2 already there" in run(*arguments, "--batch-size", "1").stderr
    for other in (("--template", "{}"), ("--seed", "1", "--denoise-steps", "1")):
        assert "made with other settings" in str(run(*arguments, *other).exception)


def test_a_result_of_too_long_a_name_is_listed(run: Run) -> None:
    long = Path("in/a.png").rename(f"in/{225 * 'a'}.png").stem
    arguments = ("in", "--classes", "a dog that runs over the grass, cat", "--kind", "map", "-o", "out")
    for skipped in (0, 1):
        result = run(*arguments)
        assert (
            result.exit_code == 1
            and f"{1 - skipped} written to out, {skipped} already there, 1 failed" in result.stderr
        )
    made = {f"{long}.cat.png", "sub/b.cat.png", "sub/b.a-dog-that-runs-over-the-grass.png"}
    assert files("out") == {*made, "classes.json", "failures.csv", "limelight.json"}
    (row,) = csv.DictReader(Path("out/failures.csv").read_text().splitlines())
    assert Path(row["source"]).stem == long and "File name too long; rename the picture" in row["reason"]


def test_a_bad_picture_is_listed(run: Run) -> None:
    Path("in/c.png").write_bytes(b"no picture")
    result = run("in", "--classes", "dog", "-o", "out")
    assert result.exit_code == 1 and files("out") >= {"a.png", "sub/b.png", "failures.csv"}
    (row,) = csv.DictReader(Path("out/failures.csv").read_text().splitlines())
    assert row["source"].endswith("c.png") and "cannot read" in row["reason"]


def test_two_hundred_classes_and_more(run: Run) -> None:
    Path("names.txt").write_text("\ufeff" + "\n".join(f"thing {number}" for number in range(260)) + "\n\n")
    assert run("in/a.png", "--classes", "@names.txt", "-o", "out.png", "--background", "0").exit_code == 0
    labels = cv2.imread("out.png", cv2.IMREAD_UNCHANGED)
    assert labels.dtype == np.uint16 and labels.min() >= 1 and labels.max() <= 260
    assert len(json.loads(Path("out.classes.json").read_text())) == 260


def test_an_overlay_has_a_legend(run: Run) -> None:
    assert (
        run("in/a.png", "--classes", "dog, лес", "--kind", "overlay", "--background", "0", "-o", "o.png").exit_code == 0
    )
    picture = cv2.imread("o.png")
    assert picture.shape[1] == MIN_WIDTH and picture.shape[0] > 20
    image, labels = np.zeros((8, 300, 3), np.uint8), np.full((8, 300), 2)
    one, other = (overlay(image, labels, ["", name]) for name in ("кот", "лес"))
    assert one.shape[1] == 300 and (one != other).any() and (one[:8] == other[:8]).all()
    np.testing.assert_array_equal(overlay(image, labels, ["", "\U0010fffe"]), overlay(image, labels, ["", "#2"]))


def test_uncertainty_stands_beside(run: Run) -> None:
    sampled = ("--denoise-steps", "1", "--ensemble-size", "3", "--uncertainty")
    assert run("in", "--classes", "dog, grass", *sampled, "-o", "words").exit_code == 0
    assert run("in", *sampled, "--batch-size", "0", "-o", "salient", kind="salient").exit_code == 0
    for folder in ("words", "salient"):
        uncertainty = cv2.imread(f"{folder}/a.uncertainty.png", cv2.IMREAD_UNCHANGED)
        assert uncertainty.dtype == np.uint16 and uncertainty.shape == (20, 30) and uncertainty.max() > 0
        assert "2 already there" in run(
            "in", *(("--classes", "dog, grass") if folder == "words" else ()), *sampled, "-o", folder, kind=folder
        ).stderr  # fmt: skip


def test_weights_that_learnt_to_denoise_are_used_in_their_steps(run: Run, weights: dict[str, Path]) -> None:
    card = read_card(weights["salient"]).derived(denoise_steps=2)
    shutil.copytree(weights["salient"], "stepwise")
    write_json("stepwise/card.json", card.model_dump(mode="json"))
    result = CliRunner().invoke(
        app, ["predict", "in", "--model", "stepwise", "--device", "cpu", "--ensemble-size", "2", "--uncertainty"]
    )
    assert result.exit_code == 0, result.stderr
    assert json.loads(Path("results/map/limelight.json").read_text())["sampling"] == "2 steps x 2, seed 0"


def test_results_at_the_size_they_were_computed_at(run: Run) -> None:
    sizes = ("--processing-res", "60", "--output-processing-res", "--half-precision")
    assert run("in", *sizes, "--kind", "rgba", "-o", "out", kind="salient").exit_code == 0
    assert cv2.imread("out/a.png", cv2.IMREAD_UNCHANGED).shape == (64, 64, 4)
    assert run("in/a.png", *sizes, "--classes", "dog", "-o", "a.png").exit_code == 0
    assert cv2.imread("a.png").shape == (40, 64, 3)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ([], "words", "segdiffusion-tiny needs text prompts; name classes (--classes)"),
        (["--classes", ""], "words", "no classes were given"),
        (["--classes", "dog,,grass"], "words", "class 2 of 3 is empty"),
        (["--classes", "dog, grass, Dog"], "words", "classes 'dog', 'Dog' are named more than once"),
        (["--classes", "@gone.txt"], "words", "cannot read classes from gone.txt: No such file or directory; give"),
        (["--classes", "椅子" * 60], "words", "the text encoder takes at most 32; shorten it"),
        (["--classes", "dog", "--template", "a photo"], "words", "needs one {}"),
        (["--classes", "dog", "--threshold", "0.5"], "words", "use --background instead"),
        (["--classes", "dog", "--kind", "sepia"], "words", "unknown kind 'sepia'"),
        (["--classes", "dog", "--runtime", "openvino-fp32"], "words", "use runtime 'torch'"),
        (["--classes", "a, b", "--kind", "map", "-o", "-"], "words", "the results are 2 files"),
        (["--classes", "dog"], "salient", "diffsod-tiny takes no text prompts"),
        (["--template", "{}"], "salient", "diffsod-tiny takes no text prompts"),
        (["--background", "0.5"], "salient", "name some (--classes)"),
        (["--kind", "labels"], "salient", "name some (--classes)"),
        (["--uncertainty"], "salient", "ask for --ensemble-size 2 or more"),
        (["--denoise-steps", "3"], "salient", "take 2 or 4"),
        (["--size", "64", "--processing-res", "64"], "salient", "leave the size and the policy out"),
    ],
)
def test_mistakes_are_one_line(run: Run, arguments: list[str], kind: str, message: str) -> None:
    result = run("in/a.png", *arguments, kind=kind)
    assert isinstance(result.exception, UserError), result.stderr
    assert message in str(result.exception) and "\n" not in str(result.exception)


def test_classes_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("potted plant\r\n\nдом, сад\r\n", encoding="utf-8")
    assert read_classes(f"@{tmp_path}/names.txt") == ("potted plant", "дом, сад")
    (tmp_path / "names.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="give a UTF-8 file"):
        read_classes(f"@{tmp_path}/names.txt")


def test_file_names_differ() -> None:
    assert file_names(["Sky / other", "椅子"]) == ["sky-other", "椅子"]
    assert file_names(["sky-other", "sky other", "!"]) == ["1-sky-other", "2-sky-other", "3-"]
    assert file_names(["uncertainty"]) == ["1-uncertainty"]


def test_a_picture_that_the_network_cannot_take_leaves_the_others(run: Run, tmp_path: Path) -> None:
    """The batch norms of published weights know nothing of a picture of one feature."""
    torch.manual_seed(0)
    model = create_model("diffsod-tiny", legacy=True)
    published = {
        "prepare": {"filter": "bicubic", "companions": "stored"},
        "finish": {"filter": "bicubic", "full_contrast": True},
    }
    save_weights(tmp_path / "legacy", model, name="diffsod-tiny", input_size=(64, 64), **published)
    write_png(Path("in/wide.png"), np.zeros((20, 50, 3), np.uint8))
    result = run("in", "--model", str(tmp_path / "legacy"), "--processing-res", "0", "-o", "out/")
    assert result.exit_code == 1
    assert files("out") == {"wide.png", "failures.csv", "limelight.json"}
    with Path("out/failures.csv").open() as table:
        reasons = {Path(row["source"]).name: row["reason"] for row in csv.DictReader(table)}
    assert reasons.keys() == {"a.png", "b.png"} and all("64 pixels" in reason for reason in reasons.values())


def test_published_open_vocabulary_weights_are_said_to_be_used_otherwise(run: Run, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = create_model("segdiffusion-tiny", legacy=True)
    caution = "these published weights draw all classes at once"
    save_weights(tmp_path / "published", model, name="segdiffusion-tiny", input_size=(32, 32), caution=caution)
    result = run("in/a.png", "--model", str(tmp_path / "published"), "--classes", "dog, grass", "-o", "found.png")
    assert result.exit_code == 0 and f"note: {caution}" in result.stderr
    assert "note: " not in run("in/a.png", "--classes", "dog, grass", "-o", "other.png").stderr
