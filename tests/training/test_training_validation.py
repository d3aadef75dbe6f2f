"""The quick figures against PySODMetrics."""

from pathlib import Path

import numpy as np
import pytest
import torch
from toy import supervised, toy_network, toy_run, toy_samples

from limelight.data.loader import evaluation_batches
from limelight.training.validation import image_scores


def test_scores_equal_pysodmetrics_where_its_normalisation_changes_nothing():
    from py_sod_metrics import MAE, Fmeasure

    random = np.random.default_rng(0)
    mae, fmeasure, ours = MAE(), Fmeasure(), []
    for _ in range(5):
        mask_HW = np.zeros((24, 30), np.uint8)
        mask_HW[5:15, 8:20] = 255
        # Steps of 1/255 that span the range: what PySODMetrics' min-max leaves alone.
        levels_HW = random.integers(0, 256, mask_HW.shape).astype(np.uint8)
        levels_HW[0, :2] = 0, 255
        for metric in (mae, fmeasure):
            metric.step(pred=levels_HW, gt=mask_HW)
        ours.append(image_scores(levels_HW / np.float64(255) + 1e-9, mask_HW / 255))
    mean = np.mean(ours, axis=0)
    assert mean[0] == pytest.approx(mae.get_results()["mae"], abs=1e-8)
    # Both go from the highest threshold to the lowest.
    assert mean[1:] == pytest.approx(fmeasure.get_results()["fm"]["curve"], abs=1e-9)


def test_perfect_and_empty_maps():
    mask_HW = np.zeros((8, 8), np.float32)
    mask_HW[2:5, 2:5] = 1
    perfect, empty = image_scores(mask_HW, mask_HW), image_scores(np.zeros_like(mask_HW), np.zeros_like(mask_HW))
    assert (perfect[0], perfect[1:].max()) == (0, 1)
    assert (empty[0], empty[1:].max()) == (0, 0)


def test_predictions_in_bf16_keep_what_tells_high_probabilities_apart(tmp_path: Path):
    learner = supervised(toy_network().eval(), toy_run())
    (batch,) = evaluation_batches(toy_samples(tmp_path, 2), 32, 2)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        learner.network.head.bias += 6  # sigmoid(6) = 0.9975, where bfloat16 knows 0.996 and 1
        logits_B1HW, probability_B1HW = learner.network.logits(batch.inputs)[0], learner.predict(batch)
    assert logits_B1HW.dtype == torch.bfloat16
    torch.testing.assert_close(probability_B1HW, logits_B1HW.float().sigmoid())
    assert len(probability_B1HW.unique()) == len(logits_B1HW.unique())
