"""A small dataset on disk and a small network's weights folder."""

import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from limelight.config import Evaluate
from limelight.data.manifest import Sample
from limelight.models import create_model
from limelight.models.weights import save_weights
from limelight.reporting.evaluate import Evaluation, evaluate


def make_sample(folder: Path, dataset: str, index: int) -> Sample:
    rng = np.random.default_rng(index)
    height, width = 40 + index, 56
    image = rng.integers(0, 120, (height, width, 3), dtype=np.uint8)
    mask = np.zeros((height, width), np.uint8)
    cv2.circle(mask, (20 + index, 20), 8 + index, 255, -1)
    image[mask > 0] //= 2
    image[mask > 0] += 130
    paths = {kind: folder / dataset / kind / f"{index:03}.png" for kind in ("images", "masks")}
    for path, pixels in zip(paths.values(), (image, mask), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), pixels)
    return Sample(
        sample_id=f"{dataset}/{index:03}",
        dataset=dataset,
        split="test",
        sensor="rgb",
        labels="mask",
        image=str(paths["images"]),
        companion=None,
        mask=str(paths["masks"]),
        clip=None,
        frame=None,
        classes=(),
        width=width,
        height=height,
        sha256="",
    )


@pytest.fixture(scope="session")
def samples(tmp_path_factory) -> list[Sample]:
    """Two datasets, of six and three images; one picture of the first is damaged."""
    folder = tmp_path_factory.mktemp("data")
    made = [make_sample(folder, "ONE", index) for index in range(6)]
    made += [make_sample(folder, "TWO", index) for index in range(3)]
    Path(made[2].image).write_bytes(b"damaged")
    return made


@pytest.fixture(scope="session")
def artifact(tmp_path_factory) -> Path:
    """SDNet as initialised."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("artifacts") / "tiny"
    save_weights(folder, create_model("sdnet"), name="sdnet", input_size=(32, 32))
    return folder


@pytest.fixture(scope="session")
def settings() -> Evaluate:
    return Evaluate(workers=1, latency_runs=2, threads=1, batch_size=4)


@pytest.fixture(scope="session")
def evaluation(artifact, samples, settings, tmp_path_factory) -> Evaluation:
    """Of the artifact with an export, on a machine without ONNX Runtime."""
    folder = shutil.copytree(artifact, tmp_path_factory.mktemp("exported") / "tiny")
    export = folder / "exports" / "onnx-fp32" / "model.onnx"
    export.parent.mkdir(parents=True)
    export.touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "onnxruntime", None)
        patch.delitem(sys.modules, "limelight.inference.backends.onnx", raising=False)
        return evaluate(folder, samples, settings, device="cpu")
