"""Companions on their way into a network: sizes, ranges, what is refused, and exports that agree with PyTorch."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limelight.config import Deploy
from limelight.data.loader import evaluation_batches
from limelight.data.manifest import Sample
from limelight.deploy.export import export
from limelight.deploy.parity import measure_parity
from limelight.evaluation.sample_pictures import read_sample
from limelight.foundation.errors import UserError
from limelight.imaging.companions import NEAREST, fit_companion, spread
from limelight.imaging.encoding import write_png
from limelight.imaging.feeds import Feeds, picture_feeds
from limelight.imaging.images import read_picture
from limelight.inference.backends import open_backend
from limelight.inference.backends.backend import Backend
from limelight.inference.loading import load
from limelight.inference.plan import Request, plan
from limelight.inference.runtimes import EXPORTED, RUNTIMES
from limelight.models.card import Architecture, Card, Prepare
from limelight.models.inputs import WITH_COMPANION
from limelight.models.weights import load_weights, read_card, save_weights
from tests.small_network import NAME, Small, create, register
from tests.tolerance import assert_agree, assert_runtime_agrees

pytestmark = pytest.mark.slow

Taking = Callable[..., Path]


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def depth(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 65536, (height, width), np.uint16)


# ---------------------------------------------------------------------------------------------------------- preparation
@settings(max_examples=25)
@given(st.integers(2, 60), st.integers(2, 60), st.sampled_from([np.uint8, np.uint16, np.float32, np.float64]))
def test_every_type_becomes_its_share_of_the_range(height: int, width: int, kind: type) -> None:
    share = np.random.default_rng(0).random((height, width))
    given = share if np.issubdtype(kind, np.floating) else share * np.iinfo(kind).max
    fitted = fit_companion(given.astype(kind), (height, width))
    assert fitted.dtype == np.float32 and fitted.shape == (height, width)
    np.testing.assert_allclose(fitted, share, atol=1 / 255)


def test_another_size_of_the_same_scene_is_resized() -> None:
    ramp = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (48, 1))
    small = fit_companion(ramp, (24, 32))
    assert small.shape == (24, 32)
    np.testing.assert_allclose(small.mean(0), ramp[0].reshape(32, 2).mean(1) / 255, atol=0.01)


MODALITY = st.sampled_from(["rgbd", "rgbt"])


@settings(max_examples=25)
@given(st.integers(2, 60), st.integers(2, 60), MODALITY, st.floats(0.001, 0.9), st.floats(0.001, 0.1))
def test_a_sensor_s_unit_does_not_matter(height: int, width: int, modality: str, unit: float, least: float) -> None:
    distance = least + np.random.default_rng(0).random((height, width)).astype(np.float32)
    actual = spread(distance / 2, modality)
    assert actual.dtype == np.float32 and actual.max() == 1
    assert actual.min() == (NEAREST if modality == "rgbd" else 0)
    order = distance.ravel().argsort()
    assert (np.diff(actual.ravel()[order]) >= 0).all()
    np.testing.assert_allclose(spread(distance * np.float32(unit), modality), actual, atol=1e-3)


def test_holes_stay_holes_and_a_wrong_reading_does_not_set_the_scale() -> None:
    millimetres = np.random.default_rng(0).integers(500, 4000, (60, 80))
    millimetres[:5], millimetres[30, 30] = 0, 65000
    actual = spread((millimetres / 65535).astype(np.float32), "rgbd")
    assert (actual[:5] == 0).all() and (actual[5:] >= NEAREST).all()
    assert actual[millimetres > 3950].min() > 0.97
    heat = spread((millimetres / 65535).astype(np.float32), "rgbt")  # 0 is as cold as it gets, and no hole
    assert heat.min() == 0 and heat[5:].min() > 0.1


@pytest.mark.parametrize("value", [0.0, 0.3])
def test_what_has_one_value_stays_as_it_is(value: float) -> None:
    flat = np.full((4, 6), value, np.float32)
    assert all(np.array_equal(spread(flat, modality), flat) for modality in ("rgbd", "rgbt"))


@pytest.mark.parametrize(
    ("companion", "message"),
    [
        (np.zeros((20, 30), np.uint16), "the companion holds no reading, every pixel is 0"),
        (np.full((20, 30), 7, np.uint8), "no reading, every pixel is 7"),
        (np.eye(20, 30) * 3, "floats from 0 to 3; scale them"),
        (np.where(np.eye(20, 30), np.nan, 0.5), "floats from nan to nan; scale them"),
        (np.eye(20, 30, dtype=np.int32), "must be an array of shape"),
        (np.zeros((20, 30, 3), np.uint8), "must be an array of shape"),
        (np.eye(30, 20), "their proportions differ"),
    ],
)
def test_what_is_no_companion_is_refused(companion: np.ndarray, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        fit_companion(companion, (20, 30))
    assert "\n" not in str(caught.value)


def test_a_colour_picture_is_thermal_but_no_depth(tmp_path: Path) -> None:
    write_png(tmp_path / "image.png", picture(40, 60))
    write_png(tmp_path / "second.png", picture(40, 60, 1))
    assert read_picture(tmp_path / "image.png", tmp_path / "second.png", "rgbt").companion_HW.shape == (40, 60)
    with pytest.raises(UserError, match=r"second\.png is a colour picture, and depth has one channel"):
        read_picture(tmp_path / "image.png", tmp_path / "second.png", "rgbd")


def test_inference_sees_what_training_is_validated_on(tmp_path: Path) -> None:
    """Also for companions of another size than their picture."""
    write_png(tmp_path / "image.png", picture(40, 60))
    write_png(tmp_path / "depth.png", depth(80, 120))
    paths = str(tmp_path / "image.png"), str(tmp_path / "depth.png"), None
    sample = Sample("set/0", "set", "val", "rgbd", "mask", *paths, None, None, (), 60, 40, "")
    takes = {"inputs": WITH_COMPANION, "modalities": ("rgb", "rgbd")}
    card = Card(architecture=Architecture(model="sdnet", family="", **takes), prepare=Prepare(size=(32, 32)))
    photo, companion, modality = read_sample(sample, card)
    image = photo.image_HW3
    feeds = picture_feeds([image], [companion], [modality], card, (32, 32))
    (batch,) = evaluation_batches([sample], 32, 1, inputs=WITH_COMPANION)
    assert feeds.keys() == {"image", "companion", "modality"}
    np.testing.assert_allclose(feeds["image"], batch.image_B3HW, atol=1e-5)
    np.testing.assert_allclose(feeds["companion"], batch.companion_B1HW, atol=2e-5)
    np.testing.assert_array_equal(feeds["modality"], batch.modality_B)


# ------------------------------------------------------------------------------------------------------------ predictor
def test_result_is_the_networks_own(taking: Taking) -> None:
    folder = taking("rgb", "rgbd", "rgbt")
    image, companion = picture(64, 64), depth(64, 64)
    heat = spread((companion / 65535).astype(np.float32), "rgbt")
    model, card = load_weights(folder)
    normalised = ((image / 255.0 - np.array(card.prepare.mean)) / np.array(card.prepare.std)).transpose(2, 0, 1)[None]
    tensors = torch.tensor(normalised, dtype=torch.float32), torch.tensor(heat)[None, None]
    with torch.inference_mode():
        expected = model(*tensors, torch.tensor([2]))[0].sigmoid()[0, 0]
    (prediction,) = load(folder, device="cpu").predict([image], [companion], modality="rgbt")
    assert_agree(prediction.saliency_HW, expected, "sdnet")


def test_result_does_not_depend_on_batch_mates(taking: Taking) -> None:
    predictor = load(taking("rgb", "rgbd"), device="cpu")
    images = [picture(40, 60), picture(30, 30, 1), picture(50, 20, 2)]
    companions = [depth(40, 60), None, depth(25, 10, 2)]
    alone = [predictor.predict([image], [given])[0] for image, given in zip(images, companions, strict=True)]
    together, cut = predictor.predict(images, companions), predictor.predict(images, companions, batch_size=2)
    for one, other, another in zip(alone, together, cut, strict=True):
        assert_agree(other.saliency_HW, one.saliency_HW, "sdnet")
        assert_agree(another.saliency_HW, one.saliency_HW, "sdnet")
    without = predictor.predict(images[1:2])[0].saliency_HW
    np.testing.assert_array_equal(without, alone[1].saliency_HW)
    hidden = predictor.predict(images[:1])[0].saliency_HW
    assert np.abs(hidden - alone[0].saliency_HW).max() > 1e-4


@pytest.mark.parametrize(
    ("modalities", "companions", "modality", "message"),
    [
        (["rgb"], [np.eye(8)], None, "sdnet takes images alone"),
        (["rgbd"], None, None, r"needs a companion with every picture: depth \(rgbd\)"),
        (["rgbd"], [None], None, "needs a companion"),
        (["rgb", "rgbd"], [np.eye(8)], "rgbt", r"takes depth \(rgbd\) as companion, not 'rgbt'"),
        (["rgb", "rgbd", "rgbt"], [np.eye(8)], None, r"say which this is: depth \(rgbd\) or thermal \(rgbt\)"),
        (["rgb", "rgbd"], [np.eye(8), np.eye(8)], None, "1 images and 2 companions"),
        (["rgb", "rgbd"], [np.zeros((8, 8))], None, "the companion holds no reading"),
    ],
)
def test_what_does_not_fit_the_network_is_one_line(
    taking: Taking, modalities: list[str], companions: list | None, modality: str | None, message: str
) -> None:
    predictor = load(taking(*modalities), device="cpu")
    with pytest.raises(UserError, match=message) as caught:
        predictor.predict([picture(8, 8)], companions, modality=modality)
    assert "\n" not in str(caught.value)


def test_no_companion_at_all_is_no_companion(taking: Taking) -> None:
    predictor = load(taking("rgb"), device="cpu")
    (with_none,) = predictor.predict([picture(8, 8)], [None])
    np.testing.assert_array_equal(with_none.saliency_HW, predictor.predict([picture(8, 8)])[0].saliency_HW)


# -------------------------------------------------------------------------------------------------------------- exports
def random_feeds(count: int, height: int, width: int) -> Feeds:
    """Of all modalities in turn."""
    source = np.random.default_rng(0)
    image = source.normal(size=(count, 3, height, width)).astype("float32")
    companion = source.random((count, 1, height, width), "float32")
    return {"image": image, "companion": companion, "modality": np.arange(count) % 3}


def alone(feeds: Feeds) -> Feeds:
    return {"image": feeds["image"]}


def opened(folder: Path, runtime: str) -> Backend:
    return open_backend(plan(folder, read_card(folder), Request(runtime, "cpu", threads=1)))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("exported") / "small"
    with pytest.MonkeyPatch.context() as patch:
        register(patch)
        model = create(modalities=["rgb", "rgbd", "rgbt"])
        card = save_weights(folder, model, name=NAME, input_size=(64, 64))
        export(model.reparameterize(), card, folder, EXPORTED, random_feeds(3, 64, 64))
        yield folder


@pytest.mark.slow
@pytest.mark.parametrize("runtime", list(RUNTIMES)[1:])
def test_runtimes_agree_with_pytorch(exported: Path, runtime: str) -> None:
    reference, exported_predictor = opened(exported, "torch"), opened(exported, runtime)
    for seen in (random_feeds(3, 64, 64), random_feeds(3, 50, 77), alone(random_feeds(1, 33, 18))):
        expected, probability = (each.run(seen).probability_BKhw for each in (reference, exported_predictor))
        assert probability.shape == (len(seen["image"]), 1, *seen["image"].shape[2:])
        assert_runtime_agrees(runtime, probability, expected, Small())


@pytest.mark.parametrize("runtime", ["onnx-fp32", "openvino-fp32"])
def test_an_export_takes_companions_and_their_kind(exported: Path, runtime: str) -> None:
    feeds = random_feeds(1, 64, 64)
    run = opened(exported, runtime).run
    maps = [run({**feeds, "modality": np.array([kind])}).probability_BKhw for kind in (0, 1, 2)]
    np.testing.assert_array_equal(maps[0], run(alone(feeds)).probability_BKhw)
    assert np.abs(maps[0] - maps[1]).max() > 1e-4 and np.abs(maps[1] - maps[2]).max() > 1e-4


def test_parity_is_measured_with_companions(exported: Path) -> None:
    feeds = random_feeds(3, 64, 64)
    masks = (feeds["image"][:, 0] > 1).astype("float32")
    parity = measure_parity(exported, ["openvino-fp32"], feeds, masks, threads=1)
    hidden = measure_parity(exported, ["openvino-fp32"], alone(feeds), masks, threads=1)
    assert parity.violations(Deploy()) == []
    assert parity.reference.mae != hidden.reference.mae
