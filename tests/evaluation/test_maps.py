from dataclasses import replace
from pathlib import Path

import cv2
import pytest

from limelight.evaluation.maps import evaluate_maps_folder
from limelight.evaluation.saliency import by_dataset
from limelight.foundation.errors import UserError


def write_maps(folder, samples, by_stem=False, scale=1.0):
    for sample in samples:
        name = f"{sample.dataset}/{Path(sample.image).stem}" if by_stem else sample.sample_id
        path = folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        mask = cv2.imread(sample.mask, cv2.IMREAD_GRAYSCALE)
        cv2.imwrite(str(path), cv2.resize(mask, None, fx=scale, fy=scale))


@pytest.mark.parametrize("by_stem", [True, False])
def test_perfect_maps_score_perfectly(samples, tmp_path, by_stem):
    write_maps(tmp_path, samples, by_stem)
    scores = evaluate_maps_folder(tmp_path, by_dataset(samples, ["rgb"]), 0).scores
    assert list(scores) == ["ONE", "TWO"]
    for dataset_scores in scores.values():
        assert dataset_scores.metrics["mae"] == 0
        assert dataset_scores.metrics["maxFm"] == pytest.approx(1)


def test_missing_maps_are_listed(samples, tmp_path):
    write_maps(tmp_path, samples[2:])
    with pytest.raises(UserError, match=r"lacks 2 of 9 maps: ONE/000, ONE/001;"):
        evaluate_maps_folder(tmp_path, by_dataset(samples, ["rgb"]), 0)


def test_a_folder_that_is_not_there(samples, tmp_path):
    with pytest.raises(UserError, match=r"nowhere is not a folder of maps.*evaluate\.maps"):
        evaluate_maps_folder(tmp_path / "nowhere", by_dataset(samples, ["rgb"]), 0)


def test_maps_of_another_size_are_resized_with_a_notice(samples, tmp_path, capsys):
    write_maps(tmp_path, samples[6:], scale=0.5)
    scores = evaluate_maps_folder(tmp_path, by_dataset(samples[6:], ["rgb"]), 0).scores["TWO"]
    assert scores.resized == [sample.sample_id for sample in samples[6:]]
    assert scores.metrics["mae"] < 0.1
    assert "3 of 3 maps of TWO had another size" in capsys.readouterr().err


def test_a_map_of_two_samples_is_refused(samples, tmp_path):
    write_maps(tmp_path, samples[:1], by_stem=True)
    pair = [replace(samples[0], sample_id=f"ONE/{clip}/000") for clip in "ab"]
    with pytest.raises(UserError, match=r"000\.png would be the map of both ONE/a/000 and ONE/b/000.*<sample id>\.png"):
        evaluate_maps_folder(tmp_path, by_dataset(pair, ["rgb"]), 0)
    write_maps(tmp_path, pair)
    assert len(evaluate_maps_folder(tmp_path, by_dataset(pair, ["rgb"]), 0).paths) == 2
