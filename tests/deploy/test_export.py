"""Exports run in their runtimes at sizes and batches they were not traced at, and agree with PyTorch."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import openvino
import pytest
import torch

from limelight.config import Deploy
from limelight.deploy.export import COMMAND, PIPELINE, ErrorWording, export
from limelight.deploy.parity import accuracy, measure_parity, plot_parity
from limelight.foundation.errors import UserError
from limelight.imaging.feeds import Feeds
from limelight.inference.backends import open_backend
from limelight.inference.backends.backend import Backend
from limelight.inference.loading import check, load
from limelight.inference.plan import Request, plan
from limelight.inference.runtimes import EXPORTED, RUNTIMES
from limelight.models.base import Capabilities, Network
from limelight.models.registry import create_model
from limelight.models.weights import describe, read_card, save_weights
from tests.tolerance import assert_runtime_agrees

pytestmark = pytest.mark.slow

SIZE = (64, 96)
OTHERS = [name for name in RUNTIMES if name != "torch"]


def images(count: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, 3, *size)).astype("float32")


def feeds(count: int, size: tuple[int, int] = SIZE) -> Feeds:
    return {"image": images(count, size)}


def opened(folder: Path, runtime: str, device: str = "cpu", threads: int | None = None) -> Backend:
    card = read_card(folder)
    return open_backend(plan(folder, card, Request(runtime, device, threads)))


def maps(backend: Backend, given: Feeds) -> np.ndarray:
    return backend.run(given).probability_BKhw


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A merged SDNet, exported for every runtime over an older export."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("deploy") / "sdnet"
    model = create_model("sdnet").reparameterize()
    card = save_weights(folder, model, name="sdnet", input_size=SIZE, form="merged")
    stale = folder / "exports" / "openvino-fp32" / "stale.txt"
    stale.parent.mkdir(parents=True)
    stale.write_text("from before")
    export(model, card, folder, EXPORTED, feeds(4))
    return folder


@pytest.fixture(scope="module")
def unexported(folder: Path) -> Iterator[Path]:
    """The same weights without their exports."""
    bare = folder.with_name("bare")
    bare.mkdir()
    for name in ("model.safetensors", "card.json"):
        (bare / name).write_bytes((folder / name).read_bytes())
    yield bare


def test_writes_one_folder_per_export_and_nothing_else(folder: Path) -> None:
    assert {path.name for path in (folder / "exports").iterdir()} == {
        "onnx-fp32",
        "onnx-int8",
        "openvino-fp32",
        "openvino-int8",
    }
    for runtime in ("openvino-fp32", "openvino-int8"):
        assert sorted(path.name for path in (folder / "exports" / runtime).iterdir()) == ["model.bin", "model.xml"]
    assert [path.name for path in (folder / "exports" / "onnx-int8").iterdir()] == ["model.onnx"]


@pytest.mark.parametrize("runtime", OTHERS)
def test_runtimes_agree_with_pytorch(folder: Path, runtime: str) -> None:
    reference, exported = opened(folder, "torch", threads=1), opened(folder, runtime, threads=1)
    for batch, size in ((1, SIZE), (3, (50, 77)), (2, (96, 64)), (1, (33, 18))):
        given = feeds(batch, size)
        expected, probability = maps(reference, given), maps(exported, given)
        assert probability.shape == (batch, 1, *size)
        assert probability.dtype == np.float32
        assert_runtime_agrees(runtime, probability, expected, "sdnet")


def test_an_export_of_one_size_refuses_others(folder: Path, tmp_path: Path) -> None:
    import onnx
    import openvino

    path = tmp_path / "exports" / "onnx-fp32" / "model.onnx"
    path.parent.mkdir(parents=True)
    program = onnx.load(RUNTIMES["onnx-fp32"].file(folder))
    for dimension, side in zip(program.graph.input[0].type.tensor_type.shape.dim[2:], SIZE, strict=True):
        dimension.dim_value = side
    onnx.save(program, path)
    openvino.save_model(openvino.Core().read_model(path), RUNTIMES["openvino-fp32"].file(tmp_path))
    for name in ("onnx-fp32", "openvino-fp32"):
        shutil.copy(folder / "card.json", tmp_path)
        runtime = opened(tmp_path, name, threads=1)
        assert maps(runtime, feeds(2)).shape == (2, 1, *SIZE)
        with pytest.raises(UserError, match="takes images of 64 x 96 pixels, got 64 x 64"):
            runtime.run(feeds(1, (64, 64)))
        load(tmp_path, runtime=name)
        for sides, got in (({"size": 64}, "64 x 64"), ({"processing_res": 0}, "sizes of their own")):
            with pytest.raises(UserError, match=f"takes images of 64 x 96 pixels, got {got}"):
                load(tmp_path, runtime=name, **sides)
        with pytest.raises(UserError, match="got sizes of their own"):
            check(tmp_path, Request(name, processing_res=0))


class Attention(Network):
    """Every pixel looks at every other."""

    capabilities = Capabilities(fixed_export=True)

    def forward(self, image_B3HW: torch.Tensor) -> list[torch.Tensor]:
        tokens_BNC = image_B3HW.flatten(2).transpose(1, 2)
        seen_BNC = (tokens_BNC @ tokens_BNC.transpose(1, 2)).softmax(-1) @ tokens_BNC
        return [seen_BNC.transpose(1, 2).unflatten(2, image_B3HW.shape[2:]).mean(1, keepdim=True)]


def test_networks_with_attention_are_exported_at_one_size(folder: Path, tmp_path: Path) -> None:
    card = read_card(folder).derived(size=(8, 12))
    shutil.copy(folder / "card.json", tmp_path)
    export(Attention(), card, tmp_path, ["onnx-fp32"], feeds(1))
    runtime = opened(tmp_path, "onnx-fp32", threads=1)
    given = feeds(3, (8, 12))
    expected = Attention()(torch.from_numpy(given["image"]))[0].sigmoid()
    np.testing.assert_allclose(maps(runtime, given), expected, atol=1e-6)
    with pytest.raises(UserError, match="takes images of 8 x 12 pixels, got 12 x 8"):
        runtime.run(feeds(1, (12, 8)))


def test_eight_bit_exports_are_smaller(folder: Path) -> None:
    def weight(runtime: str) -> int:
        return sum(path.stat().st_size for path in RUNTIMES[runtime].file(folder).parent.iterdir())

    assert weight("onnx-int8") < 0.6 * weight("onnx-fp32")
    assert weight("openvino-int8") < 0.6 * weight("openvino-fp32")


def test_threads_are_honoured(folder: Path) -> None:
    before = torch.get_num_threads()
    runtime = opened(folder, "torch", threads=1)
    runtime.run(feeds(1))
    assert torch.get_num_threads() == before
    compiled = opened(folder, "openvino-fp32", threads=1)
    compiled.run(feeds(1))
    model = compiled._requests[(3, *SIZE)].get_compiled_model()
    assert model.get_property("INFERENCE_NUM_THREADS") == 1
    session = opened(folder, "onnx-fp32", threads=1)._session
    assert session.get_session_options().intra_op_num_threads == 1


def test_openvino_keeps_few_sizes(folder: Path) -> None:
    runtime = opened(folder, "openvino-fp32", threads=1)
    for side in (32, 40, 48, 56, 64, 32):
        assert maps(runtime, feeds(1, (side, side))).shape == (1, 1, side, side)
    assert len(runtime._requests) == 4


def test_openvino_computes_pictures_of_a_batch_side_by_side_and_alike(folder: Path) -> None:
    runtime, given = opened(folder, "openvino-fp32", threads=2), feeds(5)
    together = maps(runtime, given)
    alone = [maps(runtime, {"image": given["image"][index : index + 1]}) for index in range(5)]
    np.testing.assert_allclose(together, np.concatenate(alone), atol=1e-6)
    (group,) = runtime._groups.values()
    assert group.count == 2, "one for each thread"
    wide = feeds(2, (1024, 1056))
    assert maps(runtime, wide).shape == (2, 1, 1024, 1056) and len(runtime._groups) == 1, "large ones one by one"


def test_openvino_computes_pictures_of_callers_side_by_side_and_alike(folder: Path) -> None:
    """Four callers of two requests: whoever waits for one must not hold the other."""
    runtime, given = opened(folder, "openvino-fp32", threads=2), feeds(12)
    parts = [{"image": given["image"][first : first + count]} for first, count in ((0, 1), (1, 5), (6, 2), (8, 4))]
    with ThreadPoolExecutor(4) as pool:
        begun = [pool.submit(maps, runtime, part) for _ in range(10) for part in parts]
        results = [each.result(timeout=60) for each in begun]
    expected = maps(runtime, given)
    for first in range(0, 40, 4):
        np.testing.assert_allclose(np.concatenate(results[first : first + 4]), expected, atol=1e-6)


FIRST_USE = """
import threading, numpy, openvino, limelight.inference.backends.openvino
from openvino import opset13

given = opset13.parameter([1, 8], numpy.float32)
compiled = openvino.Core().compile_model(openvino.Model([opset13.relu(given)], [given]), "CPU")
requests, all_there = [compiled.create_infer_request() for _ in range(8)], threading.Barrier(8)


def use(request):
    all_there.wait()
    request.start_async({0: numpy.zeros((1, 8), numpy.float32)})
    request.wait()


threads = [threading.Thread(target=use, args=(request,)) for request in requests]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""


def test_openvino_is_first_used_by_one_thread() -> None:
    """By several at once, it stopped the interpreter for good: in one of four runs of this."""
    subprocess.run([sys.executable, "-c", FIRST_USE], check=True, timeout=120)


FREED = """
import gc, os, signal, sys
import numpy
from limelight.inference.loading import load

first, second = (load(sys.argv[1], runtime="openvino-fp32", device="cpu") for _ in range(2))
for each in (first, second):
    each.predict([numpy.zeros((64, 64, 3), numpy.uint8)])
del each, first
gc.collect()
del second
gc.collect()
signal.signal(signal.SIGUSR1, lambda *_: print("heard"))
os.kill(os.getpid(), signal.SIGUSR1)
"""


def test_signals_are_heard_after_openvino_is_freed(folder: Path) -> None:
    """With a core for each predictor, they ended the process."""
    done = subprocess.run([sys.executable, "-c", FREED, str(folder)], check=True, timeout=120, stdout=subprocess.PIPE)
    assert done.stdout == b"heard\n"


def test_openvino_goes_on_after_an_error_of_pictures_side_by_side(folder: Path) -> None:
    runtime, given = opened(folder, "openvino-fp32", threads=2), feeds(5)
    expected = maps(runtime, given)
    (group,) = runtime._groups.values()
    unknown = [{"picture": given["image"][:1]}]
    for rows in (unknown, [{"image": given["image"][:1]}, *unknown]):
        with pytest.raises(RuntimeError):
            group.run(rows)
    assert group._free.qsize() == group.count
    np.testing.assert_array_equal(maps(runtime, given), expected)


@pytest.mark.parametrize("runtime", EXPORTED)
def test_a_missing_export_says_what_to_do(unexported: Path, runtime: str) -> None:
    with pytest.raises(UserError, match=r"does not exist.*deploy\.runtimes"):
        opened(unexported, runtime)


@pytest.mark.parametrize("runtime", ["onnx-fp32", "openvino-fp32"])
def test_a_missing_package_says_what_to_install(folder: Path, runtime: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    package = {"onnx-fp32": "onnxruntime", "openvino-fp32": "openvino"}[runtime]
    monkeypatch.setitem(sys.modules, package, None)  # what Python itself does with a package it cannot find
    for module in ("onnx", "openvino"):
        monkeypatch.delitem(sys.modules, f"limelight.inference.backends.{module}", raising=False)
    with pytest.raises(UserError, match=r"pip install 'limelight\[export\]'"):
        opened(folder, runtime)


@pytest.mark.parametrize("runtime", ["onnx-fp32", "openvino-fp32"])
@pytest.mark.parametrize("kept", [0.0, 0.5])
def test_a_damaged_export_is_named(folder: Path, tmp_path: Path, runtime: str, kept: float) -> None:
    shutil.copy(folder / "card.json", tmp_path)
    for path in RUNTIMES[runtime].file(folder).parent.iterdir():
        damaged = RUNTIMES[runtime].file(tmp_path).with_name(path.name)
        damaged.parent.mkdir(parents=True, exist_ok=True)
        damaged.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(UserError, match=r"model\.(onnx|xml) cannot be loaded"):
        opened(tmp_path, runtime)


def test_wrong_requests_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown runtime 'tensorrt'"):
        opened(folder, "tensorrt")
    with pytest.raises(UserError, match="at least 1, got 0"):
        opened(folder, "torch", threads=0)
    with pytest.raises(UserError, match="runs on the CPU alone"):
        opened(folder, "onnx-fp32", device="cuda")
    with pytest.raises(UserError, match="not a weights folder"):
        opened(tmp_path, "torch")
    model = create_model("sdnet")
    card = describe(model, "sdnet", input_size=SIZE)
    with pytest.raises(UserError, match="cannot export torch"):
        export(model, card, tmp_path, ["torch"], feeds(1))


@pytest.mark.parametrize("wording", [PIPELINE, COMMAND])
def test_what_cannot_be_exported_is_told_in_the_callers_words(tmp_path: Path, wording: ErrorWording) -> None:
    model = create_model("sdnet")
    card = describe(model, "sdnet", input_size=SIZE)
    steps = card.derived(denoise_steps=5)
    cases = [
        (card, "onnx-int8", "deploy.split", "--pictures"),
        (steps, "onnx-fp32", "leave it out of `deploy`", "--runtime torch"),
    ]
    for unusable, runtime, *words in cases:
        with pytest.raises(UserError) as caught:
            export(model, unusable, tmp_path, [runtime], {}, wording)
        assert [word in str(caught.value) for word in words] == [wording is PIPELINE, wording is COMMAND]


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_gpu_that_is_not_there_is_refused(folder: Path) -> None:
    with pytest.raises(UserError, match="no CUDA GPU"):
        opened(folder, "torch", device="cuda")


def test_parity_report(folder: Path, tmp_path: Path) -> None:
    masks = (images(3)[:, 0] > 1).astype("float32")
    parity = measure_parity(folder, OTHERS, feeds(3), masks, threads=1)
    exact, rounded = parity.runtimes["openvino-fp32"], parity.runtimes["openvino-bf16"]
    assert exact.max_probability_difference < 1e-5
    # Where the processor has no bf16, OpenVINO computes in fp32 all the same.
    has_bf16 = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    assert (rounded.max_probability_difference > 1e-5) == has_bf16
    assert exact.mae_change == pytest.approx(0, abs=1e-6)
    assert exact.megabytes == rounded.megabytes == pytest.approx(2.9, abs=0.3)

    assert parity.violations(Deploy(max_mae_change=0.1, max_f_change=1)) == []
    tight = Deploy(max_probability_difference=1e-9, max_mae_change=0.1, max_f_change=1)
    assert [line.partition(":")[0] for line in parity.violations(tight)] == ["onnx-fp32", "openvino-fp32"]

    plot_parity(parity, Deploy(), tmp_path / "parity.png")
    assert (tmp_path / "parity.png").read_bytes().startswith(b"\x89PNG")


def test_accuracy_by_hand() -> None:
    mask = np.zeros((1, 8, 8), "float32")
    mask[0, 2:6, 2:6] = 1
    assert accuracy(mask, mask).mae == 0
    assert accuracy(mask, mask).max_f == pytest.approx(1)
    half = np.full_like(mask, 0.25)
    half[mask == 1] = 0.75
    assert accuracy(half, mask).mae == pytest.approx(0.25)
    assert accuracy(half, mask).max_f == pytest.approx(1)  # maps are stretched before they are thresholded


def test_bf16_that_is_none_is_called_so(folder: Path) -> None:
    has_bf16 = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    for runtime in ("openvino-bf16", "openvino-fp32", "torch-bf16"):
        described = "on cpu, fp32 (bf16 unavailable), weights" in load(folder, runtime=runtime).description
        assert described == (runtime == "openvino-bf16" and not has_bf16)


WITHOUT_TORCH = """
import sys
sys.modules |= dict.fromkeys(["torch", "torchvision", "timm", "diffusers"])  # as if they were not installed
import numpy as np
from limelight.inference.plan import Request
from limelight.inference.loading import check, load
folder, runtime = sys.argv[1:]
check(folder, Request(runtime))
for sides in ({}, {"size": 40}, {"processing_res": 50}):
    (prediction,) = load(folder, runtime=runtime, **sides).predict([np.zeros((30, 45, 3), np.uint8)])
    assert prediction.saliency_HW.shape == (30, 45)
"""


@pytest.mark.parametrize("runtime", ["onnx-fp32", "openvino-fp32"])
def test_an_export_is_used_where_there_is_no_pytorch(folder: Path, runtime: str) -> None:
    subprocess.run([sys.executable, "-c", WITHOUT_TORCH, str(folder), runtime], check=True)
