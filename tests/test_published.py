"""Published weights are used by name: fetched at the first use from hosts that behave as the real ones, then kept."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from limelight import load
from limelight.cli.main import app
from limelight.download.turns import alone
from limelight.foundation.errors import UserError
from limelight.foundation.files import read_json, sha256_file
from limelight.imaging.feeds import picture_feeds
from limelight.imaging.images import read_image
from limelight.inference.loading import load as load_folder
from limelight.models.card import IMAGENET_MEAN, IMAGENET_STD
from limelight.models.importers import import_published
from limelight.models.importers.files import Files
from limelight.models.registry import create_model, entry
from limelight.models.weights import CARD, WEIGHTS, read_card
from limelight.models.zoo.names import pull_published
from limelight.models.zoo.obtain import found_elsewhere
from limelight.models.zoo.pin import ByHand, Checkpoint, Onnx
from limelight.models.zoo.pins import PINS
from limelight.models.zoo.places import cache, file_of, folder_of, places_elsewhere
from limelight.services.launch import prepare
from tests.file_server import Certificate, FileServer, make_certificate, serving
from tests.full_disk import files_end_at
from tests.models.onnx_nets import as_rembg_does, net
from tests.models.published_scfnet import published_student, write_pickle
from tests.models.published_sdnet import published_state

ROOT = Path(__file__).resolve().parent.parent
PHOTO = Path(__file__).parent / "photos" / "cat.jpg"
TABLE = dict(PINS)
"""As it is; the tests' hosts have other files."""
SDNET, NIGHTLY = "sdnet.duts", "inspyrenet-swinb.nightly"
GITHUB = "/hellozhuo/stdnet/raw/main/checkpoints/sdnet_from_scratch.pth"
RAW = "/hellozhuo/stdnet/refs/heads/main/checkpoints/sdnet_from_scratch.pth"
RELEASE = "/plemeri/transparent-background/releases/download/1.2.12/ckpt_base_nightly.pth"
STORE = "/github-production-release-asset/1234/ckpt_base_nightly.pth?sp=r&sig=abc"
GITHUB_HOST, RAW_HOST = "github.com", "raw.githubusercontent.com"
STORE_HOST = "release-assets.githubusercontent.com"
SMALL = {"backbone": "lcnet_050", "channels": 8, "base_size": 64}


@dataclass(frozen=True)
class Hosts:
    """The hosts of the net, and what they have."""

    server: FileServer
    sdnet: bytes
    inspyrenet: bytes


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of checkpoints in the authors' form."""
    folder = tmp_path_factory.mktemp("checkpoints")
    torch.manual_seed(0)
    torch.save(published_state("nobn"), folder / "sdnet.pth")
    torch.save(create_model("inspyrenet", **SMALL, attention="published").state_dict(), folder / "inspyrenet.pth")
    return folder


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"), GITHUB_HOST, RAW_HOST, STORE_HOST)


@pytest.fixture(autouse=True)
def hosts(
    checkpoints: Path, certificate: Certificate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Hosts]:
    """A proxy that pretends to be GitHub; home and folder of work are empty."""
    for name in ("home", "work"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr(os, "environ", {**os.environ})  # in which `prepare` sets what the service reads
    ends = ("_PROXY", "REMBG_HOME", "U2NET_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "BACKGROUND_FILE_PATH")
    for name in [name for name in os.environ if name.upper().endswith(ends) or name.startswith("LIMELIGHT_")]:
        del os.environ[name]
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    sdnet, inspyrenet = ((checkpoints / f"{name}.pth").read_bytes() for name in ("sdnet", "inspyrenet"))
    digest = f"sha256:{hashlib.sha256(sdnet).hexdigest()}"
    monkeypatch.setitem(PINS, SDNET, replace(PINS[SDNET], hash=digest, bytes=len(sdnet)))
    content = replace(PINS[NIGHTLY].content, network="inspyrenet", size=64, options=SMALL)
    monkeypatch.setitem(PINS, NIGHTLY, replace(PINS[NIGHTLY], content=content))
    with serving(certificate) as server:
        os.environ |= {"HTTPS_PROXY": server.address, "SSL_CERT_FILE": str(certificate.file)}
        os.environ |= {"HOME": str(tmp_path / "home")}
        server.redirects = {GITHUB: f"https://{RAW_HOST}{RAW}", RELEASE: f"https://{STORE_HOST}{STORE}"}
        server.files = {RAW: sdnet, STORE: inspyrenet}
        yield Hosts(server, sdnet, inspyrenet)


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.stderr
    return result.stdout


def kept() -> list[str]:
    """Files below the cache, but for locks."""
    files = (path for path in cache().rglob("*") if path.is_file() and path.suffix != ".lock")
    return sorted(str(path.relative_to(cache())) for path in files)


# ------------------------------------------------------------------------------------------------------------- by name
def test_load_by_name(hosts: Hosts, checkpoints: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is fetched, checked, imported and predicts as what `limelight import` makes of the same file."""
    predictor = load(SDNET)
    said = capsys.readouterr().err.splitlines()
    assert said[0] == (
        f"fetching sdnet.duts once: sdnet_from_scratch.pth, {len(hosts.sdnet) / 1e6:.1f} MB, from github.com; "
        "licence: MIT; contact the authors for any commercial use"
    )
    assert predictor.card.provenance.licence == "MIT; contact the authors for any commercial use"
    assert predictor.card.provenance.source == (
        f"imported from sdnet_from_scratch.pth, sha256 {hashlib.sha256(hosts.sdnet).hexdigest()}, published as "
        f"https://github.com{GITHUB}"
    )
    assert predictor.card.provenance.trained_on == ("DUTS-TR",) and predictor.card.prepare.size == (320, 320)
    import_published("sdnet", tmp_path / "other", Files(checkpoints / "sdnet.pth"))
    picture = read_image(PHOTO)
    expected = load_folder(tmp_path / "other").predict([picture])[0].saliency_HW
    np.testing.assert_array_equal(predictor.predict([picture])[0].saliency_HW, expected)
    place = folder_of(PINS[SDNET]).name
    assert kept() == [f"{place}/{CARD}", f"{place}/{WEIGHTS}"], "the checkpoint itself is not kept"
    assert [path for path, _ in hosts.server.requests] == [GITHUB, RAW]


def test_what_was_fetched_once_needs_no_network(hosts: Hosts, capsys: pytest.CaptureFixture[str]) -> None:
    load(SDNET)
    asked = len(hosts.server.requests)
    capsys.readouterr()
    os.environ["LIMELIGHT_OFFLINE"] = "1"
    load(SDNET)
    run("weights", "pull", SDNET)
    assert len(hosts.server.requests) == asked and capsys.readouterr().err == ""


def test_names_are_taken_wherever_folders_are() -> None:
    run("predict", str(PHOTO), "--model", SDNET, "--size", "64", "-o", "map.png")
    assert Path("map.png").is_file()
    os.environ["LIMELIGHT_RUNTIME"] = "torch"
    address = {"host": "127.0.0.1", "port": 43217}
    assert prepare(Path(SDNET), None, None, **address)[2:4] == ("serve", "limelight.services.saliency:Limelight")


@pytest.fixture
def rembg_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of rembg's, where rembg keeps it."""
    file = net(tmp_path / "home/models/u2netp/u2netp.onnx")
    monkeypatch.setenv("REMBG_HOME", str(tmp_path / "home"))
    small = replace(PINS["u2netp"].content, size=64)
    monkeypatch.setitem(PINS, "u2netp", replace(PINS["u2netp"], content=small, hash=f"sha256:{sha256_file(file)}"))
    return file


@pytest.mark.slow
def test_export_by_name(rembg_s: Path) -> None:
    run("export", "u2netp", "--runtime", "openvino-fp32")
    assert read_card("artifacts/u2netp-deploy").provenance.licence == "Apache-2.0"
    assert "openvino" in load("artifacts/u2netp-deploy", runtime="auto").description


def test_a_bento_serves_the_name_of_the_environment(untrained: Path, tmp_path: Path) -> None:
    shutil.copytree(untrained, tmp_path / "bento" / "models" / "limelight" / "1")
    shutil.make_archive(str(tmp_path / "packed"), "tar", tmp_path / "bento")
    os.environ |= {"LIMELIGHT_MODEL": SDNET, "LIMELIGHT_RUNTIME": "torch"}
    prepare(None, tmp_path / "packed.tar", None, host="127.0.0.1", port=43217)
    assert os.environ["LIMELIGHT_MODEL"] == str(folder_of(PINS[SDNET]))


@pytest.mark.slow
def test_exports_are_made_in_the_cache() -> None:
    picture = read_image(PHOTO)
    expected = load(SDNET).predict([picture])[0].saliency_HW
    predictor = load(SDNET, runtime="openvino-fp32")
    assert "openvino" in predictor.description
    np.testing.assert_allclose(predictor.predict([picture])[0].saliency_HW, expected, atol=0.02)
    assert sorted(path.name for path in folder_of(PINS[SDNET]).iterdir()) == [CARD, WEIGHTS], "nothing beside it"


def test_what_is_here_goes_first(untrained: Path, hosts: Hosts) -> None:
    shutil.copytree(untrained, SDNET)
    assert load(SDNET).card.prepare.size == (64, 64) and not hosts.server.requests


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sdnet.dut", "'sdnet.dut' is neither a weights folder nor the name of weights; did you mean sdnet.duts"),
        ("inspyrenet-swinb", "did you mean inspyrenet-swinb.duts or "),
        ("SDNet.DUTS", "did you mean sdnet.duts"),
        ("birefnet", "did you mean birefnet-general or "),
        ("zzz", "'zzz' is neither a weights folder nor the name of weights; limelight weights lists published ones"),
        ("artifacts/sdnet", "artifacts/sdnet is not a weights folder"),
    ],
)
def test_unknown_names(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load(name)


def test_nothing_is_pulled_if_a_name_is_wrong(hosts: Hosts) -> None:
    with pytest.raises(UserError, match=r"'sdnet' is not the name of published weights; did you mean sdnet\.duts"):
        run("weights", "pull", SDNET, "sdnet")
    assert not hosts.server.requests


# ------------------------------------------------------------------------------------------------- how weights are used
def test_weights_are_used_as_their_authors_do() -> None:
    """transparent-background's: Pillow's resizing, the released code's attention, maps of full contrast."""
    card = load(NIGHTLY).card
    picture = read_image(PHOTO)
    (image_3HW,) = picture_feeds([picture], [None], ["rgb"], card, (64, 64))["image"]
    pillow_HW3 = np.asarray(Image.fromarray(picture).resize((64, 64), Image.Resampling.BILINEAR)) / 255
    np.testing.assert_allclose(image_3HW.transpose(1, 2, 0), (pillow_HW3 - IMAGENET_MEAN) / IMAGENET_STD, atol=1e-5)
    assert card.architecture.options["attention"] == "published" and card.architecture.options["base_size"] == 64
    assert card.prepare.size == (64, 64) and card.prepare.filter == "bilinear-antialiased"
    assert card.finish.full_contrast and card.finish.filter == "bilinear-aligned"


@pytest.mark.parametrize("name", [name for name, pin in TABLE.items() if isinstance(pin.content, Checkpoint)])
def test_networks_of_the_table_are_those_of_the_registry(name: str) -> None:
    pin = TABLE[name]
    assert isinstance(pin.content, Checkpoint)
    assert find_spec(entry(pin.content.network).importer), "it can be imported"
    with torch.device("meta"):
        network = create_model(pin.content.network, **pin.content.options)
    assert pin.content.options.get("base_size", pin.content.size) == pin.content.size
    assert pin.content.size % network.capabilities.divisor == 0


def test_papers_inspyrenets_are_used_as_their_own_configurations_say() -> None:
    """Res2Net's stretches to 384 x 384; SwinB's keeps proportions and blends larger pictures with a second pass."""
    res2net, swinb = (TABLE[f"inspyrenet-{backbone}.duts"].content for backbone in ("res2net50", "swinb"))
    assert isinstance(res2net, Checkpoint) and isinstance(swinb, Checkpoint)
    assert (res2net.size, dict(res2net.options), dict(res2net.prepare)) == (384, {}, {})
    assert (swinb.size, dict(swinb.options)) == (384, {"blend_above": 512})
    assert dict(swinb.prepare) == {"policy": "shorter", "size": (1280, 1280)}


def test_the_table_is_whole() -> None:
    """rembg's files are pinned by a hash each; every other one that has none is recorded at its first fetch."""
    for name, pin in TABLE.items():
        assert name == pin.name and re.fullmatch(r"[\w.-]+", name) and pin.url.startswith("https://")
        if isinstance(pin.content, Onnx):
            assert pin.expected is not None
    assert len({pin.url for pin in TABLE.values()}) == len(TABLE)
    assert len({pin.hash for pin in TABLE.values() if pin.hash}) == sum(bool(pin.hash) for pin in TABLE.values())


def test_files_that_the_user_has_to_unpack(hosts: Hosts) -> None:
    assert isinstance(PINS["diffsod"].content, ByHand)
    with pytest.raises(UserError, match=r"packed is not known here; get .* from https://drive.*limelight import"):
        load("diffsod")
    assert not hosts.server.requests


def test_an_onnx_file_of_rembg_s_is_used_where_it_lies(hosts: Hosts, rembg_s: Path) -> None:
    """Prepared and finished as rembg does; then it is a weights folder like any other."""
    predictor = load("u2netp")
    picture = Image.open(PHOTO).convert("RGB").resize((90, 70))
    expected = as_rembg_does(
        rembg_s, picture, *(np.array(each) for each in (IMAGENET_MEAN, IMAGENET_STD)), sigmoid=False
    )
    found = np.rint(predictor.predict([np.array(picture)])[0].saliency_HW * 255)
    assert np.abs(found - expected).max() <= 1
    assert predictor.card.provenance.licence == "Apache-2.0" and not hosts.server.requests


# ------------------------------------------------------------------------------------------ files without a known hash
def test_the_first_fetch_is_recorded_and_later_ones_are_held_to_it(
    hosts: Hosts, capsys: pytest.CaptureFixture[str]
) -> None:
    load(NIGHTLY)
    digest = hashlib.sha256(hosts.inspyrenet).hexdigest()
    said = f"{NIGHTLY}: no hash is published; sha256 {digest} is recorded in {cache() / 'hashes.json'}, and later"
    assert capsys.readouterr().err.splitlines()[-1].startswith(said)
    assert read_json(cache() / "hashes.json") == {NIGHTLY: {"sha256": digest, "url": PINS[NIGHTLY].url}}
    shutil.rmtree(folder_of(PINS[NIGHTLY]))
    hosts.server.files[STORE] += b"more"
    with pytest.raises(UserError, match=f"not {digest}; nothing was kept: that is the hash of its first fetch, in"):
        load(NIGHTLY)
    assert kept() == ["hashes.json"]
    hosts.server.files[STORE] = hosts.inspyrenet
    load(NIGHTLY)
    assert "is recorded" not in capsys.readouterr().err


@pytest.mark.parametrize("body", [b"", b"damaged", b"PK\x03\x04 and no more"])
def test_a_file_that_is_no_such_network_is_not_recorded(hosts: Hosts, body: bytes) -> None:
    hosts.server.files[STORE] = body
    with pytest.raises(UserError, match="is not a file of PyTorch weights: it is damaged or truncated"):
        load(NIGHTLY)
    assert kept() == []
    hosts.server.files[STORE] = hosts.sdnet
    with pytest.raises(UserError, match="does not fit"):
        load(NIGHTLY)
    assert kept() == []
    hosts.server.files[STORE] = hosts.inspyrenet
    load(NIGHTLY)


def test_a_damaged_record_is_one_line() -> None:
    cache().mkdir(parents=True)
    (cache() / "hashes.json").write_text("{")
    with pytest.raises(UserError, match=r"hashes\.json is not valid JSON"):
        load(NIGHTLY)


# ---------------------------------------------------------------------------------------------------- what goes wrong
def test_another_file_than_the_pinned_one(hosts: Hosts) -> None:
    hosts.server.files[RAW] = hosts.sdnet[:-1] + b"x"
    with pytest.raises(UserError, match=r"has sha256 .*, not .*; nothing was kept: it was damaged or replaced"):
        load(SDNET)
    assert kept() == []


def test_more_bytes_than_the_pinned_file_has(hosts: Hosts) -> None:
    hosts.server.files[RAW] += b"x"
    with pytest.raises(UserError, match=f"sends more than {len(hosts.sdnet):,} bytes; nothing was kept"):
        load(SDNET)


def test_a_proxy_s_page(hosts: Hosts) -> None:
    hosts.server.files[RAW], hosts.server.headers = b"<html>log in</html>", {"Content-Type": "text/html"}
    with pytest.raises(UserError, match="sends a web page instead of the file"):
        load(SDNET)
    assert kept() == []


def test_a_host_that_is_led_away_from_encryption(hosts: Hosts) -> None:
    hosts.server.redirects[GITHUB] = f"{hosts.server.address}{RAW}"
    with pytest.raises(UserError, match=r"leads to 127\.0\.0\.1 without encryption; nothing was fetched"):
        load(SDNET)


def test_offline_says_what_to_put_where(hosts: Hosts, tmp_path: Path) -> None:
    os.environ["LIMELIGHT_OFFLINE"] = "1"
    place = tmp_path / f"home/.cache/limelight/weights/downloads/{SDNET}/sdnet_from_scratch.pth"
    with pytest.raises(UserError) as error:
        load(SDNET)
    assert str(error.value) == (
        f"sdnet_from_scratch.pth is not here and LIMELIGHT_OFFLINE is set; get it from https://github.com{GITHUB} on "
        f"another machine and put it at {place}"
    )
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(hosts.sdnet)
    load(SDNET)
    assert not hosts.server.requests


def test_a_file_that_the_user_has_put_there_is_not_lost(hosts: Hosts) -> None:
    """It may have taken a browser to get it."""
    file = file_of(PINS[NIGHTLY])
    file.parent.mkdir(parents=True)
    file.write_bytes(hosts.sdnet)
    with pytest.raises(UserError, match="does not fit"):
        load(NIGHTLY)
    assert file.is_file() and not hosts.server.requests
    file.write_bytes(hosts.inspyrenet)
    load(NIGHTLY)
    assert not hosts.server.requests


def test_the_cache_is_where_it_is_said_to_be(tmp_path: Path) -> None:
    os.environ["XDG_CACHE_HOME"] = str(tmp_path / "elsewhere")
    load(SDNET)
    assert (tmp_path / "elsewhere/limelight/weights" / folder_of(PINS[SDNET]).name / WEIGHTS).is_file()
    (tmp_path / "closed").write_text("a file")
    os.environ["XDG_CACHE_HOME"] = str(tmp_path / "closed")
    with pytest.raises(UserError, match=r"cannot write .*closed.*; choose another place"):
        load(SDNET)


def test_a_full_disk_leaves_no_weights_folder(hosts: Hosts) -> None:
    """A limit on the size of files stands for it: the checkpoint has come, and cannot be written as safetensors."""
    file = file_of(PINS[SDNET])
    file.parent.mkdir(parents=True)
    file.write_bytes(hosts.sdnet)
    problem = r"cannot write .*: .*File too large.*; free some space or choose another"
    with files_end_at(1 << 20), pytest.raises(UserError, match=problem):
        load(SDNET)
    assert kept() == [f"downloads/{SDNET}/{file.name}"], "what was fetched stays"
    load(SDNET)


def test_weights_that_were_damaged_since_are_made_anew(capsys: pytest.CaptureFixture[str]) -> None:
    load(SDNET)
    path = folder_of(PINS[SDNET]) / WEIGHTS
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(UserError, match="was damaged or replaced"):
        load(SDNET)
    capsys.readouterr()
    for folder in pull_published([SDNET]):
        assert sha256_file(folder / WEIGHTS) == read_card(folder).provenance.sha256
    assert "sdnet.duts is made anew: " in capsys.readouterr().err
    load(SDNET)


def test_a_folder_that_another_process_makes_anew_is_left_to_it(
    hosts: Hosts, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two processes have found the damage; the later one finds the folder whole when its turn comes."""
    load(SDNET)
    place, asked = folder_of(PINS[SDNET]), len(hosts.server.requests)
    whole = (place / WEIGHTS).read_bytes()
    (place / WEIGHTS).write_bytes(whole[:-1] + b"x")
    said = ""
    with ThreadPoolExecutor(1) as pool:
        with alone(place):
            pulled = pool.submit(lambda: list(pull_published([SDNET])))
            while "another process is at work" not in said and not pulled.done():
                said += capsys.readouterr().err
                time.sleep(0.01)
            (place / WEIGHTS).write_bytes(whole)
        assert pulled.result() == [place]
    assert "made anew" not in said + capsys.readouterr().err and len(hosts.server.requests) == asked


def test_a_card_of_another_version_is_made_anew() -> None:
    load(SDNET)
    (folder_of(PINS[SDNET]) / CARD).write_text("{}")
    load(SDNET)


@pytest.mark.slow
def test_two_processes_fetch_and_import_once(hosts: Hosts, tmp_path: Path) -> None:
    """From a mirror, and a name whose hash is not published: other processes have the table as it is."""
    name = "scfnet-mobilenetv3.fs"
    paddle = write_pickle(tmp_path / "net.pdparams", published_student())
    hosts.server.files[f"/{name}/{name}.pdparams"] = paddle.read_bytes()
    os.environ["LIMELIGHT_WEIGHTS_URL"] = hosts.server.address
    command = [sys.executable, "-m", "limelight.cli", "weights", "pull", name]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, env=os.environ, **pipes) for _ in range(2)]
    said = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert [output for output, _ in said] == [f"{folder_of(PINS[name])}\n"] * 2
    assert len(hosts.server.requests) == 1 and sum("no hash is published" in errors for _, errors in said) == 1


# ---------------------------------------------------------------------------------------------- files that are here
@pytest.mark.parametrize("place", ["", "elsewhere"])
def test_transparent_background_s_file_is_used_where_it_lies(
    hosts: Hosts, tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    if place:
        os.environ["TRANSPARENT_BACKGROUND_FILE_PATH"] = str(tmp_path / place)
    file = (tmp_path / place if place else tmp_path / "home") / ".transparent-background/ckpt_base_nightly.pth"
    file.parent.mkdir(parents=True)
    file.write_bytes(hosts.inspyrenet)
    before = file.stat().st_mtime_ns
    load(NIGHTLY)
    assert f"{NIGHTLY}: using {file}, which is here for transparent-background" in capsys.readouterr().err
    assert not hosts.server.requests and file.stat().st_mtime_ns == before
    assert [path.name for path in file.parent.iterdir()] == [file.name], "nothing is put beside it"
    assert not file_of(PINS[NIGHTLY]).exists()


def test_another_version_of_a_file_is_left_alone(
    hosts: Hosts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = f"md5:{hashlib.md5(hosts.inspyrenet).hexdigest()}"
    monkeypatch.setitem(PINS, NIGHTLY, replace(PINS[NIGHTLY], hash=digest))
    file = tmp_path / "home/.transparent-background/ckpt_base_nightly.pth"
    file.parent.mkdir()
    file.write_bytes(b"an older one")
    load(NIGHTLY)
    said = capsys.readouterr().err
    assert f"{file} has another md5 than the published file; it is left alone" in said and "fetching" in said
    assert file.read_bytes() == b"an older one"


@pytest.mark.parametrize(
    ("variables", "place"),
    [
        ({}, "home/.rembg/models/birefnet-cod/birefnet-cod.onnx"),
        ({}, "home/.u2net/birefnet-cod.onnx"),
        ({}, "home/.u2net/BiRefNet-COD-epoch_125.onnx"),
        ({"REMBG_HOME": "own"}, "own/models/birefnet-cod/birefnet-cod.onnx"),
        ({"U2NET_HOME": "own"}, "own/models/birefnet-cod/birefnet-cod.onnx"),
        ({"U2NET_HOME": "own"}, "own/birefnet-cod.onnx"),
        ({"XDG_DATA_HOME": "data"}, "data/rembg/models/birefnet-cod/birefnet-cod.onnx"),
        ({"XDG_DATA_HOME": "data"}, "data/.u2net/birefnet-cod.onnx"),
    ],
)
def test_rembg_s_files_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], place: str
) -> None:
    os.environ |= {name: str(tmp_path / folder) for name, folder in variables.items()}
    pin = replace(PINS["birefnet-cod"], hash=f"md5:{hashlib.md5(b'onnx').hexdigest()}")
    assert tmp_path / place in places_elsewhere(pin) and found_elsewhere(pin) is None
    (tmp_path / place).parent.mkdir(parents=True)
    (tmp_path / place).write_bytes(b"onnx")
    assert found_elsewhere(pin) == tmp_path / place


# ------------------------------------------------------------------------------------------------------------- listing
def test_the_list(hosts: Hosts, tmp_path: Path) -> None:
    load(SDNET)
    file = tmp_path / "home/.transparent-background/ckpt_fast.pth"
    file.parent.mkdir()
    file.write_bytes(b"perhaps")
    lines = run("weights").splitlines()
    assert lines == run("weights", "list").splitlines() and len(lines) == len(PINS) + 1
    rows = {line.split()[0]: re.split(r"\s{2,}", line) for line in lines}
    assert rows["weights"] == ["weights", "network", "MB", "input", "licence", "host", "here"]
    assert rows[SDNET][1:4] == ["sdnet", f"{len(hosts.sdnet) / 1e6:.1f}", "320"]
    assert rows[SDNET][4:] == [PINS[SDNET].terms_of_use, "github.com", str(folder_of(PINS[SDNET]))]
    assert rows["inspyrenet-swinb.plus-ultra-lr"][6] == f"not imported, but the file: {file}"
    assert rows["scfnet-swinb"][5:] == ["drive.google.com", "no"]
    assert rows["diffsod"][6] == "to be imported by hand"


def test_the_documentation_has_every_name() -> None:
    lines = (ROOT / "docs/weights.md").read_text(encoding="utf-8").splitlines()
    for pin in TABLE.values():
        unknown = "of what you unpack" if isinstance(pin.content, ByHand) else "of the first fetch"
        cells = (
            pin.content.network,
            str(pin.content.size),
            pin.terms_of_use,
            pin.host,
            pin.hash.partition(":")[0] or unknown,
        )
        assert f"| `{pin.name}` | {' | '.join(cells)} |" in lines
