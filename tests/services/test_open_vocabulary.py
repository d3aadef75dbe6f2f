"""The open-vocabulary service; one real server for every case here."""

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from PIL import Image

from limelight.inference.loading import load
from limelight.inference.open_vocabulary import OpenVocabularyPredictor
from limelight.inference.sampling import Sampling
from limelight.media.labels import colour, tinted
from limelight.models import create_model
from limelight.models.weights import save_weights
from limelight.packaging.serving import running
from limelight.services.open_vocabulary import _classes_header, as_names

pytestmark = pytest.mark.slow

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
HEADER = "X-Limelight-Classes"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As initialised: what it finds depends on the prompts, but means nothing."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("open-vocabulary") / "tiny"
    save_weights(path, create_model("segdiffusion-tiny"), name="segdiffusion-tiny", input_size=(32, 32))
    return path


@pytest.fixture(scope="module")
def url(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    environment = {
        "LIMELIGHT_MAX_PIXELS": "20000",
        "LIMELIGHT_MAX_CLASSES": "5",
        "LIMELIGHT_DENOISE_STEPS": "2",
        "LIMELIGHT_ENSEMBLE_SIZE": "2",
        "BENTOML_HOME": str(tmp_path_factory.mktemp("bentoml")),
    }
    with running(["-m", "limelight.cli", "serve", "--model", str(folder)], environment) as address:
        yield address


@pytest.fixture(scope="module")
def predictor(folder: Path) -> OpenVocabularyPredictor:
    """Set as the service is."""
    return load(folder, device="cpu", sampling=Sampling(2, 2))


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def ask(url: str, classes: str = "red ball, grass", content: bytes | None = None, **texts: str) -> httpx.Response:
    files = {"image": ("photo.png", png(IMAGE) if content is None else content, "image/png")}
    return httpx.post(f"{url}/segment", files=files, data={"classes": classes, **texts}, timeout=60, trust_env=False)


def read(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def test_labels_are_the_predictors_own(url: str, predictor: OpenVocabularyPredictor) -> None:
    (expected,) = predictor.predict([IMAGE], ["red ball", "grass"], background=0.4)
    assert len(np.unique(expected.labels_HW)) > 1, "a picture of one label would prove little"
    answer = ask(url, background="0.4")
    assert answer.status_code == 200, answer.text
    assert json.loads(answer.headers[HEADER]) == ["red ball", "grass"]
    steps = [each.partition(";")[0] for each in answer.headers["server-timing"].split(", ")]
    assert steps[0] == "read" and steps[-2:] == ["draw", "encode"]
    picture = read(answer.content)
    assert picture.mode == "P" and picture.size == (60, 40)
    np.testing.assert_array_equal(np.asarray(picture), expected.labels_HW)
    assert tuple(picture.getpalette()[3:6]) == colour(1)

    overlay = np.asarray(read(ask(url, background="0.4", kind="overlay").content))
    np.testing.assert_array_equal(overlay, tinted(IMAGE, expected.labels_HW))

    content = ask(url, background="0.4", kind="json").json()
    np.testing.assert_array_equal(np.asarray(read(base64.b64decode(content["labels"]))), expected.labels_HW)
    assert [(each["label"], each["name"], each["colour"]) for each in content["classes"]] == [
        (1, "red ball", "#800000"), (2, "grass", "#008000"),
    ]  # fmt: skip
    shares = [(expected.labels_HW == label).mean() for label in (1, 2)]
    assert [each["share"] for each in content["classes"]] == pytest.approx(shares, abs=1e-6)


def test_the_template_and_any_names_reach_the_model(url: str, predictor: OpenVocabularyPredictor) -> None:
    names = ["猫", "null", "1984", "chat, noir", "\x7f"]
    answer = ask(url, json.dumps(names), template="{} alone", background="0")
    assert answer.status_code == 200, answer.text
    assert json.loads(answer.headers[HEADER]) == names
    (expected,) = predictor.predict([IMAGE], names, template="{} alone", background=0)
    np.testing.assert_array_equal(np.asarray(read(answer.content)), expected.labels_HW)


def test_text_that_is_json_by_chance_is_text() -> None:
    assert as_names(json.loads("null")) == ["null"] and as_names(json.loads("1984")) == ["1984"]
    assert as_names("dog, grass") == ["dog", " grass"] and as_names("  ") == []
    assert as_names(json.loads('["a, b", 3]')) == ["a, b", "3"]


def test_names_that_are_too_long_for_a_header_are_counted() -> None:
    names = ["кошка" * 10] * 9
    assert _classes_header(names) == {HEADER: json.dumps(names)}
    assert _classes_header(names * 2) == {HEADER: "18"}


@pytest.mark.parametrize(
    ("sent", "status", "part"),
    [
        ({"classes": ""}, 400, "no classes were given"),
        ({"classes": " "}, 400, "no classes were given"),
        ({"classes": "dog,,cat"}, 400, "class 2 of 3 is empty"),
        ({"classes": "dog, Dog"}, 400, "are named more than once"),
        ({"classes": "a,b,c,d,e,f"}, 400, "6 classes, the limit is 5"),
        ({"classes": "very " * 200 + "long"}, 400, "shorten it"),
        ({"classes": '["dog", "\\ud800"]'}, 400, "class 2 of 2 is not valid text"),
        ({"template": "a thing"}, 400, "needs one {}"),
        ({"template": '"\\ud800 {}"'}, 400, "template"),
        ({"background": '"\\ud800"'}, 400, "is not a number from 0 to 1"),
        ({"background": "much"}, 400, "'much' is not a number from 0 to 1"),
        ({"background": "NaN"}, 400, "is not a number from 0 to 1"),
        ({"background": "2"}, 400, "is not a number from 0 to 1"),
        ({"kind": "pickle"}, 400, "one of labels, overlay, json"),
        ({"modality": "rgbd"}, 400, "may have 'template'"),
        ({"content": b"no picture"}, 400, "cannot read the image"),
        ({"content": png(np.zeros((200, 300), np.uint8))}, 413, "more than the limit of 20000 pixels"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_one_line(url: str, sent: dict, status: int, part: str) -> None:
    answer = ask(url, **sent)
    assert answer.status_code == status, answer.text
    reason = answer.json()["error"]
    assert part in reason and "\n" not in reason and "/tmp" not in reason


def test_the_page_asks_for_classes(url: str) -> None:
    page = httpx.get(url, trust_env=False).text
    assert '<html lang="en" data-takes="rgb open-vocabulary">' in page
    description = httpx.post(f"{url}/describe", json={}, trust_env=False).json()
    assert description["card"]["architecture"]["task"] == "open-vocabulary"
    assert description["limits"] == {"max_body": 20 << 20, "max_pixels": 20_000, "max_classes": 5}
    body = httpx.get(f"{url}/docs.json", trust_env=False).json()["paths"]["/segment"]["post"]["requestBody"]["content"]
    assert "multipart/form-data" in body
