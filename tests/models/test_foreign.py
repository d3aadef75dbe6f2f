"""ONNX files of other projects: prepared and finished as their authors do, and used like any other weights."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from PIL import Image
from typer.testing import CliRunner

from limelight import load
from limelight.cli.main import app
from limelight.deploy.inference_form import export_weights
from limelight.foundation.errors import UserError
from limelight.imaging.images import read_image
from limelight.models.card import Normalisation
from limelight.models.foreign.onnx_file import REMBG, Preparation, import_onnx
from limelight.models.weights import load_weights, read_card
from limelight.training.teacher import NetworkTeacher
from tests.models.onnx_nets import as_rembg_does, net

PHOTOS = sorted((Path(__file__).parents[1] / "photos").glob("*.jpg"))


@pytest.mark.parametrize("logits", [False, True])
@pytest.mark.parametrize("size", [(91, 57), (64, 64), (30, 200)])
def test_maps_are_those_of_rembg(tmp_path: Path, logits: bool, size: tuple[int, int]) -> None:
    file = net(tmp_path / "net.onnx", logits=logits)
    preparation = replace(REMBG, mean=(0.5,) * 3, std=(1.0,) * 3, logits=logits)
    import_onnx(file, tmp_path / "weights", preparation)
    predictor = load(tmp_path / "weights")
    assert ": onnx (" in predictor.description and " parameters), onnx on cpu, fp32, " in predictor.description
    for photo in PHOTOS:
        picture = (
            Image.open(photo).convert("RGB").resize(size).point(lambda value: value * 0.8)
        )  # its maximum is not 255
        saliency_HW = predictor.predict([np.array(picture)])[0].saliency_HW
        expected = as_rembg_does(file, picture, 0.5, 1.0, sigmoid=logits)
        difference = np.abs(np.rint(saliency_HW * 255) - expected)
        assert difference.max() <= 1 and (difference > 0).mean() < 0.02
        assert expected.std() > 10, "the map shows something"


@pytest.mark.slow
@pytest.mark.parametrize(("logits", "free"), [(False, False), (True, True)])
def test_exports_agree_with_the_file(tmp_path: Path, logits: bool, free: bool) -> None:
    side = ("height", "width") if free else (64, 64)
    batch = "batch" if free else 1
    outputs = [("probability", (batch, 1, *side))]  # a name that exports have too
    file = net(tmp_path / "net.onnx", logits=logits, outputs=outputs, inputs=[("image.1", (batch, 3, *side))])
    import_onnx(file, tmp_path / "weights", Preparation(size=(64, 64), logits=logits))
    export_weights(tmp_path / "weights", tmp_path / "made", ["onnx-fp32", "openvino-fp32"])
    pictures = [read_image(photo) for photo in PHOTOS]
    expected = [each.saliency_HW for each in load(tmp_path / "weights").predict(pictures)]
    for runtime in ("torch", "onnx-fp32", "openvino-fp32"):
        predictor = load(tmp_path / "made", runtime=runtime)
        for found, map_HW in zip(predictor.predict(pictures), expected, strict=True):
            np.testing.assert_allclose(found.saliency_HW, map_HW, atol=1e-5)


@pytest.mark.parametrize("shapes", [True, False])
def test_a_map_of_three_dimensions_or_many_channels(tmp_path: Path, shapes: bool) -> None:
    """Whatever the output looks like, and whether the file says so, the map is its first channel, in every runtime."""
    names = ("d0", "both", "flat")
    with_outputs(tmp_path / "net.onnx", *names, shapes=shapes)
    picture = read_image(PHOTOS[0])
    maps = []
    for name in names:
        import_onnx(tmp_path / "net.onnx", tmp_path / name, Preparation(output=name))
        export_weights(tmp_path / name, tmp_path / f"{name}-made", ["onnx-fp32"])
        maps += [load(tmp_path / name), load(tmp_path / f"{name}-made", runtime="onnx-fp32")]
    expected, *others = (predictor.predict([picture])[0].saliency_HW for predictor in maps)
    for other in others:
        np.testing.assert_allclose(other, expected, atol=1e-5)


def test_an_output_of_one_channel_is_the_map(tmp_path: Path) -> None:
    """Not the features before it, which a file may list first."""
    for name in ("d0", "flat"):
        card = import_onnx(with_outputs(tmp_path / "net.onnx", "both", name), tmp_path / name, Preparation())
        assert card.architecture.options["output"] == name


@pytest.mark.parametrize("kind", ["half", "function"])
def test_exports_of_what_converters_do_not_take(tmp_path: Path, kind: str) -> None:
    """Maps of 16 bits, and operators that the file defines."""
    file = net(tmp_path / "net.onnx", outputs=[("d0", (1, 1, 64, 64))])
    model = onnx.load(file)
    if kind == "half":
        model.graph.node[-1].output[0] = "wide"
        model.graph.node.append(helper.make_node("Cast", ["wide"], ["d0"], to=TensorProto.FLOAT16))
        model.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    else:
        body = [helper.make_node("Sigmoid", ["x"], ["y"])]
        opset = [helper.make_opsetid("", 17)]
        model.functions.append(helper.make_function("own", "Finish", ["x"], ["y"], body, opset))
        model.opset_import.append(helper.make_opsetid("own", 1))
        model.graph.node[-1].op_type, model.graph.node[-1].domain = "Finish", "own"
    onnx.save(model, file)
    import_onnx(file, tmp_path / "weights", Preparation())
    runtimes = ["onnx-fp32", "openvino-fp32"]
    export_weights(tmp_path / "weights", tmp_path / "made", runtimes)
    picture = read_image(PHOTOS[0])
    (expected,) = load(tmp_path / "weights").predict([picture])
    for runtime in runtimes:
        (found,) = load(tmp_path / "made", runtime=runtime).predict([picture])
        np.testing.assert_allclose(found.saliency_HW, expected.saliency_HW, atol=2e-3)


def test_operators_that_cannot_be_exported_are_named(tmp_path: Path) -> None:
    """OpenVINO knows fewer operators than ONNX Runtime."""
    file = net(tmp_path / "net.onnx", outputs=[("d0", (1, 1, 64, 64))])
    model = onnx.load(file)
    model.graph.node[-1].output[0] = "before"
    model.graph.node.append(helper.make_node("Det", ["before"], ["volume"]))
    model.graph.node.append(helper.make_node("Mul", ["volume", "nought"], ["nothing"]))
    model.graph.node.append(helper.make_node("Add", ["before", "nothing"], ["d0"]))
    model.graph.initializer.append(helper.make_tensor("nought", TensorProto.FLOAT, [], [0.0]))
    onnx.save(model, file)
    import_onnx(file, tmp_path / "weights", Preparation())
    with pytest.raises(UserError, match=r"onnx cannot be exported \(.*Det.*use the weights themselves") as raised:
        export_weights(tmp_path / "weights", tmp_path / "made", ["openvino-fp32"])
    assert "\n" not in str(raised.value) and not (tmp_path / "made").exists()


@pytest.mark.parametrize("runtime", ["torch", "onnx-fp32", "openvino-fp32"])
def test_sizes_that_do_not_suit_the_operators(tmp_path: Path, runtime: str) -> None:
    import_onnx(with_stride(tmp_path / "net.onnx"), tmp_path / "weights", Preparation(size=(64, 64)))
    export_weights(tmp_path / "weights", tmp_path / "made", [runtime] if runtime != "torch" else [])
    with pytest.raises(UserError, match="cannot compute pictures of 50x50; give a size that is a multiple of"):
        load(tmp_path / "made", runtime=runtime, size=50).predict([read_image(PHOTOS[0])])


def test_it_teaches(tmp_path: Path) -> None:
    """As a teacher it sees pictures at its only size, normalised as its card says."""
    import_onnx(net(tmp_path / "net.onnx"), tmp_path / "weights", Preparation(mean=(0.5,) * 3, std=(1.0,) * 3))
    network, card = load_weights(tmp_path / "weights")
    normalisation = Normalisation((0.2, 0.3, 0.4), (0.5, 0.6, 0.7))
    mean, std = torch.tensor(normalisation).view(2, 3, 1, 1)
    teacher = NetworkTeacher(network, card, normalisation=normalisation, size=None, classes=())
    value_B3HW = torch.rand(2, 3, 64, 64)

    class Batch:
        image_B3HW = (value_B3HW - mean) / std
        inputs = property(lambda self: {"image": self.image_B3HW})

        def __len__(self) -> int:
            return 2

    targets = teacher.targets(Batch())  # type: ignore[arg-type]  # as much of a batch as teachers look at
    torch.testing.assert_close(targets, network.maps({"image": value_B3HW - 0.5}), atol=1e-5, rtol=0)
    larger = Batch()
    larger.image_B3HW = torch.nn.functional.interpolate(Batch.image_B3HW, 96)
    assert teacher.targets(larger).shape == (2, 1, 96, 96)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="takes 64x64 pixels alone"):
        NetworkTeacher(network, card, normalisation=normalisation, size=96, classes=())


def test_two_files_are_two_models(tmp_path: Path) -> None:
    """Resume states and leaderboards know weights by the hash of model.safetensors."""
    one, other = net(tmp_path / "one.onnx"), net(tmp_path / "other.onnx", logits=True)
    hashes = {
        import_onnx(file, tmp_path / file.stem, Preparation(logits=file == other)).provenance.sha256
        for file in (one, other)
    }
    assert len(hashes) == 2
    card = read_card(tmp_path / "one")
    assert card.architecture.parameters == 3 * 4 * 9 + 4 * 9
    assert "one.onnx, sha256" in card.provenance.source and card.provenance.licence == "not stated by the authors"
    (tmp_path / "one/assets/model.onnx").write_bytes(other.read_bytes())
    with pytest.raises(UserError, match=r"does not match its card: model\.onnx"):
        load(tmp_path / "one")


def test_pictures_of_another_size_are_refused_where_there_is_one(tmp_path: Path) -> None:
    import_onnx(net(tmp_path / "net.onnx"), tmp_path / "weights", Preparation())
    with pytest.raises(UserError, match="takes pictures of 64x64 alone, got 96x96"):
        load(tmp_path / "weights", size=96).predict([read_image(PHOTOS[0])])
    with pytest.raises(UserError, match="openvino-bf16"):
        load(tmp_path / "weights", half_precision=True).predict([read_image(PHOTOS[0])])


# ------------------------------------------------------------------------------------------------------- the command
def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["import", *arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    free = [("d0", (1, 1, "height", "width"))]
    net(Path("isnet.onnx"), side=("height", "width"), logits=True, outputs=free)
    options = ["--mean", ".5", "--std", "1,1,1", "--size", "48", "--logits", "--rembg", "--licence", "Apache-2.0"]
    assert run("isnet.onnx", *options).strip() == "artifacts/isnet"
    card = read_card("artifacts/isnet")
    assert (card.prepare.mean, card.prepare.std, card.prepare.size) == ((0.5,) * 3, (1.0,) * 3, (48, 48))
    assert (card.prepare.divide_by, card.prepare.filter, card.finish.filter) == ("maximum", "lanczos", "lanczos")
    assert card.finish.full_contrast and card.provenance.licence == "Apache-2.0"
    assert load("artifacts/isnet", size=80).predict([read_image(PHOTOS[0])])[0].saliency_HW.std() > 0.02


def damaged(path: Path) -> Path:
    path.write_bytes(net(path).read_bytes()[:200])
    return path


def without_its_data(path: Path) -> Path:
    model = onnx.load(net(path))
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    path.with_name("weights.bin").unlink()
    return path


def with_outputs(path: Path, *names: str, shapes: bool = True) -> Path:
    """A network whose outputs are among: d0 (1, 1, h, w), both (1, 2, h, w), flat (1, h, w)."""
    known = {"d0": (1, 1, 64, 64), "both": (1, 2, 64, 64), "flat": (1, 64, 64)}
    model = onnx.load(net(path, outputs=[("d0", known["d0"])]))
    model.graph.node.append(helper.make_node("Concat", ["d0", "raw"], ["both"], axis=1))
    model.graph.node.append(helper.make_node("Squeeze", ["d0", "first"], ["flat"]))
    model.graph.initializer.append(helper.make_tensor("first", TensorProto.INT64, [1], [1]))
    model.graph.output.pop()
    model.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, known[name] if shapes else None) for name in names
    )
    onnx.save(model, path)
    return path


def with_stride(path: Path) -> Path:
    """A network of free size that adds what it halved and doubled: even sides alone fit."""
    free: Any = ("h", "w")
    model = onnx.load(net(path, side=free, outputs=[("d0", (1, 1, *free))]))
    *nodes, last = model.graph.node
    halved = helper.make_node("MaxPool", ["raw"], ["half"], kernel_shape=[4, 4], strides=[4, 4])
    model.graph.initializer.append(helper.make_tensor("twice", TensorProto.FLOAT, [4], [1, 1, 4, 4]))
    doubled = helper.make_node("Resize", ["half", "", "twice"], ["double"], mode="nearest")
    last.input[0] = "sum"
    del model.graph.node[:]
    model.graph.node.extend([*nodes, halved, doubled, helper.make_node("Add", ["raw", "double"], ["sum"]), last])
    onnx.save(model, path)
    return path


BAD: dict[str, tuple[Callable[[Path], Path], list[str], str]] = {
    "missing": (lambda path: path, [], "does not exist"),
    "damaged": (damaged, [], "cannot open"),
    "data": (without_its_data, [], "with the data files beside it"),
    "two pictures": (
        lambda path: net(path, inputs=[("image.1", (1, 3, 64, 64)), ("trimap", (1, 1, 64, 64))]),
        [],
        r"has 2 inputs \(image.1 .*trimap",
    ),
    "channels last": (
        lambda path: net(path, inputs=[("image.1", (1, 64, 64, 3))]),
        [],
        r"cannot open|takes image.1 .*: pictures with their channels last \(NHWC\); export it for NCHW",
    ),
    "probabilities": (net, ["--logits"], "are probabilities already, not logits; leave --logits out"),
    "channels": (
        lambda path: with_outputs(path, "both"),
        [],
        "computes 2 channels in 'both', and which is the map is not said; .* --map-output both",
    ),
    "stride": (with_stride, ["--size", "50"], "cannot compute pictures of 50x50; give a size that is a multiple of"),
    "newer": (lambda path: net(path, opset=99), [], "install a newer onnxruntime"),
    "five dimensions": (
        lambda path: net(path, outputs=[("d0", None)]),
        ["--map-output", "d7"],
        "has no map 'd7'; its outputs are d0",
    ),
    "logits": (lambda path: net(path, logits=True), [], "no probabilities; if they are logits, say so"),
    "another size": (net, ["--size", "96"], "takes pictures of 64x64 alone"),
    "no size": (
        lambda path: net(path, side=("h", "w"), outputs=[("d0", (1, 1, "h", "w"))]),
        [],
        "takes pictures of any size; say the size that it was trained at",
    ),
    "half a size": (
        lambda path: net(path, side=(64, "w"), outputs=[("d0", (1, 1, 64, "w"))]),
        [],
        "takes pictures of 64 x any pixels; say the size",
    ),
    "batches": (
        lambda path: net(path, inputs=[("image.1", (2, 3, 64, 64))], outputs=[("d0", (2, 1, 64, 64))]),
        [],
        "takes batches of 2 pictures alone; export it for one",
    ),
    "hash": (net, ["--sha256", "0" * 64], "expected 0000"),
    "network": (net, ["--model", "sdnet"], "--model cannot be given with an .onnx file"),
    "mean": (net, ["--mean", ".5,.5"], "takes one number or three"),
    "std": (net, ["--std", "0"], "takes one number or three"),
    "no number": (net, ["--mean", "nan"], "takes one number or three"),
    "mean of 255": (net, ["--mean", "128"], r"of pictures in \[0, 1\], got '128'; if that is of 0 to 255"),
    "std of 255": (net, ["--mean", ".5", "--std", "256"], "give 1.00392"),
}


@pytest.mark.parametrize("mistake", BAD)
def test_bad_files_are_refused_in_one_line(mistake: str, tmp_path: Path) -> None:
    make, options, message = BAD[mistake]
    with pytest.raises(UserError, match=message) as raised:
        run(str(make(tmp_path / "net.onnx")), "-o", str(tmp_path / "weights"), *options)
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 500
    assert not (tmp_path / "weights").exists()


def test_options_of_onnx_files_are_refused_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "net.pth").write_bytes(b"")
    with pytest.raises(UserError, match="--logits cannot be given with a checkpoint"):
        run(str(tmp_path / "net.pth"), "--model", "sdnet", "--size", "64", "--logits")
    with pytest.raises(UserError, match="say which network it is"):
        run(str(tmp_path / "net.pth"))
