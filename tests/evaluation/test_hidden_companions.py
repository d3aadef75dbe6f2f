"""A network of several modalities in the protocol: what it is given, and what it is worth without."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from limelight.config import Evaluate, Rule
from limelight.data.manifest import Sample
from limelight.evaluation.saliency import by_dataset
from limelight.foundation.errors import UserError
from limelight.imaging.encoding import write_png
from limelight.imaging.images import read_companion, read_image
from limelight.inference.loading import load
from limelight.reporting.compare import compare, write_leaderboard
from limelight.reporting.evaluate import Evaluation, evaluate, open_predictor
from limelight.reporting.overlays import draw_overlays
from limelight.reporting.report import metrics_tree, write_report
from limelight.tasks.saliency import TASK

pytestmark = pytest.mark.slow

Taking = Callable[..., Path]


@pytest.fixture(scope="module")
def scenes(samples: list[Sample], tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    """The images of TWO alone and, as another dataset, with depth; then one of them with a thermal picture."""
    folder = tmp_path_factory.mktemp("companions")
    alone, made = samples[6:], []
    for index, sample in enumerate(alone):
        path = folder / f"{index}.png"
        noise = np.random.default_rng(index).integers(0, 65536, (sample.height, sample.width), np.uint16)
        write_png(path, noise)
        made.append(replace(sample, sample_id=f"DEPTH/{index}", dataset="DEPTH", sensor="rgbd", companion=str(path)))
    warm = replace(made[0], sample_id="WARM/0", dataset="WARM", sensor="rgbt")
    return [*alone, *made, warm]


@pytest.fixture(scope="module")
def figures(taking: Taking, scenes: list[Sample], settings: Evaluate) -> Evaluation:
    return evaluate(taking("rgb", "rgbd"), scenes, settings, device="cpu")


def scores(evaluation: Evaluation, dataset: str) -> dict[str, float]:
    return evaluation.runtimes["torch"].scores[dataset].metrics


def test_every_sample_comes_as_the_network_takes_it(figures: Evaluation, taking: Taking, scenes: list[Sample]) -> None:
    predictor = load(taking("rgb", "rgbd"), device="cpu")
    sample = scenes[3]
    image, depth = read_image(sample.image), read_companion(sample.companion)
    mask = cv2.imread(sample.mask, 0) / 255

    def error(companion: np.ndarray | None) -> float:
        saliency = (predictor.predict([image], [companion])[0].saliency_HW * 255).astype(np.uint8) / 255
        return np.abs((saliency - saliency.min()) / np.ptp(saliency) - mask).mean()

    mae = figures.runtimes["torch"].scores["DEPTH"].per_image["DEPTH/0"]["mae"]
    hidden = figures.without_companion["DEPTH"].per_image["DEPTH/0"]["mae"]
    assert mae == pytest.approx(error(depth), abs=2e-3)
    assert hidden == pytest.approx(error(None), abs=2e-3)
    assert abs(mae - hidden) > 5e-3


def test_hidden_figures_are_those_of_the_images_alone(figures: Evaluation) -> None:
    assert list(figures.without_companion) == ["DEPTH"], "the network takes no thermal pictures"
    assert figures.without_companion["DEPTH"].metrics == pytest.approx(scores(figures, "TWO"), abs=1e-3)
    assert scores(figures, "DEPTH")["mae"] != pytest.approx(scores(figures, "TWO")["mae"], abs=1e-3)


def test_a_network_of_images_is_scored_on_the_same_samples(
    artifact: Path, scenes: list[Sample], settings: Evaluate
) -> None:
    evaluation = evaluate(artifact, scenes, settings, device="cpu")
    assert scores(evaluation, "DEPTH") == pytest.approx(scores(evaluation, "TWO"), abs=1e-3)
    assert evaluation.without_companion == {}
    assert "without_companion" not in metrics_tree(evaluation)


def test_a_network_that_needs_depth_is_scored_where_there_is_any(
    taking: Taking, scenes: list[Sample], settings: Evaluate
) -> None:
    evaluation = evaluate(taking("rgbd"), scenes, settings, device="cpu")
    assert list(evaluation.runtimes["torch"].scores) == ["DEPTH"]
    assert evaluation.without_companion == {}
    with pytest.raises(UserError, match="has a saliency mask and is rgbd"):
        by_dataset(scenes[:3], ["rgbd"])


def test_a_network_of_all_is_scored_in_all(taking: Taking, scenes: list[Sample], settings: Evaluate) -> None:
    evaluation = evaluate(taking("rgb", "rgbd", "rgbt"), scenes, settings, device="cpu")
    assert list(evaluation.runtimes["torch"].scores) == ["TWO", "DEPTH", "WARM"]
    assert list(evaluation.without_companion) == ["DEPTH", "WARM"]
    one = [evaluation.runtimes["torch"].scores[name].per_image[f"{name}/0"]["mae"] for name in ("DEPTH", "WARM")]
    assert one[0] != pytest.approx(one[1], abs=1e-4), "the same picture means something else as a thermal one"


def test_a_bad_companion_is_that_samples_failure(taking: Taking, scenes: list[Sample], settings: Evaluate) -> None:
    broken = [replace(scenes[3], companion="gone.png"), *scenes[4:6]]
    evaluation = evaluate(taking("rgb", "rgbd"), broken, settings, device="cpu")
    assert list(evaluation.runtimes["torch"].scores["DEPTH"].failures) == ["DEPTH/0"]
    assert evaluation.without_companion["DEPTH"].failures == {}


def test_one_table_shows_what_companions_are_worth(
    figures: Evaluation, artifact: Path, scenes: list[Sample], settings: Evaluate, tmp_path: Path
) -> None:
    plain = evaluate(artifact, scenes, settings, device="cpu")
    for evaluation in (figures, plain):
        write_report(evaluation, scenes, tmp_path / "eval" / evaluation.artifact, threads=1)
    metrics = json.loads((tmp_path / "eval" / figures.artifact / "metrics.json").read_text())
    assert metrics["without_companion"]["DEPTH"].keys() == {"torch"}
    assert metrics["without_companion"]["DEPTH"]["torch"].keys() == metrics["datasets"]["DEPTH"]["torch"].keys()

    names, reproduce = [figures.artifact, plain.artifact], {"command": "", "profile": "demo", "dirty": "false"}
    rules = {"saliency": Rule(metric="mae")}
    board, pictures = compare(tmp_path / "eval", names, scenes, settings, rules, {}, reproduce, trees={})
    write_leaderboard(board, pictures, tmp_path / "board")
    page = (tmp_path / "board" / "leaderboard.md").read_text()
    table = page.partition("## DEPTH")[2].partition("\n## ")[0]
    rows = {line.split(" | ")[0].strip("| ") for line in table.splitlines() if "(torch)" in line}
    shown = f"{figures.artifact} (torch)"
    assert rows == {shown, f"{shown}, companion hidden", f"{plain.artifact} (torch)"}
    assert page.count("companion hidden") == 1
    written = json.loads((tmp_path / "board" / "leaderboard.json").read_text())["contests"]["saliency"]["rows"]
    assert [row["artifact"] for row in written if "without_companion" in row] == [figures.artifact]
    assert [tile.title for tile in pictures["DEPTH/0"]][:3] == ["picture", "companion", "mask"]


def test_overlays_show_the_map_that_was_scored(
    figures: Evaluation, taking: Taking, scenes: list[Sample], settings: Evaluate, tmp_path: Path
) -> None:
    by_id = {sample.sample_id: sample for sample in scenes}
    scores = figures.runtimes["torch"].scores["DEPTH"]
    for folder, shown in ((tmp_path / "depth", by_id), (tmp_path / "alone", {})):
        alone = {name: replace(sample, companion=None) for name, sample in by_id.items()}
        predictor = open_predictor(taking("rgb", "rgbd"), settings, "cpu")
        one = settings.model_copy(update={"overlays": 1})
        draw_overlays(TASK, predictor, shown or alone, one, scores, folder, "D")
    pixels = [cv2.imread(str(next(folder.iterdir()))) for folder in (tmp_path / "depth", tmp_path / "alone")]
    assert pixels[0].shape == pixels[1].shape and (pixels[0] != pixels[1]).any()
