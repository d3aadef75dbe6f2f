import subprocess
import sys
import time
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest

from limelight.evaluation.metrics import PER_IMAGE, QUOTED, SLOW, Scorer
from limelight.evaluation.sod import boundary_accuracy
from limelight.foundation.errors import UserError
from limelight.tasks.saliency import TASK
from tests.evaluation.scoring import score_maps

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import py_sod_metrics


def scenes(count, size=(48, 64)):
    rng = np.random.default_rng(7)
    for index in range(count):
        truth = np.zeros(size, np.uint8)
        centre = int(rng.integers(10, size[1] - 10)), int(rng.integers(10, size[0] - 10))
        cv2.ellipse(truth, centre, (int(rng.integers(3, 20)), int(rng.integers(3, 20))), 30, 0, 360, 255, -1)
        noisy = cv2.GaussianBlur(truth, (0, 0), 2) + rng.normal(0, 30, size)
        yield f"set/{index:03}", np.clip(noisy, 0, 255).astype(np.uint8), truth


def library_means(pairs):
    """The figures of PySODMetrics and the curves of a plain run of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        names = ("Smeasure", "MAE", "Emeasure", "Fmeasure", "WeightedFmeasure")
        measures = {name: getattr(py_sod_metrics, name)() for name in names}
        handlers = {"iou": py_sod_metrics.IOUHandler(with_dynamic=True, with_adaptive=False)}
        measures["FmeasureV2"] = py_sod_metrics.FmeasureV2(handlers)
        for _, saliency, truth in pairs:
            for measure in measures.values():
                measure.step(saliency, truth)
    results = {}
    for measure in measures.values():
        results |= measure.get_results()
    e, f = results["em"], results["fm"]
    iou_256 = results["iou"]["dynamic"]
    figures = {"Sm": results["sm"], "mae": results["mae"], "wFm": results["wfm"]}
    figures |= {"adpEm": e["adp"], "maxEm": e["curve"].max(), "avgEm": e["curve"].mean()}
    figures |= {"adpFm": f["adp"], "maxFm": f["curve"].max(), "avgFm": f["curve"].mean()}
    figures |= {"maxIoU": iou_256.max(), "avgIoU": iou_256.mean()}
    curves = {"precision": results["pr"]["p"], "recall": results["pr"]["r"], "f": f["curve"], "e": e["curve"]}
    return figures, curves | {"iou": iou_256}


def iou(saliency, truth):
    both, either = (saliency > 127) & (truth > 128), (saliency > 127) | (truth > 128)
    return both.sum() / either.sum() if either.any() else 1.0


@pytest.fixture(scope="module")
def images():
    blank = np.zeros((48, 64), np.uint8)
    return [*scenes(150), ("set/empty", blank + 9, blank), ("set/full", next(scenes(1))[1], blank + 255)]


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_equals_the_library_whatever_the_number_of_workers(images, workers):
    scores = score_maps(iter(images), workers)
    theirs, curves = library_means(images)
    ours = {name: scores.metrics[name] for name in ("iou", "mba", "maxBIoU", "avgBIoU", "maxTIoU", "avgTIoU")}
    assert scores.metrics == {**theirs, **ours}
    assert ours["iou"] == pytest.approx(np.mean([iou(*maps) for _, *maps in images]), abs=1e-12)
    # Pictures without a boundary count nothing: an empty and a full mask.
    assert ours["mba"] == pytest.approx(np.mean([boundary_accuracy(m > 128, t > 128) for _, m, t in images[:-2]]))
    assert TASK.metrics.keys() - scores.metrics.keys() == {"adpMSIoU", "maxMSIoU", "avgMSIoU", "hce", "dtssd"}
    assert scores.metrics.keys() < TASK.metrics.keys()
    for name, curve in curves.items():
        np.testing.assert_array_equal(scores.curves[name], curve)
    assert list(scores.per_image) == [name for name, *_ in images]
    assert (scores.empty, scores.full) == (["set/empty"], ["set/full"])


def test_per_image_figures_and_the_standard_error(images):
    scores = score_maps(images[:20], 0)
    for metric in PER_IMAGE:
        mean = np.nanmean([row[metric] for row in scores.per_image.values()])
        assert scores.metrics[metric] == pytest.approx(mean, abs=1e-12)
    assert scores.figures.keys() - scores.metrics.keys() == {"Sm_se", "mae_se", "wFm_se", "iou_se", "mba_se"}
    for metric in set(QUOTED) - set(SLOW):
        values = np.array([row[metric] for row in scores.per_image.values()])
        assert scores.figures[f"{metric}_se"] == pytest.approx(values.std(ddof=1) / 20**0.5)
    assert score_maps(images[:1], 0).figures.keys() == scores.metrics.keys()


def test_pictures_without_a_boundary_leave_its_accuracy_undefined(images):
    """Alone they have no mean; among others they do not count."""
    alone, among = score_maps(images[-2:], 0), score_maps([images[0], *images[-2:]], 0)
    assert "mba" not in alone.figures and "mba_se" not in alone.figures
    assert among.metrics["mba"] == score_maps(images[:1], 0).metrics["mba"]


def test_curves_of_the_boundary_are_means_over_the_images(images):
    each = [score_maps([image], 0).curves for image in images[-4:]]
    together = score_maps(images[-4:], 0)
    for name, metric in (("biou", "BIoU"), ("tiou", "TIoU")):
        np.testing.assert_allclose(together.curves[name], np.mean([curves[name] for curves in each], axis=0))
        assert together.metrics[f"max{metric}"] == together.curves[name].max()
        assert together.metrics[f"avg{metric}"] == together.curves[name].mean()


def test_a_failed_image_is_named_and_the_others_are_scored(images, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    damaged = ("set/broken", tmp_path / "broken.png", images[0][2])
    refused = ("set/refused", UserError("the network refused it"), images[0][2])
    scores = score_maps([images[0], damaged, refused, images[1]], 2)
    assert scores.metrics == score_maps(images[:2], 0).metrics
    assert list(scores.failures) == ["set/broken", "set/refused"]
    assert "broken.png" in scores.failures["set/broken"]
    assert scores.failures["set/refused"] == "the network refused it"


def test_files_score_like_arrays(images, tmp_path):
    pairs = []
    for name, saliency, truth in images[:3]:
        paths = [tmp_path / f"{name.replace('/', '-')}-{kind}.png" for kind in ("map", "mask")]
        for path, pixels in zip(paths, (saliency, truth), strict=True):
            cv2.imwrite(str(path), pixels)
        pairs.append((name, paths[0], str(paths[1])))
    assert score_maps(pairs, 0).metrics == score_maps(images[:3], 0).metrics


def test_a_truth_of_zeros_and_ones_is_one_of_0_and_255(images, tmp_path):
    name, saliency, truth = images[0]
    truth = np.where(truth > 127, 255, 0).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "truth.png"), truth // 255)
    scores = score_maps([(name, saliency, tmp_path / "truth.png")], workers=0)
    assert scores.metrics == score_maps([(name, saliency, truth)], workers=0).metrics


def test_a_map_of_another_size_is_resized_and_listed(images):
    name, saliency, truth = images[0]
    half = cv2.resize(saliency, (32, 24))
    scores = score_maps([(name, half, truth)], 0)
    expected = score_maps([(name, cv2.resize(half, (64, 48)), truth)], 0)
    assert scores.resized == [name]
    assert scores.metrics == expected.metrics


def test_an_undefined_s_is_left_out_of_the_mean_and_listed(images):
    truth = np.zeros((48, 64), np.uint8)
    truth[-1] = 255
    odd = ("set/odd", images[0][1], truth)
    scores = score_maps([*images[:5], odd], 0)
    assert scores.undefined == ["set/odd"]
    assert scores.metrics["Sm"] == score_maps(images[:5], 0).metrics["Sm"]
    assert scores.metrics["mae"] != score_maps(images[:5], 0).metrics["mae"]
    assert scores.figures["Sm_se"] == score_maps(images[:5], 0).figures["Sm_se"]


def test_the_generator_is_read_only_a_little_ahead(images):
    """A network may predict while workers score, but a thousand maps must not pile up."""
    taken = 0

    def counted():
        nonlocal taken
        for pair in images:
            taken += 1
            yield pair

    with Scorer(1) as scorer:
        outcomes = scorer._outcomes(counted())
        next(outcomes)
        assert taken <= 20
        assert sum(1 for _ in outcomes) == len(images) - 1


@pytest.mark.parametrize("workers", [0, 1])
def test_nothing_to_score_is_an_error(workers):
    with pytest.raises(UserError, match="none of 0 images"):
        score_maps([], workers)
    with pytest.raises(UserError, match="dark"):
        score_maps([("a", UserError("too dark"), np.zeros((3, 3), np.uint8))], workers)


def test_an_id_may_come_only_once(images):
    with pytest.raises(UserError, match="set/000"):
        score_maps([images[0], images[0]], 0)


_OWNER = """
import sys, time
import numpy as np
from limelight.evaluation.metrics import Scorer
blank = np.zeros((9, 9), np.uint8)
with Scorer(1) as scorer:
    scorer.score([("a", blank, blank)])
    print(*scorer._pool._processes, flush=True)
    time.sleep(60)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks processes up in /proc")
def test_workers_end_when_their_owner_is_killed():
    owner = subprocess.Popen([sys.executable, "-c", _OWNER], stdout=subprocess.PIPE, text=True)
    try:
        worker = Path("/proc", owner.stdout.readline().strip())
        assert runs(worker)
    finally:
        owner.kill()
        owner.wait()
    for _ in range(600):
        if not runs(worker):
            return
        time.sleep(0.1)
    pytest.fail(f"{worker} outlives its owner")


def runs(process):
    """Whether a folder of /proc stands for a process that has not ended; a zombie has."""
    try:
        return "State:\tZ" not in (process / "status").read_text()
    except OSError:
        return False


def test_workers_import_no_more_than_they_need():
    """A worker that imported torch or PySODMetrics' own dependencies would take seconds to start."""
    unwanted = {"torch", "sklearn", "pandas", "skimage", "py_sod_metrics"}
    code = f"import sys, limelight.evaluation.worker; print(*{unwanted} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""
