"""Weights that come with the package are used by name, and by default."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from limelight import load
from limelight.champions.record import champion
from limelight.cli.main import app
from limelight.deploy import export_cache as exports
from limelight.deploy.export_cache import cached_export, with_export
from limelight.foundation.errors import UserError
from limelight.inference.loading import load as load_folder
from limelight.inference.runtimes import RUNTIMES
from limelight.models import shipped
from limelight.models.shipped import DEFAULT, weights_folder
from limelight.models.weights import CARD, WEIGHTS, read_card, save_weights
from limelight.services.launch import prepare
from tests.small_network import NAME, Small, create

PHOTO = Path(__file__).parent / "photos" / "cat.jpg"


@pytest.fixture(autouse=True)
def two(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two sets of weights come with the package, which are none of the real ones; the folder of work is empty."""
    for name in ("limelight-base", "a-small-one"):
        shutil.copytree(small, tmp_path / "package" / name)
    monkeypatch.setattr(shipped, "FOLDER", tmp_path / "package")
    monkeypatch.setattr("limelight.cli.listing.FOLDER", tmp_path / "package")
    monkeypatch.setattr(os, "environ", {**os.environ})  # in which `prepare` sets what the service reads
    os.environ["XDG_CACHE_HOME"] = str(tmp_path / "cache")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "package"


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.stderr
    return result.output


def test_a_picture_needs_nothing_else() -> None:
    run("predict", str(PHOTO), "--size", "64")
    assert Path("results/map/cat.png").is_file()
    one = load().predict([np.zeros((20, 30, 3), np.uint8)])[0].saliency_HW
    other = load("a-small-one").predict([np.zeros((20, 30, 3), np.uint8)])[0].saliency_HW
    assert one.shape == (20, 30) and np.array_equal(one, other)


def test_names_are_taken_wherever_folders_are(two: Path) -> None:
    run("predict", str(PHOTO), "--model", "a-small-one")
    assert prepare(Path("a-small-one"), None, None, host="127.0.0.1", port=43217)[2:4] == (
        "serve",
        "limelight.services.saliency:Limelight",
    )
    run("export", "a-small-one", "--runtime", "onnx-fp32")
    assert read_card("artifacts/a-small-one-deploy").architecture.form == "merged"
    lines = [line for line in run("models", "small").splitlines() if f" {Small().count_parameters()} " in line]
    assert [line.split()[0] for line in lines] == [DEFAULT, "a-small-one"], "the default first"
    lines = run("models", "a-small-one").splitlines()
    assert [line.split()[0] for line in lines if line] == ["network", "small", "weights", "a-small-one"]
    with pytest.raises(UserError, match="'a-small-one' comes with Limelight; there is nothing to fetch"):
        run("weights", "pull", "a-small-one")


@pytest.mark.slow
def test_exports_are_made_on_first_use(two: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    expected = load("a-small-one").predict([picture])[0].saliency_HW
    Path("photos").mkdir()
    shutil.copy(PHOTO, "photos/a.jpg")
    assert "torch" in run("predict", "photos", "-o", "maps")
    said = run("predict", str(PHOTO), "--model", "a-small-one", "--runtime", "openvino-fp32")
    assert "exporting a-small-one to openvino-fp32, once" in said
    (place,) = exports.cache().iterdir()
    assert place.name.startswith(f"a-small-one-{read_card(two / 'a-small-one').provenance.sha256[:12]}-openvino-fp32-")
    made = (place / "exports/openvino-fp32/model.xml").stat().st_mtime_ns
    for runtime in ("auto", "openvino-fp32", "openvino-bf16"):
        predictor = load("a-small-one", runtime=runtime)
        assert "openvino" in predictor.description
        np.testing.assert_allclose(predictor.predict([picture])[0].saliency_HW, expected, atol=0.02)
    assert "torch" in load(runtime="auto").description, "another's export is not its own"
    assert (place / "exports/openvino-fp32/model.xml").stat().st_mtime_ns == made
    prepare(None, None, None, host="127.0.0.1", port=43217)  # a service lives long: its export is made
    served = Path(os.environ["LIMELIGHT_MODEL"])
    assert served.name.startswith("limelight-base-") and "-openvino-fp32-" in served.name
    shutil.copy(PHOTO, "photos/b.jpg")
    said = run("predict", "photos", "-o", "maps")  # begun before there was an export
    assert "openvino" in said and "1 already there" in said and Path("maps/b.png").is_file()
    route = "limelight export a-small-one --runtime onnx-int8 --pictures FOLDER -o artifacts/a-small-one-int8, then"
    for named in ("a-small-one", two / "a-small-one"):  # by its folder: where it is the default
        with pytest.raises(UserError, match=route):
            load(named, runtime="onnx-int8")


@pytest.mark.slow
def test_exports_of_one_size_serve_that_size_alone(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Left the choice, pictures of other sizes get PyTorch, although an export is there."""
    monkeypatch.setattr(Small, "capabilities", replace(Small.capabilities, fixed_export=True))
    picture = np.random.default_rng(0).integers(0, 256, (100, 130, 3), np.uint8)
    made = {policy: two / policy for policy in ("stretch", "shorter")}
    for policy, folder in made.items():
        save_weights(folder, create(), name=NAME, input_size=(64, 64), policy=policy)
    assert with_export("shorter", "auto", lasting=True) == made["shorter"], "none is made that cannot serve"
    (expected,) = load("shorter").predict([picture])
    for runtime in ("onnx-fp32", "openvino-fp32"):  # but those that earlier versions made may be in the cache
        served = cached_export(made["shorter"], RUNTIMES[runtime])
        assert "torch" in load_folder(served, runtime="auto").description
    (found,) = load("shorter", runtime="auto").predict([picture])
    np.testing.assert_allclose(found.saliency_HW, expected.saliency_HW, atol=0.01)
    served = with_export("stretch", "auto", lasting=True)
    for size, engine in ((None, "openvino"), (64, "openvino"), (96, "torch")):
        predictor = load_folder(served, runtime="auto", size=size)
        assert engine in predictor.description
        assert predictor.predict([picture])[0].saliency_HW.shape == (100, 130)


def test_what_is_here_goes_first(untrained: Path) -> None:
    """A folder of that name, and a champion."""
    shutil.copytree(untrained, "a-small-one")
    assert weights_folder("a-small-one") == Path("a-small-one")
    assert champion().folder == shipped.FOLDER / DEFAULT
    Path("reports/leaderboard").mkdir(parents=True)
    record = {"saliency": {"artifact": "best", "runtime": "torch"}}
    Path("reports/leaderboard/champion.json").write_text(json.dumps(record))
    assert champion().folder == Path("artifacts/best")
    with pytest.raises(UserError, match="artifacts/best is not a weights folder"):
        load()


def test_bad_names_and_files(two: Path) -> None:
    with pytest.raises(UserError, match=r"'limelight-huge' is neither .*; did you mean limelight-base"):
        load("limelight-huge")
    with pytest.raises(UserError, match=r"no champion (of open-vocabulary|yet)"):
        champion("open-vocabulary")
    data = bytearray((two / DEFAULT / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (two / DEFAULT / WEIGHTS).write_bytes(data)
    with pytest.raises(UserError, match="damaged or replaced"):
        load()
    (two / DEFAULT / CARD).write_text("{")
    with pytest.raises(UserError, match=r"card\.json"):
        read_card(two / DEFAULT)
