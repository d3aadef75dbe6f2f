"""Base weights from a hub: one commit, no pickles, every file checked; and what is refused."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file

from limelight.foundation.errors import UserError
from limelight.foundation.files import sha256_file
from limelight.models.diffusion import hub as base_weights
from limelight.models.diffusion.configs import SCHEDULER_SD2, UNETS, VAES
from limelight.models.diffusion.hub import FILES, LOCK, REPOSITORY, base_folder, pin_base_weights
from limelight.models.diffusion.parts import UNet2DConditionModel, build_scheduler, build_vae
from limelight.models.diffusion.segdiffusion.configs import TEXTS
from limelight.models.diffusion.segdiffusion.text import build_text
from limelight.models.diffusion.segdiffusion.tokenizer import word_tokenizer
from limelight.models.registry import create_model
from tests.models.diffusers_folder import write_folder
from tests.models.local_hub import COMMIT, Hub, local_hub

UNET = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny text-to-image model's files, with those that must not be fetched."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("hub") / "sd"
    parts = {
        "unet": UNet2DConditionModel(**UNETS["tiny"] | {"in_channels": UNETS["tiny"]["out_channels"]}),
        "vae": build_vae(VAES["tiny"]),
        "scheduler": build_scheduler(SCHEDULER_SD2),
        "text_encoder": build_text(TEXTS["tiny"]),
        "tokenizer": word_tokenizer(),
    }
    write_folder(folder, parts)
    for name in set(FILES["tokenizer"]) - {"tokenizer_config.json"}:  # in which tokenizers are written no more
        (folder / "tokenizer" / name).write_text(name)
    (folder / "unet/diffusion_pytorch_model.bin").write_bytes(b"a pickle")
    (folder / "768-v-ema.ckpt").write_bytes(b"another")
    return folder


@pytest.fixture
def hub(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that has them, an empty cache, and an empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(base_weights, "KNOWN_SHA256", {UNET: sha256_file(published / UNET)})
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with local_hub(published, REPOSITORY) as server:
        template = server.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "ENDPOINT", server.address)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield server


def fetched(server: Hub) -> set[str]:
    return {
        line.partition(COMMIT + "/")[2].partition(" ")[0] for line in server.requests if line.startswith("GET /sd2")
    }


def test_it_is_pinned_once_and_used_ever_after_without_the_hub(hub: Hub, published: Path) -> None:
    folder = pin_base_weights()
    expected_files = {f"{part}/{name}" for part in ("unet", "vae", "scheduler") for name in FILES[part]}
    assert fetched(hub) == expected_files  # no text encoder, no pickle
    lock = json.loads(LOCK.read_text())
    assert (lock["repository"], lock["revision"]) == (REPOSITORY, COMMIT)
    assert lock["sha256"] == {name: sha256_file(published / name) for name in expected_files}

    hub.shutdown()
    hub.server_close()
    for pretrained in ("sd2", True, {"revision": COMMIT, "sha256": lock["sha256"]}):
        assert base_folder(pretrained) == folder
    network = create_model("diffsod-tiny", pretrained="sd2")
    assert torch.equal(network.unet.conv_out.weight, load_file(published / UNET)["conv_out.weight"])
    with pytest.raises(UserError, match=r"no sha256 of text_encoder/model.safetensors; add it, or run"):
        base_folder("sd2", text=True)


def test_words_add_their_parts_to_the_lock(hub: Hub) -> None:
    pin_base_weights()
    hub.requests.clear()
    folder = pin_base_weights(text=True)
    assert fetched(hub) == {f"{part}/{name}" for part in ("text_encoder", "tokenizer") for name in FILES[part]}
    assert base_folder("sd2", text=True) == folder


@pytest.mark.slow
def test_a_transfer_that_broke_off_goes_on_where_it_was(
    hub: Hub, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1 << 16)
    hub.break_off = {UNET}
    folder = pin_base_weights()
    (again,) = [line for line in hub.requests if UNET in line and " bytes=" in line]
    assert int(again.partition("=")[2].partition("-")[0]) > (published / UNET).stat().st_size // 3
    assert sha256_file(folder / UNET) == sha256_file(published / UNET)


def test_a_file_that_changed_is_refused(hub: Hub) -> None:
    folder = pin_base_weights()
    (folder / UNET).resolve().write_bytes(b"something else")
    with pytest.raises(UserError, match=rf"{UNET} has sha256 \w+, base-weights.lock.json says \w+; delete "):
        base_folder("sd2")


def test_another_file_than_the_known_one_is_never_pinned(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base_weights, "KNOWN_SHA256", {UNET: "0" * 64})
    with pytest.raises(UserError, match="the table of hashes says 0000"):
        pin_base_weights()
    assert not LOCK.exists()


def test_a_part_that_the_hub_lacks_is_named(hub: Hub, published: Path, tmp_path: Path) -> None:
    hub.folder = Path(shutil.copytree(published, tmp_path / "less", ignore=shutil.ignore_patterns("scheduler")))
    with pytest.raises(UserError, match=r"the hub has no scheduler/scheduler_config.json; without a network, copy"):
        pin_base_weights()


@pytest.mark.parametrize("revision", ["main", "v2.0", "2511124", "A" * 40])
def test_revisions_that_move_are_refused(hub: Hub, revision: str) -> None:
    with pytest.raises(UserError, match=r"--revision: revision: a revision is a commit of 40 hex digits"):
        pin_base_weights(revision=revision)
    with pytest.raises(UserError, match=r"pretrained: revision: a revision is a commit"):
        base_folder({"revision": revision, "sha256": {}})
    assert hub.requests == []


def test_a_pin_is_kept(hub: Hub) -> None:
    pin_base_weights()
    with pytest.raises(UserError, match=f"pins revision {COMMIT}, not {'0' * 40}; remove it"):
        pin_base_weights(revision="0" * 40)
    LOCK.write_text('{"revision": 3}')
    with pytest.raises(UserError, match=r"base-weights.lock.json: revision: Input should be a valid string"):
        base_folder("sd2")


def test_mistakes_are_one_line(hub: Hub) -> None:
    with pytest.raises(UserError, match=r"no base weights are pinned .* run `limelight base-weights` once"):
        create_model("diffsod-tiny", pretrained="sd2")
    with pytest.raises(UserError, match=r"pretrained has no sha256 of unet/diffusion_pytorch_model.safetensors"):
        base_folder({"revision": COMMIT, "sha256": {}})
    with pytest.raises(UserError, match=f"{REPOSITORY} at {'0' * 12} cannot be fetched: "):
        pin_base_weights(revision="0" * 40)


@pytest.mark.slow
def test_the_command_says_what_it_did_and_what_to_do(published: Path, tmp_path: Path) -> None:
    def run_command(address: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "limelight.cli", "base-weights", *arguments],
            cwd=tmp_path,
            env={
                **os.environ,
                "HF_ENDPOINT": address,
                "HF_HUB_CACHE": str(tmp_path / "cache"),
                "PYTHONPATH": str(Path.cwd()),
            },
            capture_output=True,
            text=True,
        )

    with local_hub(published, REPOSITORY) as server:
        output = run_command(server.address)
    assert output.returncode == 2  # this tiny model is not the one whose hashes are known
    assert (
        output.stderr.splitlines()[-1].startswith("error: ")
        and "the table of hashes says df895df60d36" in output.stderr
    )
    output = run_command("http://127.0.0.1:9")
    assert output.returncode == 2
    (line,) = output.stderr.splitlines()
    assert line.startswith(f"error: {REPOSITORY} cannot be fetched: ") and "copy a folder with unet/" in line
