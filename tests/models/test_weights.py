"""A weights folder gives back the network that was put into it, without holding its weights twice."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from limelight.foundation.errors import UserError
from limelight.foundation.files import read_json, sha256_file
from limelight.models.empty import empty_parameters
from limelight.models.registry import create_model
from limelight.models.weights import CARD, load_weights, read_card, save_weights


def test_weights_can_be_read_by_whom_the_umask_lets(tmp_path: Path) -> None:
    network = create_model("sdnet", width=12)
    for umask, mode in ((0o022, 0o644), (0o077, 0o600)):
        before = os.umask(umask)
        try:
            save_weights(tmp_path / "w", network, name="sdnet", input_size=(64, 64))
        finally:
            os.umask(before)
        modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "w").iterdir()}
        assert modes == {"model.safetensors": mode, "card.json": mode}


def test_a_misspelt_value_of_a_card_is_named(untrained: Path, tmp_path: Path) -> None:
    card = json.loads((untrained / "card.json").read_text())
    card["prepare"]["polciy"] = "native"
    (tmp_path / "card.json").write_text(json.dumps(card))
    with pytest.raises(UserError, match=r"card\.json: prepare\.polciy: Extra inputs are not permitted; the card was"):
        read_card(tmp_path)


@pytest.mark.parametrize(
    ("section", "field", "value"),
    [
        ("prepare", "mean", [124.0, 117.0, 104.0]),
        ("prepare", "mean", [0.5, -0.1, 0.5]),
        ("prepare", "std", [0.2, 0.0, 0.2]),
        ("prepare", "std", [58.0, 57.0, 57.0]),
        ("prepare", "std", [0.2, float("nan"), 0.2]),
        ("finish", "temperature", float("inf")),
    ],
)
def test_values_that_make_weights_useless_are_named(
    untrained: Path, tmp_path: Path, section: str, field: str, value: object
) -> None:
    shutil.copytree(untrained, tmp_path / "weights")
    card = read_json(untrained / CARD)
    card[section][field] = value
    (tmp_path / "weights" / CARD).write_text(json.dumps(card))
    with pytest.raises(UserError, match=rf"card\.json: {section}\.{field}"):
        read_card(tmp_path / "weights")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("task", "open-vocabulary"),
        ("modalities", ["rgb", "rgbd"]),
        ("inputs", [{"name": "image", "source": "image", "scale": 0.5}]),
    ],
)
def test_a_card_of_another_network_is_refused(untrained: Path, tmp_path: Path, field: str, value: object) -> None:
    shutil.copytree(untrained, tmp_path / "weights")
    card = read_json(untrained / CARD)
    card["architecture"][field] = value
    (tmp_path / "weights" / CARD).write_text(json.dumps(card))
    with pytest.raises(
        UserError, match=rf"architecture\.{field} is .*, but sdnet has .*; the card was changed by hand"
    ):
        load_weights(tmp_path / "weights")


def test_weights_take_no_other_folder_s_place(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("all of it")
    network = create_model("sdnet", width=12)
    with pytest.raises(UserError, match="is not empty, and no weights folder; choose another place, or empty it"):
        save_weights(tmp_path, network, name="sdnet")
    assert (tmp_path / "thesis.txt").read_text() == "all of it"
    for _ in range(2):
        save_weights(tmp_path / "w", network, name="sdnet")


def test_a_file_that_is_no_safetensors_is_named_whatever_its_card_says(untrained: Path, tmp_path: Path) -> None:
    card = json.loads((untrained / "card.json").read_text())
    (tmp_path / "model.safetensors").write_bytes(b"junk")
    card["provenance"]["sha256"] = sha256_file(tmp_path / "model.safetensors")
    (tmp_path / "card.json").write_text(json.dumps(card))
    with pytest.raises(UserError, match="is no file of weights"):
        load_weights(tmp_path)


@pytest.mark.parametrize("value", [-1, "a", 0])
def test_options_of_a_wrong_value_are_named(value: object) -> None:
    with pytest.raises(UserError, match=r"'sdnet' cannot be built with these options: \{'width': "):
        create_model("sdnet", width=value)


@pytest.mark.parametrize("name", ["scfnet-swinb", "scfnet-resnet50", "diffsod", "segdiffusion"])
def test_large_networks_keep_the_buffers_that_no_file_holds(name: str) -> None:
    with empty_parameters():
        network = create_model(name)
    assert all(value.is_meta for value in network.parameters())
    assert not any(value.is_meta for value in network.buffers())


def test_only_modules_of_the_block_are_empty() -> None:
    with empty_parameters(), empty_parameters():
        assert nn.Linear(2, 2).weight.is_meta
    assert not nn.Linear(2, 2).weight.is_meta


PEAK = """
import resource, sys, torch
from limelight.models.sdnet import network
from limelight.models.weights import load_weights

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
loaded = load_weights(sys.argv[1])[0]
float(sum(value.sum() for value in loaded.parameters()))  # whatever was put off is done now
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.mark.slow
def test_loading_takes_the_memory_of_one_copy(tmp_path: Path) -> None:
    width = 700
    with torch.device("meta"):
        network = create_model("sdnet", width=width)
    size = sum(value.numel() for value in network.parameters()) * 4 / 2**20
    assert size > 50
    network.to_empty(device="cpu")
    for value in network.state_dict().values():
        value.zero_()
    save_weights(tmp_path / "w", network, name="sdnet", input_size=(64, 64))
    run = subprocess.run([sys.executable, "-c", PEAK, str(tmp_path / "w")], check=True, capture_output=True, text=True)
    assert float(run.stdout) < 1.5 * size
