"""InSPyReNet against the published counts, names and outputs of the published implementation."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from limelight.foundation.errors import UserError
from limelight.models.importers import import_published
from limelight.models.importers.files import Files
from limelight.models.inspyrenet import swin
from limelight.models.inspyrenet.blocks import AxialAttention
from limelight.models.inspyrenet.checkpoint import from_published
from limelight.models.inspyrenet.levels import Levels
from limelight.models.inspyrenet.network import InSPyReNet
from limelight.models.inspyrenet.sica import SICA
from limelight.models.pyramid import ImagePyramid, boundary_band
from limelight.models.registry import create_model
from limelight.models.state import load_strict
from limelight.models.weights import load_weights

SMALL = {"backbone": "lcnet_050", "channels": 8, "base_size": 64}
NAMES = {"swinb": "SwinB", "res2net50": "Res2Net50"}
NOT_FILLED = ("num_batches_tracked", "relative_position_index", "attn_mask")


def filled(shared: Path, name: str, last: float = 1.0) -> dict[str, Tensor]:
    """A published state dict with the deterministic values that the reference outputs were made with."""
    shapes = json.loads((shared / f"dossiers/fixtures/keys_inspyrenet_{NAMES[name]}.json").read_text())
    keys = sorted(key for key in shapes if not key.endswith(NOT_FILLED) and not key.startswith("backbone.fc."))
    state = {}
    for index, key in enumerate(keys):
        shape = shapes[key]
        normal = np.random.RandomState(index).standard_normal(shape)
        if key.endswith("running_mean"):
            value = 0.1 * normal
        elif key.endswith("running_var"):
            value = (1 + 0.2 * abs(normal)) * (1e8 if "conv_key.0.bn" in key or "conv_value.0.bn" in key else 1)
        elif key.endswith(("gamma", "threshold")):
            value = 0.5 + (0.1 if key.endswith("gamma") else 0.05) * normal
        elif "bias_table" in key:
            value = 0.5 * normal
        elif len(shape) > 1:
            value = normal / np.sqrt(np.prod(shape[1:]))
        else:
            value = 1 + 0.1 * normal if key.endswith("weight") else 0.1 * normal
        state[key] = torch.tensor(np.asarray(value * (last if key.startswith("decoder.conv5") else 1), np.float32))
    return state | {key: torch.tensor(0) for key in shapes if key.endswith("num_batches_tracked")}


def published(shared: Path, name: str, last: float = 1.0) -> InSPyReNet:
    network = create_model(f"inspyrenet-{name}", base_size=128, attention="published").eval()
    load_strict(network, from_published(filled(shared, name, last)), name)
    return network


def noise(seed: int, height: int, width: int) -> Tensor:
    return torch.tensor(np.random.RandomState(seed).standard_normal((1, 3, height, width)).astype(np.float32))


def compare(levels: Levels, golden: dict[str, np.ndarray], tolerance: float) -> None:
    maps = dict(zip(("d3", "d2", "d1", "d0", "p2", "p1", "p0"), [*levels.saliency, *levels.laplacian], strict=True))
    for key, value in maps.items():
        np.testing.assert_allclose(value.numpy(), golden[key], atol=tolerance, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_outputs_are_the_published_implementation_s(shared: Path, name: str) -> None:
    golden = np.load(shared / f"dossiers/fixtures/golden_inspyrenet_{NAMES[name]}_256x192_base128.npz")
    with torch.inference_mode():
        compare(published(shared, name).levels(noise(12345, 256, 192)), golden, 1e-3)


@pytest.mark.slow
def test_two_passes_blend_as_published(shared: Path) -> None:
    golden = np.load(shared / "dossiers/fixtures/golden_inspyrenet_SwinB_blend_320x224_base128_thr160_conv5x20.npz")
    network = published(shared, "swinb", last=20)
    with torch.inference_mode():
        blended = network.blend(network.levels(noise(54321, 128, 128)), network.levels(noise(12345, 320, 224)))
    compare(blended, golden, 1e-3)


def test_large_pictures_are_blended_with_an_overview() -> None:
    """The second input is always the whole picture at the training's size."""
    options = {"backbone": "lcnet_050", "channels": 8, "base_size": 64, "blend_above": 96}
    network = create_model("inspyrenet", **options).eval()
    assert [each.scaled((320, 224)) for each in network.inputs] == [(320, 224), (64, 64)]
    overview, large, narrow = noise(0, 64, 64), noise(1, 128, 160), noise(2, 96, 320)
    with torch.inference_mode():
        low = network.levels(overview)
        blended = network.maps({"image": large, "overview": overview})
        expected = network.blend(low, network.levels(large)).saliency[-1].sigmoid()
        torch.testing.assert_close(blended, expected)
        alone = network.maps({"image": narrow, "overview": overview})
        shaped = torch.nn.functional.interpolate(low.saliency[-1], (96, 320), mode="bilinear").sigmoid()
        torch.testing.assert_close(alone, shaped)
    with pytest.raises(UserError, match="leave out blend_above or modalities"):
        create_model("inspyrenet", **options, modalities=["rgb", "rgbd"])


def test_patches_are_merged_as_the_seed_did() -> None:
    """All patches at once, stacked with nothing where they are not, and the index of the largest."""
    network = create_model("inspyrenet", **SMALL, patch_stride=32).eval()
    image = noise(3, 96, 144)  # the last column of patches ends with the picture
    corners = [(row, column) for row in (0, 32) for column in (0, 32, 64, 80)]
    with torch.inference_mode():
        merged = network.maps({"image": image})
        found = [network.levels(image[..., row : row + 64, column : column + 64]) for row, column in corners]

        def spread(parts: list[Tensor], scale: int, nothing: float) -> Tensor:
            whole = torch.full((len(parts), 1, 96 // scale, 144 // scale), nothing)
            for place, (part, (row, column)) in enumerate(zip(parts, corners, strict=True)):
                top, left, side = row // scale, column // scale, 64 // scale
                whole[place, :, top : top + side, left : left + side] = part[0]
            return whole

        stacks = [spread([each.saliency[level] for each in found], 8 >> level, -torch.inf) for level in range(3)]
        expected = stacks[0].amax(0, keepdim=True)
        for level, stack in enumerate(stacks):
            index = stack.argmax(0, keepdim=True).repeat_interleave(2, -1).repeat_interleave(2, -2)
            details = spread([each.laplacian[level] for each in found], 4 >> level, 0.0)
            expected = network.pyramid.reconstruct(expected, details.gather(0, index))
        torch.testing.assert_close(merged, expected.sigmoid())
        small = noise(4, 64, 64)
        torch.testing.assert_close(network.maps({"image": small}), network.levels(small).saliency[-1].sigmoid())
    assert (merged - create_model("inspyrenet", **SMALL).eval().maps({"image": image})).abs().max() > 1e-3
    with pytest.raises(UserError, match="patches are a multiple of 8 pixels apart"):
        create_model("inspyrenet", **SMALL, patch_stride=20)
    with pytest.raises(UserError, match="leave out patch_stride or blend_above"):
        create_model("inspyrenet", **SMALL, patch_stride=32, blend_above=96)


@pytest.mark.parametrize(
    ("name", "all_of_it", "backbone"),
    [
        ("swint", 31_197_925, 27_520_698),
        ("swinb", 90_721_443, 86_880_376),
        ("res2net50", 28_104_339, 23_669_352),
    ],
)
def test_sizes_are_the_published_ones(name: str, all_of_it: int, backbone: int) -> None:
    with torch.device("meta"):
        network = create_model(f"inspyrenet-{name}")
    assert sum(value.numel() for value in network.parameters()) == all_of_it
    assert sum(value.numel() for value in network.backbone.parameters()) == backbone
    roles = network.parameter_groups()
    assert sum(value.numel() for value in roles["backbone"]) == backbone


@pytest.mark.slow
def test_a_published_file_comes_in(shared: Path, tmp_path: Path) -> None:
    """With what the file of the year before has besides: a classifier's head."""
    state = filled(shared, "res2net50") | {"backbone.fc.weight": torch.zeros(2, 2), "backbone.fc.bias": torch.zeros(2)}
    torch.save(state, tmp_path / "latest.pth")
    import_published("inspyrenet-res2net50", tmp_path / "weights", Files(tmp_path / "latest.pth"))
    network, card = load_weights(tmp_path / "weights")
    assert card.architecture.options["attention"] == "published" and card.finish.full_contrast
    assert torch.equal(network.state_dict()["attention0.lthreshold"], state["attention0.lthreshold"])


# ------------------------------------------------------------------------------------------------------------ attention
def attention(axis: str, *, published: bool) -> AxialAttention:
    torch.manual_seed(0)
    module = AxialAttention(16, axis, published=published).eval()
    module.gamma.data.fill_(0.7)
    return module


def test_rows_are_columns_of_the_transposed_map() -> None:
    rows, columns = attention("h", published=False), attention("w", published=False)
    x_BCHW = torch.randn(2, 16, 5, 9)
    expected = columns(x_BCHW.transpose(2, 3)).transpose(2, 3)
    torch.testing.assert_close(rows(x_BCHW), expected)
    assert not torch.allclose(attention("h", published=True)(x_BCHW), expected)


def test_published_rows_of_a_square_are_columns() -> None:
    x_BCHW = torch.randn(2, 16, 6, 6)
    torch.testing.assert_close(attention("h", published=True)(x_BCHW), attention("w", published=True)(x_BCHW))


@pytest.mark.parametrize("channels", [6, 8])  # which do not divide the 64 pixels, and do
@pytest.mark.parametrize("published", [True, False])
def test_contexts_are_sums_over_the_map(published: bool, channels: int) -> None:
    """As published, of runs of its values; corrected, of its pixels, and the mean by weight."""
    torch.manual_seed(0)
    sica = SICA(channels, 8, laplacian=True, size=(8, 8), published=published)
    x_BCHW, mask_BNHW = torch.randn(2, channels, 8, 8), torch.rand(2, 5, 8, 8)
    context_BCN = sica._context(x_BCHW, mask_BNHW)[..., 0]
    mask_BNP = mask_BNHW.flatten(2)
    pixels_BPC = x_BCHW.reshape(2, 64, channels) if published else x_BCHW.flatten(2).transpose(1, 2)
    expected_BNC = mask_BNP @ pixels_BPC
    if not published:
        expected_BNC = expected_BNC / mask_BNP.sum(2, keepdim=True)
    torch.testing.assert_close(context_BCN, expected_BNC.transpose(1, 2))


def test_contexts_stay_in_the_range_of_half_precision() -> None:
    """The published sum of a map of a million pixels does not: 65,504 is float16's largest number."""
    sica = SICA(2, 8, laplacian=False, size=(512, 512), published=True)
    x_BCHW = torch.full((1, 2, 512, 512), 3.0, dtype=torch.float16)
    context_BCN1 = sica._context(x_BCHW, torch.ones(1, 3, 512, 512, dtype=torch.float16))
    torch.testing.assert_close(context_BCN1, torch.full((1, 2, 3, 1), 3.0 * 512 * 512), rtol=1e-2, atol=0)
    assert not torch.isfinite(context_BCN1.half()).any()


# -------------------------------------------------------------------------------------------------------------- pyramid
def test_a_pyramid_is_taken_apart_and_put_together() -> None:
    pyramid, map_B1HW = ImagePyramid(), torch.randn(2, 1, 32, 48)
    coarse = pyramid.reduce(map_B1HW)
    assert coarse.shape == (2, 1, 16, 24)
    torch.testing.assert_close(pyramid.reconstruct(coarse, map_B1HW - pyramid.expand(coarse)), map_B1HW)
    ripple = pyramid.expand(torch.ones(1, 1, 8, 8))[0, 0, 6:8, 6:8]
    torch.testing.assert_close(ripple, torch.tensor([[1.0284, 0.9998], [0.9998, 0.9720]]), atol=1e-4, rtol=0)


@pytest.mark.parametrize("width", [5, 9, 17])
def test_the_band_is_opencv_s(width: int) -> None:
    logits_HW = cv2.GaussianBlur(np.random.default_rng(1).normal(0, 30, (60, 70)).astype(np.float32), (0, 0), 4)
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
    probability_HW = torch.from_numpy(logits_HW).sigmoid().numpy()
    expected_HW = cv2.dilate(probability_HW, ellipse) - cv2.erode(probability_HW, ellipse) > 0.5
    band_HW = boundary_band(torch.from_numpy(logits_HW)[None, None], width)[0, 0].numpy()
    np.testing.assert_array_equal(band_HW.astype(bool), expected_HW)
    assert 0.05 < band_HW.mean() < 1


def test_gradients_do_not_pass_through_coarser_maps() -> None:
    """But through features: the finest loss reaches the backbone, and not the decoder's head."""
    torch.manual_seed(0)
    network = create_model("inspyrenet", **SMALL)
    network.levels(torch.randn(1, 3, 64, 96)).saliency[-1].mean().backward()
    assert network.decoder.conv5["conv"].weight.grad is None
    assert all(value.grad is not None for value in network.decoder.conv4.parameters())


def test_the_seed_s_version_differs_where_it_did() -> None:
    """Zeros about the pyramid's maps, contexts at the features' own size; the same weights."""
    torch.manual_seed(0)
    final = create_model("inspyrenet", **SMALL).eval()
    seed = create_model("inspyrenet", **SMALL, version="seed").eval()
    load_strict(seed, final.state_dict(), "final")
    with torch.inference_mode():
        one, other = (network.levels(torch.randn(1, 3, 64, 96)) for network in (final, seed))
    assert seed.attention0.size is None and final.attention1.size == (32, 32)
    assert not torch.allclose(one.saliency[-1], other.saliency[-1])


def test_a_swin_is_used_and_trained_after_it_was_traced_and_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it keeps of a size is nothing of the trace's, nor of inference's."""
    monkeypatch.setitem(swin.SHAPES, "swin-2", swin.Shape(12, (2,), (3,), 7, ""))
    network = swin.Swin("swin-2").eval()
    image = noise(0, 64, 64)
    torch.export.export(network, (image,))
    with torch.inference_mode():
        assert network(image)[-1].isfinite().all()
    network.train()(image.repeat(2, 1, 1, 1))[-1].sum().backward()
