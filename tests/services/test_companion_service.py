"""The service with a model that takes depth and thermal pictures; one real server for every case here."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from limelight.foundation.errors import UserError
from limelight.inference.loading import load
from limelight.packaging.proof import served_difference
from limelight.packaging.serving import served

pytestmark = pytest.mark.slow

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
DEPTH = np.random.default_rng(1).integers(0, 65536, (80, 120), np.uint16)


@pytest.fixture(scope="module")
def folder(taking: Callable[..., Path]) -> Path:
    return taking("rgb", "rgbd", "rgbt")


@pytest.fixture(scope="module")
def url(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    environment = {
        "LIMELIGHT_MODEL": str(folder),
        "LIMELIGHT_RUNTIME": "torch",
        "LIMELIGHT_MAX_PIXELS": "20000",
        "BENTOML_HOME": str(tmp_path_factory.mktemp("bentoml")),
    }
    with served("limelight.services.saliency:Limelight", environment) as address:
        yield address


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def ask(url: str, companion: bytes | None = None, modality: str | None = None, path: str = "predict") -> httpx.Response:
    files: dict[str, Any] = {"image": ("photo.png", png(IMAGE), "image/png")}
    if companion is not None:
        files["companion"] = ("second.png", companion, "image/png")
    data = {"modality": modality} if modality else {}
    return httpx.post(f"{url}/{path}", files=files, data=data, timeout=60, trust_env=False)


def test_answers_are_the_predictors_own(url: str, folder: Path) -> None:
    predictor = load(folder, device="cpu")
    answers = []
    for companion, modality in ((None, None), (DEPTH, "rgbd"), (DEPTH, "rgbt")):
        answer = ask(url, None if companion is None else png(companion), modality)
        assert answer.status_code == 200, answer.text
        expected = predictor.predict([IMAGE], [companion], modality=modality)[0].saliency_HW
        answers.append(np.asarray(Image.open(io.BytesIO(answer.content))) / 255)
        assert np.abs(answers[-1] - expected).max() <= 1.01 / 255
    assert len({answer.tobytes() for answer in answers}) == 3
    cut_out = ask(url, png(DEPTH), "rgbd", "cutout")
    alpha = np.asarray(Image.open(io.BytesIO(cut_out.content)))[..., 3]
    np.testing.assert_array_equal(alpha, np.rint(answers[1] * 255))


@pytest.mark.parametrize(
    ("companion", "modality", "status", "part"),
    [
        (png(DEPTH), None, 400, "say which this is: depth (rgbd) or thermal (rgbt)"),
        (b"no picture", "rgbd", 400, "cannot read the companion"),
        (png(DEPTH)[:200], "rgbd", 400, "cannot read the companion"),
        (png(np.zeros((40, 60), np.uint8)), "rgbd", 400, "the companion holds no reading"),
        (png(np.eye(40, 20, dtype=np.uint8)), "rgbd", 400, "their proportions differ"),
        (png(IMAGE[::-1]), "rgbd", 400, "the companion is a colour picture, and depth has one channel"),
        (png(np.zeros((200, 300), np.uint8)), "rgbd", 413, "more than the limit of 20000 pixels"),
        (png(DEPTH), "text", 400, "one of rgbd, rgbt"),
    ],
)
def test_what_is_no_companion_is_refused(
    url: str, companion: bytes, modality: str | None, status: int, part: str
) -> None:
    answer = ask(url, companion, modality)
    assert answer.status_code == status, answer.text
    reason = answer.json()["error"]
    assert part in reason and "\n" not in reason and "/tmp" not in reason


def test_the_page_asks_for_what_the_model_takes(url: str) -> None:
    page = httpx.get(url, trust_env=False).text
    assert '<html lang="en" data-takes="rgb rgbd rgbt">' in page
    assert page.count("<label data-modality=") == 2


def test_the_schema_can_be_read(url: str) -> None:
    paths = httpx.get(f"{url}/docs.json", trust_env=False).json()["paths"]
    body = paths["/predict"]["post"]["requestBody"]["content"]
    assert "multipart/form-data" in body


def test_the_proof_of_the_package_uses_a_companion(url: str, folder: Path, taking: Callable[..., Path]) -> None:
    assert served_difference(url, folder, "torch") <= 1.01 / 255
    with pytest.raises(UserError, match="it does not hold these weights"):
        served_difference(url, taking("rgb", "rgbd"), "torch")
