"""SCFNet against the published sizes, the published names, and outputs of the published implementation."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limelight.foundation.errors import UserError
from limelight.models.importers import import_published
from limelight.models.importers.files import Files
from limelight.models.registry import create_model
from limelight.models.scfnet.checkpoint import from_published
from limelight.models.scfnet.network import SCFNet
from limelight.models.state import load_strict
from limelight.models.weights import load_weights
from tests.tolerance import assert_agree, rounding

PUBLISHED = {"scfnet-mobilenetv3": "M3_0.5", "scfnet-resnet50": "R50", "scfnet-swinb": "ST"}
OUTPUTS = ("out2", "out3", "out4", "out5")


@cache
def network(name: str) -> SCFNet:
    """One of each for the whole module: Swin-B takes seconds to build. Not to be changed."""
    torch.manual_seed(0)
    with torch.inference_mode(False):  # whichever test asks first: what is made in that mode cannot be loaded into
        return create_model(name).eval()


def image_13HW(height: int, width: int, seed: int = 12345) -> torch.Tensor:
    return torch.from_numpy(np.random.RandomState(seed).standard_normal((1, 3, height, width)).astype(np.float32))


def published_shapes(shared: Path, name: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a published checkpoint, in torch's conventions but under the authors' module names."""
    listed = json.loads((shared / f"dossiers/fixtures/keys_scfnet_{PUBLISHED[name]}.json").read_text())
    (shapes,) = listed.values()
    return {
        key.replace("._mean", ".running_mean").replace("._variance", ".running_var"): tuple(
            shape[::-1] if len(shape) == 2 and "bias_table" not in key else shape
        )
        for key, shape in shapes.items()
        if not key.endswith(("attn_mask", "relative_position_index"))
    }


def filled(shapes: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """The deterministic values that the reference outputs were made with, by the rank of the name."""
    state = {}
    for index, key in enumerate(sorted(shapes)):
        shape = shapes[key]
        normal = np.random.RandomState(index).standard_normal(shape)
        if key.endswith("running_var"):
            value = 1 + 0.2 * abs(normal)
        elif key.endswith("bias_table"):
            value = 0.5 * normal
        elif len(shape) >= 2:
            value = normal / np.sqrt(np.prod(shape[1:]))
        elif key.endswith(".weight"):
            value = 1 + 0.1 * normal
        else:
            value = 0.1 * normal
        state[key] = torch.from_numpy(value.astype(np.float32))
    return state


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "trainable", "with_statistics"),
    [
        ("scfnet-mobilenetv3", 788_298, 800_154),
        ("scfnet-resnet50", 26_093_508, 26_148_420),
        ("scfnet-swinb", 88_358_140, 88_359_932),
    ],
)
def test_sizes_are_the_published_ones(name: str, trainable: int, with_statistics: int) -> None:
    model = network(name)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    statistics = sum(value.numel() for key, value in model.state_dict().items() if "running" in key)
    assert (parameters, parameters + statistics) == (trainable, with_statistics)


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_published_name_is_mapped_exactly_once(shared: Path, name: str) -> None:
    shapes = published_shapes(shared, name)
    mapped = from_published({key: torch.empty(shape, device="meta") for key, shape in shapes.items()})
    own = {key: value.shape for key, value in network(name).state_dict().items()}
    counters = {key for key in own if key.endswith("num_batches_tracked")}
    assert len(mapped) == len(shapes) + len(counters)
    assert {key: value.shape for key, value in mapped.items()} == own


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size"),
    [("scfnet-mobilenetv3", 352), ("scfnet-mobilenetv3", 320), ("scfnet-resnet50", 352), ("scfnet-swinb", 384)],
)
def test_outputs_are_the_published_implementation_s(shared: Path, name: str, size: int) -> None:
    state = from_published(filled(published_shapes(shared, name)))
    model = create_model(name).eval()
    load_strict(model, state, "reference values")
    with torch.inference_mode():
        logits = model(image_13HW(size, size))

    reference = json.loads((shared / "dossiers/fixtures/golden_scfnet_stats.json").read_text())
    case = reference[f"{PUBLISHED[name]}_{size}"]
    for key, map_11HW in zip(OUTPUTS, logits, strict=True):
        shapes = {
            "mean": map_11HW.mean(),
            "std": map_11HW.std(correction=0),
            "c00": map_11HW[0, 0, 0, 0],
            "mid": map_11HW[0, 0, size // 2, size // 2],
        }
        assert list(map_11HW.shape) == case[key]["shape"]
        for figure, value in shapes.items():
            assert value.item() == pytest.approx(case[key][figure], rel=0, abs=rounding(map_11HW, model)), (key, figure)


def test_an_imported_paddle_file_gives_the_published_maps(shared: Path, tmp_path: Path) -> None:
    fixtures = shared / "dossiers/fixtures"
    files = Files(fixtures / "golden_scfnet_M3_0.5.pdparams")
    card = import_published("scfnet-mobilenetv3", tmp_path / "weights", files)
    assert card.prepare.size == (352, 352)
    assert card.prepare.mean == pytest.approx((124.55 / 255, 118.90 / 255, 102.94 / 255))
    model, read = load_weights(tmp_path / "weights")
    assert read == card
    with torch.inference_mode():
        logits = model(image_13HW(352, 352))
    reference = np.load(fixtures / "golden_scfnet_M3_0.5_352.npz")
    for key, map_11HW in zip(OUTPUTS, logits, strict=True):
        assert_agree(map_11HW, reference[key], model)


@settings(max_examples=12)
@given(height=st.integers(32, 110), width=st.integers(32, 110), batch=st.integers(1, 2))
def test_any_size_goes_in_and_comes_out(height: int, width: int, batch: int) -> None:
    image = image_13HW(height, width).expand(batch, -1, -1, -1)
    with torch.inference_mode():
        logits = network("scfnet-mobilenetv3")(image)
    assert [tuple(map_B1HW.shape) for map_B1HW in logits] == [(batch, 1, height, width)] * 4
    assert all(torch.isfinite(map_B1HW).all() for map_B1HW in logits)


def test_swin_runs_at_sizes_that_the_published_one_cannot() -> None:
    with torch.inference_mode():
        logits = network("scfnet-swinb")(image_13HW(70, 45))
    assert [tuple(map_11HW.shape) for map_11HW in logits] == [(1, 1, 70, 45)] * 4


@pytest.mark.parametrize("backbone", ["resnet18", "lcnet_100", "mobilenetv4_conv_small"])
def test_timm_backbones(backbone: str) -> None:
    model = create_model("scfnet", backbone=backbone, channels=24).eval()
    with torch.inference_mode():
        features = model.backbone(image_13HW(64, 96))
        logits = model(image_13HW(65, 91))
    assert [tuple(x.shape[2:]) for x in features] == [(16, 24), (8, 12), (4, 6), (2, 3)]
    assert [tuple(map_11HW.shape) for map_11HW in logits] == [(1, 1, 65, 91)] * 4
    assert model.context.conv.weight.shape == (24, 24, 3, 3)
    assert model.build_options == {
        "backbone": backbone, "channels": 24, "modalities": None, "detail": 0, "deepest": 32, "surround": 0
    }  # fmt: skip


@pytest.mark.parametrize(
    ("backbone", "problem"), [("resnet1", "unknown backbone"), ("vit_tiny_patch16_224", "strides")]
)
def test_a_backbone_that_will_not_do_is_refused(backbone: str, problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        create_model("scfnet", backbone=backbone)


def test_a_backbone_cut_off() -> None:
    """`deepest: 16` leaves out the stages behind it, with their weights, and one level of the head."""
    model = create_model("scfnet", backbone="efficientnet-lite0", channels=24, detail=8, deepest=16).eval()
    assert sum(value.numel() for value in model.backbone.parameters()) == 700_768
    with torch.inference_mode():
        assert [x.shape[-1] for x in model.backbone(image_13HW(64, 64))] == [32, 16, 8, 4]
        assert [tuple(level.shape) for level in model(image_13HW(65, 91))] == [(1, 1, 65, 91)] * 4
    assert model.build_options["deepest"] == 16


def test_surround() -> None:
    """It adds nothing at first; once trained, the features see what lies beyond the backbone's reach."""
    torch.manual_seed(0)
    plain = create_model("scfnet", backbone="lcnet_050", channels=16, deepest=16).eval()
    model = create_model("scfnet", backbone="lcnet_050", channels=16, deepest=16, surround=2).eval()
    own = {name: value for name, value in model.state_dict().items() if name.startswith("surround.")}
    load_strict(model, own | plain.state_dict(), "plain")
    near, far = image_13HW(65, 911), image_13HW(65, 911)
    far[..., 850:] += 1
    with torch.inference_mode():
        assert all(torch.equal(one, other) for one, other in zip(model(near), plain(near), strict=True))
        for block in model.surround.blocks:
            block.project.bn.weight.fill_(1)
        changed = [(net(far)[0] - net(near)[0])[..., :100].abs().max() for net in (plain, model)]
    assert changed[0] == 0 < changed[1]
    assert model.train()(image_13HW(32, 32).repeat(2, 1, 1, 1))[0].isfinite().all()
    small = {"backbone": "efficientnet-lite0", "channels": 24, "detail": 8, "deepest": 16}
    assert create_model("scfnet", **small, surround=2).count_parameters() == 944_572
    with pytest.raises(UserError, match="surround must be a number of blocks, or 0 for none; got -1"):
        create_model("scfnet", **small, surround=-1)


def test_a_finer_level() -> None:
    """`detail` adds an output before the others, from features at 1/2, and leaves the published four as they are."""
    torch.manual_seed(0)
    plain = create_model("scfnet", backbone="resnet18", channels=16).eval()
    torch.manual_seed(0)
    finer = create_model("scfnet", backbone="resnet18", channels=16, detail=8).eval()
    load_strict(plain, {name: value for name, value in finer.state_dict().items() if "detail" not in name}, "finer")
    with torch.inference_mode():
        published, levels = plain(image_13HW(65, 91)), finer(image_13HW(65, 91))
        half = finer.backbone(image_13HW(64, 96))[0]
    assert tuple(half.shape[2:]) == (32, 48)
    assert [tuple(map_11HW.shape) for map_11HW in levels] == [(1, 1, 65, 91)] * 5
    assert all(torch.equal(one, other) for one, other in zip(published, levels[1:], strict=True))
    finer(image_13HW(64, 64))[0].sum().backward()
    assert all(value.grad is not None for value in finer.detail.parameters())
    with pytest.raises(UserError, match=r"features at strides \[4, 8, 16, 32\] only"):
        create_model("scfnet-mobilenetv3", detail=8)
