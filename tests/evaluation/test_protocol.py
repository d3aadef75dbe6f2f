import csv
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from limelight.evaluation.map_pictures import FALSE, HIT, MISSED, overlay, panel
from limelight.evaluation.saliency import by_dataset
from limelight.foundation.errors import UserError
from limelight.imaging.images import read_image
from limelight.reporting.evaluate import evaluate, example_ids, open_predictor
from limelight.reporting.overlays import draw_overlays, spread
from limelight.reporting.report import metrics_tree, write_report
from limelight.tasks.saliency import TASK
from tests.evaluation.scoring import score_maps

SLOW = {"adpMSIoU", "maxMSIoU", "avgMSIoU", "hce"}
MEASURED = [name for name in TASK.metrics if name not in (*SLOW, "dtssd")]  # the last is of clips


def test_figures_are_those_of_the_predictors_8bit_maps(evaluation, artifact, samples, settings):
    predictor = open_predictor(artifact, settings, "cpu")
    pairs = []
    for sample in samples[6:]:
        saliency_HW = predictor.predict([read_image(sample.image)])[0].saliency_HW
        pairs.append((sample.sample_id, np.floor(saliency_HW * 255).astype(np.uint8), sample.mask))
    expected = score_maps(pairs, 0)
    scores = evaluation.runtimes["torch"].scores["TWO"]
    assert list(scores.per_image) == [name for name, *_ in pairs]
    for name, value in expected.metrics.items():  # batches of another size round otherwise
        assert scores.metrics[name] == pytest.approx(value, abs=2e-3)


def test_a_damaged_picture_is_reported_and_the_rest_is_scored(evaluation):
    scores = evaluation.runtimes["torch"].scores["ONE"]
    assert list(scores.failures) == ["ONE/002"]
    assert "002.png" in scores.failures["ONE/002"]
    assert len(scores.per_image) == 5


def test_a_runtime_that_cannot_be_opened_is_left_out_and_named(evaluation):
    assert list(evaluation.runtimes) == ["torch"]
    assert "onnxruntime" in evaluation.left_out["onnx-fp32"]


def test_speed_size_and_cost(evaluation, artifact):
    result = evaluation.runtimes["torch"]
    assert result.size_bytes == (artifact / "model.safetensors").stat().st_size
    assert evaluation.cost["macs"] == pytest.approx(1.84e9 / 100, rel=0.1)  # 1.84 GMAC at 320 x 320
    assert evaluation.peak_memory_mb > 50
    for what in ("network", "total"):
        assert 0 < result.latency_ms[f"{what}_median"] <= result.latency_ms[f"{what}_p90"]
    assert result.latency_ms["network_median"] < result.latency_ms["total_median"]


def test_mean_counts_each_dataset_once(evaluation):
    result = evaluation.runtimes["torch"]
    assert result.mean.keys() == result.scores["ONE"].figures.keys()
    for name in MEASURED:
        assert result.mean[name] == pytest.approx(
            (result.scores["ONE"].metrics[name] + result.scores["TWO"].metrics[name]) / 2
        )


def test_maps_are_written_if_asked_for(artifact, samples, settings, tmp_path):
    evaluate(artifact, samples[6:7], settings.model_copy(update={"save_maps": True}), maps=tmp_path)
    written = cv2.imread(str(tmp_path / "tiny" / "torch" / "TWO" / "000.png"), cv2.IMREAD_UNCHANGED)
    assert written.shape == (samples[6].height, samples[6].width)
    assert written.dtype == np.uint8


def test_samples_without_saliency_masks_are_no_part_of_it(samples):
    unlabelled = replace(samples[0], labels="none", mask=None)
    classes = replace(samples[1], labels="classes")
    assert by_dataset([unlabelled, classes, samples[3]], ["rgb"]) == {"ONE": [samples[3]]}
    with pytest.raises(UserError, match="none of 2 samples"):
        by_dataset([unlabelled, classes], ["rgb"])


def test_of_a_dataset_in_several_modalities_the_networks_own_counts(samples):
    depth = replace(samples[0], sample_id="ONE/depth", sensor="rgbd", companion=samples[0].mask)
    assert by_dataset([samples[0], depth], ["rgb"]) == {"ONE": [samples[0]]}
    assert by_dataset([depth], ["rgb"]) == {"ONE": [depth]}


def test_examples_are_the_same_for_everybody_and_spread(samples):
    datasets = by_dataset(samples, ["rgb"])
    assert example_ids(datasets, 2) == ["ONE/000", "ONE/005", "TWO/000", "TWO/002"]
    assert len(example_ids(datasets, 100)) == len(samples)


def test_report(evaluation, samples, settings, tmp_path):
    write_report(evaluation, samples, tmp_path, threads=settings.threads)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics == metrics_tree(evaluation)
    assert metrics["datasets"]["ONE"]["torch"].keys() == {*MEASURED, "Sm_se", "mae_se", "wFm_se", "iou_se", "mba_se"}
    assert metrics["images"]["ONE"] == {"scored": 5, "failed": 1, "empty": 0, "full": 0, "undefined": 0}
    about = json.loads((tmp_path / "about.json").read_text())
    assert about["threads"] == 1
    assert about["failures"]["ONE"].keys() == {"ONE/002"}
    assert all((tmp_path / path).is_file() for path in about["examples"].values())
    assert len(about["examples"]) == 3 + 3  # of the four chosen of ONE, one is damaged
    assert cv2.imread(str(tmp_path / "curves.png")) is not None


def test_csv_of_curves_and_images(evaluation, samples, tmp_path):
    write_report(evaluation, samples, tmp_path, threads=1)
    rows = {name: list(csv.DictReader((tmp_path / f"{name}.csv").open())) for name in ("pr", "f", "per_image")}
    assert [int(row["threshold"]) for row in rows["f"]] == [*range(256)]
    assert list(rows["f"][0]) == ["threshold", "f", "e", "iou", "biou", "tiou"]
    names = [name for name in TASK.per_image if name not in SLOW]
    assert list(rows["per_image"][0]) == ["id", "dataset", "runtime", *names]
    assert all(0 <= float(row["maxBIoU"]) <= 1 for row in rows["per_image"])
    assert rows["pr"][0]["recall"] == "1.000000"
    scores = evaluation.runtimes["torch"].scores["ONE"]
    curve = (scores.curves["f"] + evaluation.runtimes["torch"].scores["TWO"].curves["f"]) / 2
    assert [float(row["f"]) for row in rows["f"]] == pytest.approx(curve[::-1], abs=1e-6)
    assert [row["id"] for row in rows["per_image"]] == [
        *scores.per_image,
        *evaluation.runtimes["torch"].scores["TWO"].per_image,
    ]


def test_overlay_colours_what_is_right_and_wrong():
    saliency = np.array([[255, 255], [0, 0]], np.uint8)
    truth = np.array([[255, 0], [255, 0]], np.uint8)
    tinted = overlay(np.zeros((2, 2, 3), np.uint8), saliency, truth)
    for where, colour in (((0, 0), HIT), ((0, 1), FALSE), ((1, 0), MISSED), ((1, 1), (0, 0, 0))):
        np.testing.assert_allclose(tinted[where], 0.65 * np.array(colour), atol=1)


def test_overlays_go_from_the_best_to_the_worst(evaluation, artifact, samples, settings, tmp_path):
    scores = evaluation.runtimes["torch"].scores["ONE"]
    chosen = spread(scores, TASK, 3)
    maes = [scores.per_image[name]["mae"] for name in chosen]
    assert maes[0] == min(row["mae"] for row in scores.per_image.values())
    assert maes[-1] == max(row["mae"] for row in scores.per_image.values())
    assert maes == sorted(maes)
    by_id = {sample.sample_id: sample for sample in samples}
    predictor, three = open_predictor(artifact, settings, "cpu"), settings.model_copy(update={"overlays": 3})
    draw_overlays(TASK, predictor, by_id, three, scores, tmp_path, "ONE")
    names = sorted(path.name for path in Path(tmp_path).iterdir())
    assert names == ["ONE-1-best.png", "ONE-2-median.png", "ONE-3-worst.png"]


def test_panels_show_the_truth_where_it_lies():
    """A panel shrinks it by 3 here, to the middle of each 3x3 pixels; their first would be moved up and to the left."""
    truth_HW = np.zeros((720, 720), np.uint8)
    truth_HW[1::3, 1::3] = 255
    white, black_HW3 = np.full((720, 720), 255, np.uint8), np.zeros((720, 720, 3), np.uint8)
    drawn = panel(black_HW3, white, truth_HW, "")[:240, -240:]
    assert np.array_equal(drawn, overlay(black_HW3[:240, :240], white[:240, :240], white[:240, :240]))


@pytest.mark.parametrize("size", [(7, 300), (300, 7), (1, 1)])
def test_panels_of_odd_shapes(size):
    blank = np.zeros(size, np.uint8)
    assert panel(np.dstack([blank] * 3), blank, blank, "a very long name " * 9).shape[2] == 3
