"""Denoising in steps, ensembles, half precision, resolutions, and what legacy weights are used with."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from limelight.foundation.errors import UserError
from limelight.imaging.feeds import picture_feeds
from limelight.imaging.geometry import proportional_size, to_picture
from limelight.inference.loading import load
from limelight.inference.prediction import prediction
from limelight.inference.sampling import Sampling
from limelight.models.card import Finish, Prepare
from limelight.models.diffusion.configs import VAES
from limelight.models.diffusion.parts import build_vae
from limelight.models.registry import create_model
from limelight.models.weights import load_weights, read_card, save_weights
from tests.tolerance import assert_agree

pytestmark = pytest.mark.slow

PUBLISHED = Finish(filter="bicubic", full_contrast=True)


def save(folder: Path, name: str, facts: dict[str, object] | None = None, **options: object) -> Path:
    """Weights as initialised, for 64x64 pictures."""
    torch.manual_seed(0)
    model = create_model(name, **options)
    save_weights(folder, model, name=name, input_size=(64, 64), **(facts or {}))
    return folder


@pytest.fixture(scope="module")
def salient(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("sampling") / "diffsod", "diffsod-tiny")


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("sampling") / "words", "segdiffusion-tiny")


def picture(height: int = 40, width: int = 60, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_seeds_come_from_pixels() -> None:
    one, other = picture(), picture(seed=1)
    assert Sampling(2).seeds([one, other]) == [*Sampling(2).seeds([one]), *Sampling(2).seeds([other])]
    assert len({*Sampling(2).seeds([one, other]), *Sampling(2, seed=1).seeds([one])}) == 3
    assert Sampling(2).seeds([one]) != Sampling(2).seeds([one.reshape(60, 40, 3)])
    assert all(0 <= seed < 2**63 for seed in Sampling(2).seeds([one, other]))


def test_steps_have_no_high_resolution(salient: Path) -> None:
    with pytest.raises(UserError, match="samples in several steps, which high resolution does not support"):
        load(salient, device="cpu", sampling=Sampling(2), high_resolution=True)


def test_order_and_batch_do_not_matter(salient: Path) -> None:
    predictor = load(salient, device="cpu", sampling=Sampling(2, 3))
    images = [picture(seed=seed) for seed in range(3)]
    forward = predictor.predict(images)
    backward = predictor.predict(images[::-1], batch_size=2)[::-1]
    for one, other in zip(forward, backward, strict=True):
        maps, again = (np.stack([prediction.saliency_HW, prediction.uncertainty_HW]) for prediction in (one, other))
        assert_agree(again, maps, "diffsod-tiny", steps=2)
        assert one.uncertainty_HW.shape == one.saliency_HW.shape == (40, 60)
        assert 0 < one.uncertainty_HW.max() <= 0.5
    reseeded = load(salient, device="cpu", sampling=Sampling(2, 3, seed=1)).predict(images[:1])
    assert np.abs(reseeded[0].saliency_HW - forward[0].saliency_HW).max() > 1e-3
    assert "2 steps x 3, seed 0, weights" in predictor.description


def test_words_are_sampled_too(words: Path) -> None:
    predictor = load(words, device="cpu", sampling=Sampling(1, 2))
    together, alone = predictor.predict([picture(), picture(seed=1)], ["cat", "лодка"], background=0.3)
    assert together.uncertainty_HW.shape == together.labels_HW.shape == (40, 60)
    again = predictor.predict([picture(seed=1)], ["лодка"])[0]
    assert_agree(again.probability_Khw[0], alone.probability_Khw[1], "segdiffusion-tiny")


def test_what_cannot_be_sampled_is_refused(salient: Path, untrained: Path) -> None:
    with pytest.raises(UserError, match="this network does not sample: it has no denoising steps and no ensembles"):
        load(untrained, sampling=Sampling(10))
    with pytest.raises(UserError, match="7 denoising steps do not divide the 1000 timesteps; take 5 or 8"):
        load(salient, sampling=Sampling(7))
    with pytest.raises(
        UserError,
        match="should sample in several steps, which exports do not support; use runtime 'torch', not 'onnx-fp32'",
    ):
        load(salient, runtime="onnx-fp32", sampling=Sampling(10))
    with pytest.raises(UserError, match="all 5 members of an ensemble are equal"):
        load(salient, sampling=Sampling(None, 5))
    for arguments, problem in (((0,), "at least 1 step"), ((1, 0), "1 to 1000 members"), ((1, 1001), "got 1001")):
        with pytest.raises(UserError, match=problem):
            Sampling(*arguments)


@pytest.mark.slow
def test_half_precision(salient: Path, words: Path, untrained: Path) -> None:
    depth = np.tile(np.linspace(0, 1, 60, dtype=np.float32), (40, 1))
    for sampling in (Sampling(), Sampling(1, 2)):
        whole, half = (load(salient, device="cpu", sampling=sampling, half_precision=half) for half in (False, True))
        assert (whole.plan.runtime.number_format, half.plan.runtime.number_format) == ("fp32", "bf16")
        given = {"images": [picture()] * 2, "companions": [depth, None], "modality": "rgbd"}
        one, other = (np.stack([result.saliency_HW for result in each.predict(**given)]) for each in (whole, half))
        assert other.dtype == np.float32
        # Far nearer to its like than a picture with depth is to the same one without.
        assert np.abs(one - other).mean() < 0.1 * np.abs(one[0] - one[1]).mean()
    one, other = (
        load(words, device="cpu", half_precision=half).predict([picture()], ["cat", "dog"])[0] for half in (False, True)
    )
    error, spread = np.abs(one.probability_Khw - other.probability_Khw), np.ptp(one.probability_Khw, axis=(1, 2))
    assert error.mean() < 0.1 * spread.min()
    with pytest.raises(UserError, match="'onnx-fp32' has no half precision"):
        load(untrained, runtime="onnx-fp32", half_precision=True)


def test_proportions_can_be_kept(salient: Path) -> None:
    by_32 = Prepare(size=(64, 64), divisor=32)
    assert proportional_size((480, 640), 384, by_32) == (288, 384)
    assert proportional_size((641, 480), 0, by_32) == (672, 480)
    assert proportional_size((3, 2000), 64, by_32) == (32, 64)
    assert proportional_size((1, 40), 0, Prepare(size=(64, 64), least=16)) == (16, 40)
    predictor = load(salient, device="cpu", processing_res=0)
    images = [picture(), picture(64, 32), picture(33, 64, 1)]
    own = predictor.predict(images)
    assert [result.saliency_HW.shape for result in own] == [(40, 60), (64, 32), (33, 64)]
    fed = predictor.predict(images, output_processing_res=True)
    assert [result.saliency_HW.shape for result in fed] == [(64, 64), (64, 32), (64, 64)]
    np.testing.assert_array_equal(own[1].saliency_HW, fed[1].saliency_HW)
    with pytest.raises(UserError, match="or 0 for each picture's own; got -1"):
        load(salient, processing_res=-1)
    with pytest.raises(UserError, match="leave the size and the policy out"):
        load(salient, processing_res=64, size=64)


def test_legacy_weights_are_used_as_published(tmp_path: Path) -> None:
    """Bicubic with antialiasing in, full contrast out, and one picture at a time for the batch norms' sake."""
    facts = {"prepare": {"filter": "bicubic", "companions": "stored"}, "finish": PUBLISHED.model_dump()}
    folder = save(tmp_path / "legacy", "diffsod-tiny", facts, legacy=True)
    card, image, depth = read_card(folder), picture(90, 70), np.linspace(0, 1, 6300, dtype=np.float32).reshape(90, 70)
    feeds = picture_feeds([image], [depth], ["rgbd"], card, (64, 64))
    expected = np.asarray(Image.fromarray(image).resize((64, 64))) / 127.5 - 1  # bicubic is Pillow's default
    np.testing.assert_allclose(feeds["image"][0].transpose(1, 2, 0), expected, atol=1e-5)
    assert feeds["companion"].min() >= 0 and feeds["companion"].max() <= 1

    predictor = load(folder, device="cpu")
    together, alone = predictor.predict([image, picture()])[0], predictor.predict([image])[0]
    assert_agree(together.saliency_HW, alone.saliency_HW, "diffsod-tiny")
    stretched = predictor.predict([image], output_processing_res=True)[0].saliency_HW
    assert (stretched.min(), stretched.max()) == (0, 1)
    with pytest.raises(UserError, match="at least 64 pixels on one side, got 32x32"):
        load(folder, device="cpu", size=32).predict([image])
    result = prediction(np.float32([[[0.2, 0.6]]]), np.float32([[[0, 0.1]]]), (1, 2), {}, finish=PUBLISHED)
    np.testing.assert_allclose(result.saliency_HW, [[0, 1]], atol=1e-6)
    np.testing.assert_allclose(result.uncertainty_HW, [[0, 0.25]], atol=1e-6)
    flat = np.full((4, 4), 0.25, np.float32)
    np.testing.assert_allclose(to_picture(flat, (8, 8), PUBLISHED), 0.25, atol=1e-6)


def test_pictures_alone_cost_no_companion(salient: Path) -> None:
    predictor = load(salient, device="cpu")
    looked = []
    decoder = predictor._backend.network.condition.branch.companion_decoder
    decoder.register_forward_hook(lambda *_: looked.append(True))
    depth = np.tile(np.linspace(0, 1, 60, dtype=np.float32), (40, 1))
    (alone,) = predictor.predict([picture()])
    assert not looked
    beside, _ = predictor.predict([picture(), picture()], [None, depth], modality="rgbd")
    assert looked
    assert_agree(alone.saliency_HW, beside.saliency_HW, "diffsod-tiny")


def test_another_autoencoder_takes_the_place_of_the_network_s(salient: Path, untrained: Path, tmp_path: Path) -> None:
    network, _ = load_weights(salient)
    torch.manual_seed(1)
    other, narrow = build_vae(VAES["tiny"]), build_vae({**VAES["tiny"], "latent_channels": 4})
    for name, vae in (("same", network.vae), ("other", other), ("narrow", narrow)):
        vae.save_pretrained(tmp_path / name)
    (own,), (same,), (changed,) = (
        load(salient, device="cpu", vae=vae).predict([picture()])
        for vae in (None, tmp_path / "same", tmp_path / "other")
    )
    np.testing.assert_array_equal(own.saliency_HW, same.saliency_HW)
    assert np.abs(own.saliency_HW - changed.saliency_HW).max() > 0.01
    with pytest.raises(UserError, match=r"narrow has latents of 4 channels at 1/4 .* works in 8 at 1/4"):
        load(salient, vae=tmp_path / "narrow")
    with pytest.raises(UserError, match=r"absent holds no autoencoder .* config.json is missing"):
        load(salient, vae=tmp_path / "absent")
    with pytest.raises(UserError, match=r"this network has no autoencoder to replace; leave out --vae .*same"):
        load(untrained, vae=tmp_path / "same")
    with pytest.raises(
        UserError,
        match="should use another autoencoder, which exports do not support; use runtime 'torch', not 'onnx-fp32'",
    ):
        load(salient, runtime="onnx-fp32", vae=tmp_path / "same")


def test_a_negative_batch_size_is_refused(salient: Path) -> None:
    with pytest.raises(UserError, match="or 0 to fit the memory; got -1"):
        load(salient, device="cpu").predict([picture()], batch_size=-1)


@pytest.mark.slow
def test_many_threads_may_ask_one_predictor(salient: Path) -> None:
    predictor = load(salient, device="cpu", processing_res=0)
    images = [picture(32 * height, 32 * width) for height, width in ((2, 2), (2, 3), (3, 2))]
    alone = [predictor.predict([image])[0].saliency_HW for image in images]
    with ThreadPoolExecutor(4) as pool:
        maps = list(pool.map(lambda image: predictor.predict([image], batch_size=0)[0].saliency_HW, images * 2))
    for one, other in zip(alone * 2, maps, strict=True):
        assert_agree(other, one, "diffsod-tiny")
