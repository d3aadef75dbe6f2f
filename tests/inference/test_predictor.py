"""Predictor: sizes, independence of batch mates, honest devices."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

import limelight
from limelight import cut_out
from limelight.cli.main import app
from limelight.foundation.errors import UserError
from limelight.imaging.encoding import write_png
from limelight.imaging.feeds import picture_feeds
from limelight.imaging.geometry import fixed_size, stretch, to_picture
from limelight.inference.loading import load
from limelight.inference.saliency import SaliencyPredictor
from limelight.models.card import Prepare
from limelight.models.registry import create_model
from limelight.models.weights import load_weights, save_weights
from tests.tolerance import assert_agree


@pytest.fixture(scope="module")
def predictor(untrained: Path) -> SaliencyPredictor:
    return load(untrained, device="cpu")


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@settings(max_examples=15)
@given(st.integers(1, 90), st.integers(1, 90))
@example(1, 1)
@example(1, 2000)
@example(2000, 1)
def test_result_has_the_pictures_size_and_range(predictor: SaliencyPredictor, height: int, width: int) -> None:
    (result,) = predictor.predict([picture(height, width)])
    assert result.saliency_HW.shape == (height, width)
    assert result.saliency_HW.dtype == np.float32
    assert result.saliency_HW.min() >= 0 and result.saliency_HW.max() <= 1
    assert result.milliseconds.keys() == {"pre", "net", "post"}


def test_files_and_pil_pictures_are_taken_as_arrays_are(predictor: SaliencyPredictor, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write_png(path, picture(40, 60))
    with Image.open(path) as opened:
        found = predictor.predict([picture(40, 60), path, str(path), opened, opened.convert("RGBA")])
    for each in found[1:]:
        np.testing.assert_array_equal(each.saliency_HW, found[0].saliency_HW)
    with pytest.raises(UserError, match="gone"):
        predictor.predict([tmp_path / "gone.png"])


def test_a_cut_out_is_that_of_the_command_line(predictor: SaliencyPredictor, untrained: Path, tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", picture(40, 60))
    command = ["predict", str(tmp_path / "a.png"), "-o", str(tmp_path / "b.png"), "--kind", "rgba"]
    assert CliRunner().invoke(app, [*command, "--model", str(untrained), "--device", "cpu"]).exit_code == 0
    with Image.open(tmp_path / "b.png") as written:
        np.testing.assert_array_equal(cut_out(tmp_path / "a.png", predictor), np.asarray(written))


@pytest.mark.parametrize("opened", [load, limelight.load])
def test_an_unknown_option_is_told_with_the_nearest(opened: Callable[..., object], untrained: Path) -> None:
    with pytest.raises(TypeError, match="unexpected option 'runtim'; did you mean runtime"):
        opened(untrained, runtim="torch")


def test_protocol_is_the_networks_own_output(predictor: SaliencyPredictor, untrained: Path) -> None:
    """At the card's size nothing is resized, so the result is the sigmoid of the finest logits."""
    image = picture(64, 64)
    model, card = load_weights(untrained)
    normalised = (image / 255.0 - np.array(card.prepare.mean)) / np.array(card.prepare.std)
    with torch.inference_mode():
        logits = model(torch.tensor(normalised.transpose(2, 0, 1)[None], dtype=torch.float32))[0]
    assert_agree(predictor.predict([image])[0].saliency_HW, logits.sigmoid()[0, 0], "sdnet")


def test_result_does_not_depend_on_batch_mates(predictor: SaliencyPredictor) -> None:
    image, dark, bright = picture(40, 60), np.zeros((30, 30, 3), np.uint8), np.full((50, 20, 3), 255, np.uint8)
    alone = predictor.predict([image])[0].saliency_HW
    first = predictor.predict([image, dark])[0].saliency_HW
    second = predictor.predict([image, bright])[0].saliency_HW
    last = predictor.predict([bright, dark, image])[2].saliency_HW
    np.testing.assert_array_equal(first, second)
    assert_agree(first, alone, "sdnet")
    assert_agree(last, alone, "sdnet")


def test_batches_are_cut_and_kept_in_order(predictor: SaliencyPredictor) -> None:
    images = [picture(10 + index, 12, seed=index) for index in range(5)]
    together, cut = predictor.predict(images), predictor.predict(images, batch_size=2)
    assert [result.saliency_HW.shape[0] for result in cut] == [10, 11, 12, 13, 14]
    for one, other in zip(together, cut, strict=True):
        assert_agree(other.saliency_HW, one.saliency_HW, "sdnet")
    assert predictor.predict([]) == []


def test_what_is_no_picture_is_named(predictor: SaliencyPredictor) -> None:
    for given_ in (None, [[0]]):
        with pytest.raises(UserError, match=r"got (NoneType|list); .*read_image reads files"):
            predictor.predict([given_])


def test_numbers_that_are_not_finite_are_no_map(tmp_path: Path) -> None:
    network = create_model("sdnet", width=12)
    with torch.no_grad():
        network.encoder.stem.weight[0, 0, 0, 0] = torch.nan
    save_weights(tmp_path, network, name="sdnet", input_size=(32, 32))
    with pytest.raises(UserError, match="numbers that are not finite; its weights are damaged"):
        load(tmp_path, device="cpu").predict([np.zeros((20, 30, 3), np.uint8)])


@pytest.mark.parametrize("option", ["size", "processing_res"])
def test_sizes_have_an_end(untrained: Path, option: str) -> None:
    with pytest.raises(UserError, match="no network sees pictures of more than 134217728 pixels a side"):
        load(untrained, **{option: 2**31})


def test_no_stretching_to_full_contrast(predictor: SaliencyPredictor) -> None:
    """A picture of nothing keeps whatever narrow range the network gives it."""
    probability_HW = np.full((8, 8), 0.3, np.float32)
    np.testing.assert_allclose(to_picture(probability_HW, (5, 7)), 0.3, atol=1e-6)


def test_stretch_is_plain_bilinear() -> None:
    row = np.float32([[0.0, 1.0]])
    np.testing.assert_allclose(stretch(row, (1, 4)), [[0.0, 0.25, 0.75, 1.0]])


def test_description_says_what_runs(predictor: SaliencyPredictor) -> None:
    card = predictor.card
    assert predictor.description == (
        f"sdnet (training form, 745,197 parameters), torch on cpu, fp32, weights {card.provenance.sha256[:12]}"
    )


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("limelight-base", "limelight-base"),
        ("limelight-base-bde1d1a21d9d-openvino-fp32", "limelight-base"),
        ("inspyrenet-swinb.plus-ultra-0123456789ab-onnx-int8-89abcdef", "inspyrenet-swinb.plus-ultra"),
        ("bde1d1a21d9d", "sdnet"),  # a bento's
    ],
)
def test_the_name_is_the_folder_s(untrained: Path, tmp_path: Path, folder: str, name: str) -> None:
    shutil.copytree(untrained, tmp_path / folder)
    planned = load(tmp_path / folder).plan
    assert planned.name == name
    assert planned.description.startswith(f"{name}: sdnet (" if name != "sdnet" else "sdnet (")


def test_size_is_rounded_to_what_the_network_takes(untrained: Path) -> None:
    any_size = Prepare(size=(64, 64))
    assert fixed_size(100, Prepare(size=(64, 64), divisor=32)) == (96, 96)
    assert fixed_size((1, 50), Prepare(size=(64, 64), divisor=16)) == (16, 48)
    assert fixed_size((1, 50), Prepare(size=(64, 64), least=16)) == (16, 50)
    larger = load(untrained, device="cpu", size=96)
    assert larger.plan.fixed == (96, 96)
    assert larger.predict([picture(30, 20)])[0].saliency_HW.shape == (30, 20)
    with pytest.raises(UserError, match="size must be positive"):
        fixed_size(0, any_size)


def test_a_policy_in_place_of_the_cards(untrained: Path) -> None:
    """Equal to the size that it gives, requested as such."""
    wide = picture(40, 150)
    dynamic = load(untrained, device="cpu", policy="longest", size=64)
    assert dynamic.plan.fixed is None
    stretched = load(untrained, device="cpu", processing_res=64)
    np.testing.assert_array_equal(dynamic.predict([wide])[0].saliency_HW, stretched.predict([wide])[0].saliency_HW)
    with pytest.raises(UserError, match="unknown policy 'dynamic'; choose one of: stretch, longest, shorter, native"):
        load(untrained, policy="dynamic")
    with pytest.raises(UserError, match="leave the size or the policy out"):
        load(untrained, policy="native", size=64)
    with pytest.raises(UserError, match="leave the size and the policy out"):
        load(untrained, policy="native", processing_res=0)


@pytest.mark.parametrize("options", [{"size": 1}, {"processing_res": 0}, {"processing_res": 3}])
def test_thin_pictures_are_brought_to_what_the_network_can_take(untrained: Path, options: dict[str, int]) -> None:
    predictor = load(untrained, device="cpu", **options)
    predictions = predictor.predict([picture(1, 1), picture(40, 1), picture(1, 40)])
    assert [one.saliency_HW.shape for one in predictions] == [(1, 1), (40, 1), (1, 40)]


def with_size(folder: Path, target: Path, size: list[int]) -> Path:
    """A weights folder whose card says another input size."""
    shutil.copytree(folder, target)
    card = json.loads((target / "card.json").read_text())
    card["prepare"]["size"] = size
    (target / "card.json").write_text(json.dumps(card))
    return target


@pytest.mark.parametrize("size", [[0, 64], [64, -8]])
def test_a_card_without_a_size_is_one_clear_line(untrained: Path, tmp_path: Path, size: list[int]) -> None:
    with pytest.raises(UserError, match=r"card\.json: prepare\.size\.\d: .* greater than 0"):
        load(with_size(untrained, tmp_path / "w", size))


def test_a_cards_size_is_rounded_too(untrained: Path, tmp_path: Path) -> None:
    odd = load(with_size(untrained, tmp_path / "w", [3, 50]), device="cpu")
    assert odd.plan.fixed == (16, 50)
    assert odd.predict([picture(4, 4)])[0].saliency_HW.shape == (4, 4)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_cuda_is_never_replaced_in_silence(untrained: Path) -> None:
    with pytest.raises(UserError, match="cuda"):
        load(untrained, device="cuda")


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)],
)
def test_other_arrays_are_refused(predictor: SaliencyPredictor, image: np.ndarray) -> None:
    with pytest.raises(UserError, match="uint8 array of shape"):
        picture_feeds([image], [None], ["rgb"], predictor.card, predictor.plan.fixed)
    with pytest.raises(UserError, match="uint8 array of shape"):
        predictor.predict([image])


def test_companions_and_prompts_are_refused(predictor: SaliencyPredictor) -> None:
    with pytest.raises(UserError, match="takes images alone"):
        predictor.predict([picture(4, 4)], [np.eye(4)])
    with pytest.raises(TypeError, match="unexpected keyword argument 'classes'"):
        predictor.predict([picture(4, 4)], classes=["dog"])


def test_unknown_folder_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a weights folder"):
        load(tmp_path)
