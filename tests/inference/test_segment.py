"""Words in, labels out."""

from pathlib import Path

import numpy as np
import pytest
import torch

from limelight.foundation.errors import UserError
from limelight.inference.loading import load, predictor_class
from limelight.inference.open_vocabulary import OpenVocabularyPredictor
from limelight.inference.saliency import SaliencyPredictor
from limelight.models.class_names import checked_classes
from limelight.models.registry import create_model
from limelight.models.weights import read_card, save_weights
from tests.tolerance import assert_agree


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights as initialised, for 32x32 pictures."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("words") / "tiny"
    model = create_model("segdiffusion-tiny")
    save_weights(folder, model, name="segdiffusion-tiny", input_size=(32, 32), classes=["bird"])
    return folder


@pytest.fixture(scope="module")
def predictor(folder: Path) -> OpenVocabularyPredictor:
    return load(folder, device="cpu", threads=1)


def picture(height: int = 40, width: int = 52, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_each_picture_is_labelled_at_its_own_size(predictor: OpenVocabularyPredictor) -> None:
    words = ["bird", "лодка", "椅子"]
    segmentations = predictor.predict([picture(), picture(33, 64, 1)], words, background=0.4)
    assert [each.labels_HW.shape for each in segmentations] == [(40, 52), (33, 64)]
    for each in segmentations:
        assert each.classes == tuple(words)
        maps = each.probability_KHW
        assert maps.shape == (3, *each.labels_HW.shape) and maps.min() >= 0 and maps.max() <= 1
        expected = np.where(maps.max(0) >= 0.4, maps.argmax(0) + 1, 0)
        assert np.array_equal(each.labels_HW, expected)
        assert np.array_equal(each.probability_HW("椅子"), maps[2])
        assert each.milliseconds.keys() == {"pre", "net", "post"}
    with pytest.raises(UserError, match="'cat' was not asked for; choose one of bird, лодка, 椅子"):
        segmentations[0].probability_HW("cat")


def test_words_have_no_high_resolution(folder: Path) -> None:
    with pytest.raises(UserError, match="segdiffusion-tiny takes text prompts, which high resolution does not support"):
        load(folder, device="cpu", high_resolution=True)


def test_labels_are_not_guided(folder: Path) -> None:
    with pytest.raises(UserError, match="the guided filter is for saliency, which segdiffusion-tiny does not find"):
        load(folder, device="cpu", guided=2)


def test_a_class_s_map_depends_on_nothing_else(predictor: OpenVocabularyPredictor) -> None:
    together = predictor.predict([picture(seed=1), picture()], ["bird", "boat"])[1]
    alone = predictor.predict([picture()], ["boat"])[0]
    assert_agree(alone.probability_Khw[0], together.probability_Khw[1], "segdiffusion-tiny")


def test_a_background_of_0_leaves_no_pixel_out(predictor: OpenVocabularyPredictor) -> None:
    (segmentation,) = predictor.predict([picture()], ["bird", "boat"], background=0.0)
    assert segmentation.labels_HW.min() >= 1
    (none,) = predictor.predict([picture()], ["bird", "boat"], background=1.0)
    assert not none.labels_HW.any()


@pytest.mark.slow
def test_two_hundred_classes(predictor: OpenVocabularyPredictor) -> None:
    words = [f"thing {number}" for number in range(200)]
    one, two = predictor.predict([picture(), picture(seed=1)], words)
    assert one.probability_Khw.shape == (200, 32, 32) and len(two.classes) == 200
    (alone,) = predictor.predict([picture()], ["thing 150"])
    assert_agree(one.probability_Khw[150], alone.probability_Khw[0], "segdiffusion-tiny")


@pytest.mark.slow
def test_templates_tell_the_network_more(predictor: OpenVocabularyPredictor) -> None:
    words = ["a photo of a bird"]
    plain = predictor.predict([picture()], words, template="{}")[0]
    usual = predictor.predict([picture()], ["bird"])[0]
    assert predictor.card.use.template == "a photo of a {}"
    assert_agree(plain.probability_Khw, usual.probability_Khw, "segdiffusion-tiny")
    with pytest.raises(UserError, match=r"the template 'a photo' needs one \{\}"):
        predictor.predict([picture()], words, template="a photo")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ([], "no classes were given"),
        ("bird", r"give the classes as a list, such as \['bird'\]"),
        (["bird", " "], "class 2 of 2 is empty"),
        (["bird", "boat", "Bird "], "classes 'bird', 'Bird' are named more than once"),
        (["bird " * 90], "has 96 tokens with its start and end marks"),
    ],
)
def test_words_that_cannot_be_are_refused(predictor: OpenVocabularyPredictor, words: list[str], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        predictor.predict([picture()], words)


def test_what_is_no_text_is_refused(predictor: OpenVocabularyPredictor) -> None:
    with pytest.raises(UserError, match="class 2 of 2 is not valid text"):
        predictor.predict([picture()], ["bird", "a \ud800"])
    with pytest.raises(UserError, match="is not valid text"):
        predictor.predict([picture()], ["bird"], template="{} \ud800")


def test_blanks_do_not_count() -> None:
    assert checked_classes([" potted \n plant "]) == ("potted plant",)


def test_pictures_that_cannot_be_are_refused(predictor: OpenVocabularyPredictor) -> None:
    with pytest.raises(UserError, match="a picture must be a uint8 array"):
        predictor.predict([picture().astype(np.float32)], ["bird"])


def test_without_words_there_is_nothing_to_find(predictor: OpenVocabularyPredictor) -> None:
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'classes'"):
        predictor.predict([picture()])
    with pytest.raises(TypeError, match="unexpected keyword argument 'companions'"):
        predictor.predict([picture()], ["bird"], companions=[np.eye(4)])
    with pytest.raises(UserError, match="takes images alone"):
        predictor.modality_for(True)


def test_words_need_pytorch(folder: Path) -> None:
    assert "torch on cpu" in load(folder, device="cpu", runtime="auto").description
    with pytest.raises(
        UserError, match="takes text prompts, which exports do not support; use runtime 'torch', not 'onnx-fp32'"
    ):
        load(folder, runtime="onnx-fp32")


def test_another_size_can_be_asked_for(folder: Path) -> None:
    wide = load(folder, device="cpu", size=(40, 50))
    assert wide.plan.fixed == (40, 48)
    assert wide.predict([picture()], ["bird"])[0].probability_Khw.shape == (1, 40, 48)


def test_weights_that_take_no_words_are_no_predictor_of_words(untrained: Path, folder: Path) -> None:
    assert predictor_class(read_card(untrained)) is SaliencyPredictor
    assert predictor_class(read_card(folder)) is OpenVocabularyPredictor
    with pytest.raises(TypeError, match="unexpected keyword argument 'classes'"):
        load(untrained, device="cpu").predict([picture()], classes=["bird"])
