"""diffSOD's condition branch against the published sizes, names and formulas."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from limelight.foundation.errors import UserError
from limelight.models.diffusion.configs import SCHEDULER_SD2, UNETS, VAES
from limelight.models.diffusion.diffsod.backbone import Res2Net
from limelight.models.diffusion.diffsod.branch import Branch
from limelight.models.diffusion.diffsod.checkpoint import from_published, import_published
from limelight.models.diffusion.diffsod.configs import BRANCHES
from limelight.models.diffusion.parts import build_scheduler, build_unet, build_vae
from limelight.models.importers.files import Files
from limelight.models.state import load_strict
from limelight.models.weights import load_weights
from tests.models.diffusers_folder import write_folder
from tests.models.published_branch import published_features, published_state, small_values
from tests.tolerance import assert_agree


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.fixture(scope="module")
def full() -> Branch:
    with torch.device("meta"):
        return Branch(**BRANCHES["published"], layer_scale=1e-6)


@pytest.fixture(scope="module")
def tiny() -> Branch:
    torch.manual_seed(0)
    return Branch(**BRANCHES["tiny"], layer_scale=1e-6).eval()


def test_sizes_are_the_published_ones(full: Branch, tiny: Branch) -> None:
    assert count(full) == 349_858_264
    assert count(full.image_decoder) == count(full.companion_decoder) == 105_602_304
    assert count(full.fusion) == 21_137_408
    assert count(tiny) == 1_133_937


@pytest.mark.slow
def test_features_have_the_published_shapes(full: Branch) -> None:
    picture = torch.empty(2, 3, 384, 384, device="meta")
    shapes = [tuple(level.shape) for level in full.backbone(picture)]
    assert shapes == [(2, 512, 48, 48), (2, 1024, 24, 24), (2, 2048, 12, 12)]
    assert full(picture, picture).shape == (2, 1024, 48, 48)
    assert full(picture[..., :256, :96], picture[..., :256, :96]).shape == (2, 1024, 32, 12)


def test_only_the_dilations_differ_from_timm_s_network(full: Branch) -> None:
    import timm

    with torch.device("meta"):
        stock = timm.create_model("res2net101d", num_classes=0)
    shapes = {key: value.shape for key, value in stock.state_dict().items()}
    assert {key: value.shape for key, value in full.backbone.network.state_dict().items()} == shapes
    dilations = {
        name: module.dilation
        for name, module in full.backbone.network.named_modules()
        if isinstance(module, nn.Conv2d) and module.dilation != (1, 1)
    }
    expected = {f"layer3.{block}.convs.{conv}": (2, 2) for block in range(23) for conv in range(3)}
    expected |= {f"layer4.{block}.convs.{conv}": (2 ** (block + 2),) * 2 for block in range(3) for conv in range(3)}
    assert dilations == expected


def test_dilation_leaves_features_their_size() -> None:
    backbone = Res2Net(layers=[1, 1, 1, 3], channels=[8, 8, 8, 8], stem_width=8).eval()
    with torch.inference_mode():
        levels = backbone(torch.zeros(1, 3, 96, 64))
    assert [tuple(level.shape) for level in levels] == [(1, 32, 12, 8), (1, 32, 6, 4), (1, 32, 3, 2)]
    assert backbone.channels == (32, 32, 32)


def test_imagenet_weights_of_another_size_are_not_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    Res2Net(layers=[1, 1, 1, 1], channels=[8, 8, 8, 8], stem_width=8, pretrained=True)
    assert capsys.readouterr().err.startswith("warning: 'res2net101d' starts from random weights")


# ------------------------------------------------------------------------------------------------------ published files
def test_a_published_file_of_full_size_fits_name_by_name(full: Branch) -> None:
    numbers = iter(range(10_000))
    # One number for every tensor, seen at full size: 1.4 GB that take no memory.
    state = published_state(
        BRANCHES["published"], lambda key, shape: torch.tensor(float(next(numbers))).expand(shape), classes=1000
    )
    assert len(state) == 2300
    ours = from_published(state)
    assert len(ours) == 1264
    with torch.device("meta"):
        branch = Branch(**BRANCHES["published"], layer_scale=1e-6)
    branch.load_state_dict(ours, strict=True, assign=True)
    values = [value.flatten()[0].item() for value in branch.state_dict().values()]
    assert len(set(values)) == 1264


def test_the_published_formulas_and_names_give_our_features(tiny: Branch) -> None:
    state = published_state(BRANCHES["tiny"], small_values(1), classes=10)
    load_strict(tiny, from_published(state), "the reference")
    generator = torch.Generator().manual_seed(2)
    image, companion = torch.rand(2, 2, 3, 128, 64, generator=generator)
    with torch.inference_mode():
        expected = published_features(state, tiny.backbone(image), tiny.backbone(companion), BRANCHES["tiny"]["heads"])
        actual = tiny(image, companion)
        alone = tiny.image_features(tiny.backbone(image))
    assert (actual - alone).abs().mean() > 0.1 * alone.abs().mean()  # the fusion counts
    assert_agree(actual, expected, tiny)


def test_a_file_with_two_different_backbones_is_refused() -> None:
    state = published_state(BRANCHES["tiny"], small_values(1), classes=10)
    state["backbone_x.layer2.0.conv1.weight"] = state["backbone_x.layer2.0.conv1.weight"] + 1
    with pytest.raises(UserError, match=r"backbones differ \(backbone_x.layer2.0.conv1.weight\)"):
        from_published(state)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The authors' two downloads and a base folder, all tiny."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("published")
    torch.save(published_state(BRANCHES["tiny"], small_values(1), classes=10), folder / "res2net_ft_1.pth")
    write_folder(folder / "checkpoint-1", {"unet": build_unet(UNETS["tiny"])})
    base = {
        "unet": build_unet(UNETS["tiny"]),
        "vae": build_vae(VAES["tiny"]),
        "scheduler": build_scheduler(SCHEDULER_SD2),
    }
    write_folder(folder / "base", base)
    return folder


def published_files(folder: Path, **changes: Any) -> Files:
    given = {
        "checkpoint": folder / "res2net_ft_1.pth",
        "unet": folder / "checkpoint-1",
        "base": str(folder / "base"),
    }
    return Files(**given | changes)


def test_published_files_become_a_weights_folder(published: Path, tmp_path: Path) -> None:
    files = published_files(published)
    card = import_published("diffsod-tiny", tmp_path / "weights", files)
    assert (card.prepare.mean, card.prepare.std, card.provenance.licence) == ((0.5,) * 3, (0.5,) * 3, "openrail++")
    model, read = load_weights(tmp_path / "weights")
    assert read == card and model.legacy
    others = sum(map(count, (build_unet(UNETS["tiny"]), build_vae(VAES["tiny"]))))
    assert card.architecture.parameters == others + 1_133_937
    state = torch.load(files.checkpoint, weights_only=True)
    assert torch.equal(model.condition.branch.fusion.attention.key_value.weight, state["afim.attn.kv.weight"])
    image = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    probability, _ = model.denoise(image, steps=2, spacing="leading")
    assert probability.shape == (2, 1, 64, 64) and probability.isfinite().all()


def test_a_wrong_hash_is_refused(published: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected 00"):
        import_published("diffsod", tmp_path / "w", published_files(published, sha256="00"))
    assert not (tmp_path / "w").exists()


def test_a_file_of_another_network_is_refused(published: Path, tmp_path: Path) -> None:
    torch.save({"conv.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match=r"1 not expected: conv.weight"):
        files = published_files(published, checkpoint=tmp_path / "other.pth")
        import_published("diffsod-tiny", tmp_path / "w", files)
    assert not (tmp_path / "w").exists()
