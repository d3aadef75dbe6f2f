"""Published checkpoints come in; anything else is refused in one line, runs nothing and leaves nothing behind."""

import os
import pickle
import re
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result
from typer.testing import CliRunner

from limelight.cli.main import app
from limelight.foundation.errors import UserError
from limelight.foundation.files import sha256_file
from limelight.models.importers import import_published
from limelight.models.importers.files import Files
from limelight.models.importers.paddle import BOOKKEEPING, read_pdparams
from limelight.models.importers.torch_checkpoint import read_pth
from limelight.models.weights import load_weights
from tests.models.published_scfnet import published_student, write_pickle
from tests.models.published_sdnet import published_state


class Hostile:
    """A pickle that makes a folder when it is loaded by an unwary reader."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_arrays_come_back_as_they_were(tmp_path: Path, protocol: int) -> None:
    generator = np.random.default_rng(0)
    arrays = {
        "plain": generator.normal(size=(2, 3, 3, 3)).astype(np.float32),
        "fortran": np.asfortranarray(generator.normal(size=(4, 5))),
        "big_endian": generator.normal(size=7).astype(">f4"),
        "whole": np.arange(5),
        "scalar": np.array(2.5, np.float32),
        "truth": np.array([True, False]),
    }
    pairs = OrderedDict((key, (key, value) if key == "plain" else value) for key, value in arrays.items())
    read = read_pdparams(write_pickle(tmp_path / "w.pdparams", {**pairs, BOOKKEEPING: {"plain": "conv_0"}}, protocol))
    assert read.keys() == arrays.keys()
    for key, value in arrays.items():
        np.testing.assert_array_equal(read[key].numpy(), value)


def test_paddle_conventions_become_torch_s(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    transposed = ["attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"]
    arrays = {f"bkbone.layers.0.blocks.0.{name}.weight": generator.normal(size=(4, 4)) for name in transposed}
    arrays["bkbone.layers.0.downsample.reduction.weight"] = generator.normal(size=(8, 4))
    kept = {
        "bkbone.patch_embed.proj.weight": generator.normal(size=(4, 3, 2, 2)),
        "bkbone.layers.0.blocks.0.attn.relative_position_bias_table": generator.normal(size=(9, 9)),
        "mp.cv1.1._mean": generator.normal(size=4),
        "mp.cv1.1._variance": generator.normal(size=4),
    }
    dropped = {"bkbone.layers.0.blocks.1.attn_mask": np.zeros(2), "b.attn.relative_position_index": np.zeros(2)}
    read = read_pdparams(write_pickle(tmp_path / "w.pdparams", {**arrays, **kept, **dropped}))
    for key, value in arrays.items():
        np.testing.assert_array_equal(read.pop(key).numpy(), value.T)
    for key, value in kept.items():
        name = key.replace("_mean", "running_mean").replace("_variance", "running_var")
        np.testing.assert_array_equal(read.pop(name).numpy(), value)
    assert read == {}


def test_a_student_is_imported_whole(tmp_path: Path) -> None:
    published = published_student()
    path = write_pickle(tmp_path / "student.pdparams", {**published, BOOKKEEPING: {}})
    card = import_published(
        "scfnet-mobilenetv3",
        tmp_path / "weights",
        Files(path, sha256=sha256_file(path)),
        licence="all rights reserved by the authors",
        trained_on=["DUTS-TR"],
    )
    model, read = load_weights(tmp_path / "weights")
    assert read == card
    assert card.provenance.licence == "all rights reserved by the authors"
    assert card.provenance.trained_on == ("DUTS-TR",)
    assert card.provenance.source == f"imported from student.pdparams, sha256 {sha256_file(path)}"
    sums = sorted(float(value.double().sum()) for key, value in model.state_dict().items() if "tracked" not in key)
    assert sums == pytest.approx(sorted(float(value.astype(np.float64).sum()) for value in published.values()))


@pytest.mark.parametrize("suffix", [".pdparams", ".pth"])
def test_a_hostile_file_is_refused_and_does_not_run(tmp_path: Path, suffix: str) -> None:
    mark, path = tmp_path / "executed", tmp_path / f"weights{suffix}"
    content = {"conv.weight": Hostile(mark)}
    write_pickle(path, content) if suffix == ".pdparams" else torch.save(content, path)
    with pytest.raises(UserError) as caught:
        import_published("scfnet-mobilenetv3", tmp_path / "out", Files(path))
    assert not mark.exists() and not (tmp_path / "out").exists()
    assert re.search(r"asks for \w+\.mkdir, which a file of weights never needs", str(caught.value))
    assert "\n" not in str(caught.value)
    # The trap is a live one.
    pickle.loads(pickle.dumps(Hostile(mark)))  # noqa: S301
    assert mark.is_dir()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04 not a pickle",
        pickle.dumps([1, 2, 3]),
        pickle.dumps({"conv.weight": "text"}),
        pickle.dumps({"conv.weight": 1.5}),
        pickle.dumps({"conv.weight": np.array(["a", None], dtype=object)}),
        pickle.dumps({"conv.weight": np.array(["a", "b"])}),
        pickle.dumps({"conv.weight": np.zeros(4, np.complex64)}),
        pickle.dumps({"conv.weight": np.arange(6.0).reshape(2, 3)})[:-20],
        # The right pickle, but with fewer bytes than its shape needs.
        pickle.dumps({"conv.weight": np.zeros(300, np.float32)}).replace(b"M\x2c\x01", b"M\x2c\x7f"),
        b"cbuiltins\neval\n(S'1+1'\ntR.",
        b"cos\nsystem\n(S'true'\ntR.",
        b"cnumpy\ndtype\n.",
        b"c_codecs\nencode\n(S'a'\nS'rot13'\ntR.",
    ],
)
def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weights.pdparams"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"^\S+weights.pdparams is not a file of Paddle weights: .+") as caught:
        import_published("scfnet-mobilenetv3", tmp_path / "out", Files(path))
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, 0.99])
def test_truncated_files_are_refused(tmp_path: Path, keep: float) -> None:
    published = published_student()
    paddle = write_pickle(tmp_path / "a.pdparams", published)
    torch.save({key: torch.from_numpy(value) for key, value in published.items()}, tmp_path / "b.pth")
    for path in (paddle, tmp_path / "b.pth"):
        whole = path.read_bytes()
        path.write_bytes(whole[: int(keep * len(whole)) if isinstance(keep, float) else keep])
        with pytest.raises(UserError) as caught:
            import_published("scfnet-mobilenetv3", tmp_path / "out", Files(path))
        assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()


def test_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    published = published_student()
    missing = {key: value for key, value in published.items() if key != "linear2.bias"}
    reshaped = {**published, "linear2.bias": np.zeros(2, np.float32)}
    surplus = {**published, "mp.cv9.7.weight": np.zeros(2, np.float32)}
    for name, content, problem in (
        ("missing", missing, "1 missing: heads.0.bias"),
        ("reshaped", reshaped, r"heads.0.bias \(2,\) instead of \(1,\)"),
        ("surplus", surplus, "1 not expected: mp.cv9.7.weight"),
    ):
        path = write_pickle(tmp_path / f"{name}.pdparams", content)
        with pytest.raises(UserError, match=problem):
            import_published("scfnet-mobilenetv3", tmp_path / "out", Files(path))
    with pytest.raises(UserError, match="does not fit SCFNet"):
        import_published("scfnet-resnet50", tmp_path / "out", Files(write_pickle(tmp_path / "x.pdparams", published)))
    assert not (tmp_path / "out").exists()


def test_what_is_asked_for_must_exist(tmp_path: Path) -> None:
    good = write_pickle(tmp_path / "good.pdparams", published_student())
    (tmp_path / "weights.h5").write_bytes(b"")
    for path, model, options, problem in (
        (good, "scfnet-mobilenet", {}, "unknown model"),
        (tmp_path / "none.pdparams", "scfnet-mobilenetv3", {}, "does not exist"),
        (tmp_path / "weights.h5", "scfnet-mobilenetv3", {}, "unknown type '.h5'"),
        (good, "scfnet-mobilenetv3", {"sha256": "0" * 64}, "expected 0000"),
    ):
        with pytest.raises(UserError, match=problem):
            import_published(model, tmp_path / "out", Files(path, **options))
    assert not (tmp_path / "out").exists()


def test_wrappings_of_torch_checkpoints_are_taken_off(tmp_path: Path) -> None:
    weight = torch.arange(6.0).reshape(2, 3)
    torch.save({"epoch": 3, "state_dict": {"module.conv.weight": weight}}, tmp_path / "wrapped.pth")
    torch.save({"conv.weight": weight}, tmp_path / "plain.pth")
    torch.save({"epoch": 3}, tmp_path / "other.pth")
    for name in ("wrapped.pth", "plain.pth"):
        (read,) = read_pth(tmp_path / name).items()
        assert read[0] == "conv.weight" and torch.equal(read[1], weight)
    with pytest.raises(UserError, match="holds no state dict"):
        read_pth(tmp_path / "other.pth")


def test_an_imagenet_backbone_is_imported_without_its_classifier(tmp_path: Path) -> None:
    published = published_student()
    classifier = {key.removeprefix("bkbone."): value for key, value in published.items() if key.startswith("bkbone.")}
    classifier |= {name: np.ones((2, 2), np.float32) for name in ("last_second_conv.conv.weight", "fc.weight")}
    path = write_pickle(tmp_path / "imagenet.pdparams", classifier)
    heads = []
    for folder in (tmp_path / "first", tmp_path / "second"):
        import_published("scfnet-mobilenetv3", folder, Files(path, backbone_only=True))
        model, card = load_weights(folder)
        assert card.provenance.source.startswith("backbone imported from imagenet.pdparams")
        np.testing.assert_array_equal(
            model.backbone.blocks[3].se.reduce.weight.detach().numpy(), published["bkbone.blocks.3.mid_se.conv1.weight"]
        )
        heads.append(model.heads[0].weight)
    assert torch.equal(*heads)
    for content, model_name, problem in (
        (
            {key: value for key, value in classifier.items() if not key.startswith("conv.")},
            "scfnet-mobilenetv3",
            "6 missing: backbone.stem.bn.bias",
        ),
        (published, "scfnet-mobilenetv3", "missing"),
        (classifier, "inspyrenet", "no published backbone"),
    ):
        with pytest.raises(UserError, match=problem):
            written = write_pickle(tmp_path / "x.pdparams", content)
            import_published(model_name, tmp_path / "out", Files(written, backbone_only=True))
    assert not (tmp_path / "out").exists()


def test_an_encoder_of_sdnet_is_imported_alone(tmp_path: Path) -> None:
    state = published_state("a")
    torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, tmp_path / "encoder.pth")
    import_published("sdnet-a", tmp_path / "out", Files(tmp_path / "encoder.pth", backbone_only=True))
    model = load_weights(tmp_path / "out")[0]
    assert torch.equal(model.encoder.stages[1][2].reduce.weight, state["block2_3.conv_pre.weight"])
    assert not torch.equal(model.gates[0].reduce.weight, state["attentions.0.conv1.weight"])


def test_the_authors_encoder_is_imported(shared: Path, tmp_path: Path) -> None:
    """What STDNet's training starts from."""
    file = shared / "weights/sdnet_stage1_backbone.pth"
    card = import_published("sdnet-bn", tmp_path / "out", Files(file, backbone_only=True))
    assert card.provenance.source.startswith("backbone imported from sdnet_stage1_backbone.pth")


def test_size_and_options_of_a_checkpoint_from_the_command_line(tmp_path: Path) -> None:
    torch.save(published_state("nobn"), tmp_path / "net.pth")

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["import", str(tmp_path / "net.pth"), "-o", str(tmp_path / "out"), *arguments])

    assert run("--model", "sdnet", "--size", "96", "--option", "modalities=[rgb]").exit_code == 0
    card = load_weights(tmp_path / "out")[1]
    assert card.prepare.size == (96, 96) and card.architecture.options["modalities"] == ["rgb"]
    for arguments, message in (
        (("--model", "sdnet", "--option", "width"), "--option takes name=value"),
        (("--model", "sdnet", "--option", "depth=3"), "does not take these options"),
        (("--model", "diffsod", "--size", "96"), "imported as it was published, without size"),
    ):
        assert message in str(run(*arguments).exception)


def test_a_torch_checkpoint_is_imported(tmp_path: Path) -> None:
    """SCFNet weights that somebody converted to torch under the authors' names."""
    state = {}
    for key, value in published_student().items():
        key = key.replace("._mean", ".running_mean").replace("._variance", ".running_var")
        state[f"module.{key}"] = torch.from_numpy(value)
    torch.save({"state_dict": state}, tmp_path / "student.pth")
    import_published("scfnet-mobilenetv3", tmp_path / "weights", Files(tmp_path / "student.pth"))
    model, _ = load_weights(tmp_path / "weights")
    assert torch.equal(model.heads[3].weight, state["module.linear5.weight"])
    assert torch.equal(model.fusions[0].low.bn.running_var, state["module.de3.cv2.1.running_var"])
