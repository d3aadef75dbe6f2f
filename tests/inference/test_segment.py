"""Words in, labels out."""

from pathlib import Path

import numpy as np
import pytest
import torch

from limelight.inference.segment import Segmenter, checked_classes
from models.errors import UserError
from models.registry import create_model
from models.weights import save_weights


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights as initialised, for 32x32 pictures."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("words") / "tiny"
    model = create_model("segdiffusion-tiny")
    save_weights(
        folder, model, name="segdiffusion-tiny", input_size=(32, 32), mean=model.mean, std=model.std, classes=["bird"]
    )
    return folder


@pytest.fixture(scope="module")
def segmenter(folder: Path) -> Segmenter:
    return Segmenter.load(folder, device="cpu", threads=1)


def picture(height: int = 40, width: int = 52, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_each_picture_is_labelled_at_its_own_size(segmenter: Segmenter) -> None:
    words = ["bird", "лодка", "椅子"]
    found = segmenter.predict([picture(), picture(33, 64, 1)], words, threshold=0.4)
    assert [each.labels_HW.shape for each in found] == [(40, 52), (33, 64)]
    for each in found:
        assert each.classes == tuple(words)
        maps = each.probability_KHW
        assert maps.shape == (3, *each.labels_HW.shape) and maps.min() >= 0 and maps.max() <= 1
        expected = np.where(maps.max(0) >= 0.4, maps.argmax(0) + 1, 0)
        assert np.array_equal(each.labels_HW, expected)
        assert np.array_equal(each.probability_HW("椅子"), maps[2])
        assert each.milliseconds.keys() == {"pre", "net", "post"}
    with pytest.raises(UserError, match="'cat' was not asked for; choose one of bird, лодка, 椅子"):
        found[0].probability_HW("cat")


def test_a_class_s_map_depends_on_nothing_else(segmenter: Segmenter) -> None:
    together = segmenter.predict([picture(seed=1), picture()], ["bird", "boat"])[1]
    alone = segmenter.predict([picture()], ["boat"])[0]
    np.testing.assert_allclose(alone.probability_Khw[0], together.probability_Khw[1], atol=1e-5)


def test_a_threshold_of_0_leaves_no_pixel_out(segmenter: Segmenter) -> None:
    (found,) = segmenter.predict([picture()], ["bird", "boat"], threshold=0.0)
    assert found.labels_HW.min() >= 1
    (none,) = segmenter.predict([picture()], ["bird", "boat"], threshold=1.0)
    assert not none.labels_HW.any()


def test_two_hundred_classes(segmenter: Segmenter) -> None:
    words = [f"thing {number}" for number in range(200)]
    one, two = segmenter.predict([picture(), picture(seed=1)], words)
    assert one.probability_Khw.shape == (200, 32, 32) and len(two.classes) == 200
    (alone,) = segmenter.predict([picture()], ["thing 150"])
    np.testing.assert_allclose(one.probability_Khw[150], alone.probability_Khw[0], atol=1e-5)


def test_templates_tell_the_network_more(segmenter: Segmenter) -> None:
    words = ["a photo of a bird"]
    plain = segmenter.predict([picture()], words, template="{}")[0]
    usual = segmenter.predict([picture()], ["bird"])[0]
    assert segmenter.card.prompt == "a photo of a {}"
    np.testing.assert_allclose(plain.probability_Khw, usual.probability_Khw, atol=1e-6)
    with pytest.raises(UserError, match=r"the template 'a photo' needs one \{\}"):
        segmenter.predict([picture()], words, template="a photo")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ([], "no classes were given"),
        ("bird", r"give the classes as a list, such as \['bird'\]"),
        (["bird", " "], "class 2 of 2 is empty"),
        (["bird", "boat", "Bird "], "classes 'bird', 'Bird' are the same"),
        (["bird " * 90], "has 96 tokens with the marks at its ends"),
    ],
)
def test_words_that_cannot_be_are_refused(segmenter: Segmenter, words: list[str], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        segmenter.predict([picture()], words)


def test_blanks_do_not_count() -> None:
    assert checked_classes([" potted \n plant "]) == ("potted plant",)


def test_pictures_that_cannot_be_are_refused(segmenter: Segmenter) -> None:
    with pytest.raises(UserError, match="a picture must be a uint8 array"):
        segmenter.predict([picture().astype(np.float32)], ["bird"])


def test_another_size_can_be_asked_for(folder: Path) -> None:
    wide = Segmenter.load(folder, device="cpu", size=(40, 50))
    assert wide.size == (40, 48)
    assert wide.predict([picture()], ["bird"])[0].probability_Khw.shape == (1, 40, 48)


def test_weights_that_take_no_words_are_refused(untrained: Path) -> None:
    with pytest.raises(UserError, match="takes no words"):
        Segmenter.load(untrained)
