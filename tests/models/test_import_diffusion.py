"""`limelight import` of the diffusion networks' published files, re-created tiny; and what it refuses."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner, Result

from limelight.cli.main import app
from limelight.foundation.errors import UserError
from limelight.foundation.files import sha256_file
from limelight.models.card import Finish
from limelight.models.diffusion.configs import SCHEDULER_SD2, UNETS, VAES
from limelight.models.diffusion.diffsod.configs import BRANCHES
from limelight.models.diffusion.folder import UNET_WEIGHTS
from limelight.models.diffusion.hub import FILES
from limelight.models.diffusion.parts import UNet2DConditionModel, build_scheduler, build_unet, build_vae
from limelight.models.diffusion.segdiffusion.configs import TEXTS
from limelight.models.diffusion.segdiffusion.text import build_text
from limelight.models.diffusion.segdiffusion.tokenizer import word_tokenizer
from limelight.models.registry import create_model
from limelight.models.weights import load_weights
from tests.models.diffusers_folder import write_folder
from tests.models.published_branch import published_state, small_values


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the authors publish, and what they started from."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("downloads")
    torch.save(published_state(BRANCHES["tiny"], small_values(1), classes=10), folder / "branch.pth")
    write_folder(folder / "checkpoint", {"unet": build_unet(UNETS["tiny"])})
    parts = {
        "unet": UNet2DConditionModel(**UNETS["tiny"] | {"in_channels": UNETS["tiny"]["out_channels"]}),
        "vae": build_vae(VAES["tiny"]),
        "scheduler": build_scheduler(SCHEDULER_SD2),
        "text_encoder": build_text(TEXTS["tiny"]),
        "tokenizer": word_tokenizer(),
    }
    write_folder(folder / "sd", parts)
    return folder


@pytest.fixture
def run_command(downloads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Type `limelight import` in an empty folder, after a copy of the downloads."""
    shutil.copytree(downloads, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, ["import", *arguments])


DIFFSOD = ("--model", "diffsod-tiny", "--unet", "checkpoint", "--base", "sd")
WORDS = ("--model", "segdiffusion-tiny", "--unet", "checkpoint", "--base", "sd")


def test_diffsod_comes_in(run_command: Callable[..., Result]) -> None:
    result = run_command(*DIFFSOD, "branch.pth", "-o", "w", "--sha256", sha256_file("branch.pth"))
    assert (result.exit_code, result.stdout) == (0, "w\n"), result.exception
    network, card = load_weights("w")
    assert card.use.denoise_steps == 10
    result = (card.architecture.model, card.prepare.size, card.provenance.licence)
    assert network.legacy and result == ("diffsod-tiny", (64, 64), "openrail++")
    assert sha256_file("branch.pth") in card.provenance.source
    published, drawn = torch.load("branch.pth", weights_only=True), load_file(f"checkpoint/{UNET_WEIGHTS}")
    assert torch.equal(network.condition.branch.fusion.attention.gate.weight, published["afim.attn.l.weight"])
    assert torch.equal(network.unet.conv_in.weight, drawn["conv_in.weight"])
    base = load_file("sd/vae/diffusion_pytorch_model.safetensors")
    assert torch.equal(network.vae.decoder.conv_in.weight, base["decoder.conv_in.weight"])


def test_segdiffusion_comes_in(run_command: Callable[..., Result]) -> None:
    result = run_command(*WORDS, "-o", "w", "--sha256", sha256_file(f"checkpoint/{UNET_WEIGHTS}"))
    assert (result.exit_code, result.stdout) == (0, "w\n"), result.exception
    network, card = load_weights("w")
    assert network.legacy and card.architecture.task == "open-vocabulary"
    assert card.finish == Finish(), "its maps compete for each pixel, and are not stretched"
    assert any(name.startswith("tokenizer/") for name in card.provenance.assets)
    drawn = load_file(f"checkpoint/{UNET_WEIGHTS}")
    assert torch.equal(network.unet.conv_in.weight, drawn["conv_in.weight"])
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    grey = network.legacy_grey(image, network.encode_prompts(["a photo of a cat", "a photo of a dog"]), steps=2)
    assert grey.shape == (1, 1, 64, 64) and grey.isfinite().all()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--model", "diffsod-tiny", "branch.pth"), "give the folder that holds unet/ with --unet"),
        (DIFFSOD, "give that .pth file"),
        ((*DIFFSOD, "nothing.pth"), "nothing.pth does not exist"),
        ((*DIFFSOD, "branch.pth", "--sha256", "0" * 64), "expected 000"),
        ((*DIFFSOD[:-1], "checkpoint", "branch.pth"), "checkpoint has no scheduler/scheduler_config.json"),
        ((*DIFFSOD[:3], "sd", "--base", "sd", "branch.pth"), "one that draws masks"),
        ((*DIFFSOD, f"checkpoint/{UNET_WEIGHTS}"), "does not fit Branch: "),
        ((*WORDS, "branch.pth"), "is published as a UNet only; leave out branch.pth"),
        ((*WORDS, "--sha256", "0" * 64), "expected 000"),
        (("--model", "sdnet"), "sdnet comes as one file"),
        (("--model", "sdnet", "branch.pth", "--base", "sd"), "--base cannot be given with a network without a UNet"),
        (("--model", "sdnet", "branch.pth", "--unet", "checkpoint"), "give that, without --unet"),
        (("--model", "diffsod-tiny", "--unet", "checkpoint", "branch.pth"), "no base weights are pinned"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(
    arguments: tuple[str, ...], problem: str, run_command: Callable[..., Result]
) -> None:
    result = run_command(*arguments, "-o", "w")
    assert isinstance(result.exception, UserError) and problem in str(result.exception)
    assert "\n" not in str(result.exception) and not Path("w").exists()


def edit(path: str, **changes: object) -> None:
    Path(path).write_text(json.dumps(json.loads(Path(path).read_text()) | changes))


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        *((lambda part=part: shutil.rmtree(f"sd/{part}"), f"sd has no {part}/") for part in FILES),
        (lambda: edit("sd/scheduler/scheduler_config.json", prediction_type="epsilon"), "prediction_type is 'epsilon'"),
        (lambda: Path(f"sd/{UNET_WEIGHTS}").unlink(), "has no diffusion_pytorch_model.safetensors (found: no weights)"),
        (lambda: Path(f"sd/{UNET_WEIGHTS}").write_bytes(b"short"), "sd/unet cannot be read: "),
        (lambda: Path("sd/text_encoder/model.safetensors").write_bytes(b"short"), "text_encoder/ or tokenizer/ cannot"),
        (
            lambda: edit("sd/unet/config.json", cross_attention_dim=64),
            "sd/unet cannot be read: Cannot load  because",
        ),
        (lambda: Path("sd/vae/config.json").write_text("{"), "vae/config.json is not valid JSON"),
    ],
)
@pytest.mark.usefixtures("run_command")
def test_a_base_folder_that_will_not_do_is_one_line(spoil: Callable[[], object], problem: str) -> None:
    spoil()
    with pytest.raises(UserError) as caught:
        create_model("segdiffusion-tiny", tokenizer="files", pretrained="sd")
    assert problem in str(caught.value) and "\n" not in str(caught.value)
