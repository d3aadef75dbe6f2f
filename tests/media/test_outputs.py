"""What is made of a map: rounding, blending, edges."""

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image

from limelight.foundation.errors import UserError
from limelight.imaging.encoding import encode, write_png
from limelight.imaging.images import read_image
from limelight.imaging.transparency import Transparency
from limelight.media.foreground import unmixed
from limelight.media.outputs import GREEN, KINDS, Layer, _cover, adjust, foreground_colours, output

RED, BLUE = np.uint8([200, 30, 20]), np.uint8([10, 40, 180])


def disc(size: int = 96) -> np.ndarray:
    """A disc with a soft rim, float32 in [0, 1]."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return np.clip((size / 4 - np.hypot(x, y)) / 6 + 0.5, 0, 1).astype(np.float32)


def mixture(alpha: np.ndarray) -> np.ndarray:
    """A red object before a blue ground, mixed at its rim as a camera would."""
    return np.rint(alpha[..., None] * RED + (1 - alpha[..., None]) * BLUE).astype(np.uint8)


@settings(max_examples=25, deadline=None)
@given(npst.arrays(np.float32, (3, 4), elements=st.floats(0, 1, width=32)))
def test_maps_are_rounded_to_the_nearest(saliency: np.ndarray) -> None:
    image = np.zeros((3, 4, 3), np.uint8)
    grey, grey_16 = output("map").render(image, saliency), output("map16").render(image, saliency)
    assert grey.dtype == np.uint8 and np.abs(grey / 255 - saliency).max() <= 0.5 / 255 + 1e-6
    assert grey_16.dtype == np.uint16 and np.abs(grey_16 / 65535 - saliency).max() <= 0.5 / 65535 + 1e-6
    np.testing.assert_array_equal(output("npy").render(image, saliency), saliency)


@pytest.mark.parametrize("kind", [*KINDS, "#102030"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (33, 21)])
def test_every_kind_takes_every_size(kind: str, shape: tuple[int, int], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    image, saliency = rng.integers(0, 256, (*shape, 3), np.uint8), rng.random(shape, np.float32)
    made = output(kind)
    data = encode(made.render(image, saliency))
    if kind == "npy":
        assert np.load(io.BytesIO(data)).shape == shape
    else:
        assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED).shape[:2] == shape


def test_threshold_and_reverse() -> None:
    saliency = np.float32([[0.0, 0.4, 0.5, 1.0]])
    np.testing.assert_array_equal(adjust(saliency), saliency)
    np.testing.assert_array_equal(adjust(saliency, threshold=0.5), [[0, 0, 1, 1]])
    np.testing.assert_array_equal(adjust(saliency, threshold=0.5, reverse=True), [[1, 1, 0, 0]])
    np.testing.assert_allclose(adjust(saliency, reverse=True), [[1.0, 0.6, 0.5, 0.0]], atol=1e-6)


def test_cut_out_keeps_the_object_and_hides_the_ground() -> None:
    alpha = disc()
    image = mixture(alpha)
    cut = output("rgba").render(image, alpha)
    np.testing.assert_array_equal(cut[..., 3], np.rint(alpha * 255))
    np.testing.assert_array_equal(cut[alpha == 1][:, :3], image[alpha == 1])
    assert not cut[cut[..., 3] == 0].any(), "the ground shows through"


def test_what_rounds_to_nothing_holds_no_colour() -> None:
    """A sigmoid is never quite 0."""
    image = np.zeros((40, 40, 3), np.uint8)
    image[:, 20:] = 200
    faint = np.full((40, 40), 0.001, np.float32)
    assert not output("rgba").render(image, faint).any()
    for kind, ground in (("white", (255, 255, 255)), ("green", GREEN), ("#010203", (1, 2, 3))):
        assert (output(kind).render(image, faint) == ground).all()
    faint[:10] = 0.0019  # rounds to 0
    faint[-10:] = 0.002  # rounds to 1
    np.testing.assert_array_equal(output("rgba").render(image, faint)[..., 3].any(1), [False] * 30 + [True] * 10)
    assert not output("rgba").render(image, faint)[:30].any()


@pytest.mark.parametrize("file_type", [".png", ".webp"])
@pytest.mark.parametrize("quality", [60, None])
def test_nothing_of_a_photo_is_left_under_alpha_0(shared: Path, file_type: str, quality: int | None) -> None:
    """A map as networks make them, near 0 beside the object."""
    for path in sorted((shared / "realdata/rgb/images").iterdir())[::80]:
        image = read_image(path)
        y, x = (np.linspace(-1, 1, side, dtype=np.float32) for side in image.shape[:2])
        saliency = 1 / (1 + np.exp(16 * (np.hypot(x, y[:, None]) - 0.4)))
        cut = decoded(encode(output("rgba").render(image, saliency.astype(np.float32)), file_type, quality=quality))
        hidden = cut[..., 3] == 0
        assert 0.2 < hidden.mean() < 0.9
        if file_type == ".png" or quality is None:
            assert not cut[hidden].any()
        else:  # WebP's blocks carry some of the object across its rim
            inner = cv2.erode(hidden.astype(np.uint8), np.ones((35, 35))) > 0
            assert inner.any() and np.ptp(cut[inner][:, :3], axis=0).max() <= 8


def decoded(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))


def test_rim_has_the_objects_colour_not_the_grounds() -> None:
    """On white, the rim must look as if the object had been photographed before white."""
    alpha = disc()
    image = mixture(alpha)
    truth = alpha[..., None] * RED + (1 - alpha[..., None]) * 255.0
    naive = alpha[..., None] * image + (1 - alpha[..., None]) * 255.0
    made = output("white").render(image, alpha).astype(float)
    rim = (alpha > 0.1) & (alpha < 0.9)
    assert np.abs(made - truth)[rim].mean() < 0.25 * np.abs(naive - truth)[rim].mean()


def test_estimated_colours_do_not_wrap_around() -> None:
    alpha = np.zeros((40, 60), np.float32)
    alpha[:, :30] = 1
    alpha[15:25, 20:30] = 0.5
    image = np.where(alpha > 0, np.uint8(255), np.uint8(0))[..., None].repeat(3, 2)
    assert (unmixed(image, alpha)[15:25, 20:30] == 255).all()


def test_ground_that_is_nearly_transparent_weighs_nearly_nothing_at_the_rim() -> None:
    alpha = disc()
    rim = (alpha > 0.1) & (alpha < 0.9)
    image = mixture(alpha)
    image[:, 48:][alpha[:, 48:] == 0] = (0, 255, 0)
    opacity = np.full(alpha.shape, 255, np.uint8)
    opaque = foreground_colours(Layer(image, alpha, Transparency(opacity.copy(), image)))
    opacity[:, 48:][alpha[:, 48:] == 0] = 1
    faint = foreground_colours(Layer(image, alpha, Transparency(opacity, image)))
    errors = [np.abs(colours[rim].astype(int) - RED).mean() for colours in (faint, opaque)]
    assert errors[0] < 0.5 * errors[1]


def test_bands_leave_no_seams(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    image, alpha = rng.integers(0, 256, (300, 40, 3), np.uint8), rng.random((300, 40), np.float32)
    whole = foreground_colours(Layer(image, alpha))
    monkeypatch.setattr("limelight.media.outputs._BAND", 64)
    assert np.abs(foreground_colours(Layer(image, alpha)).astype(int) - whole).max() <= 1


def test_pictures_may_be_views() -> None:
    """Of which rows are not one after another in memory."""
    alpha = disc()
    views = np.rot90(mixture(alpha)), np.rot90(alpha)
    for kind in ("map", "rgba", "green", "overlay"):
        expected = output(kind).render(*map(np.ascontiguousarray, views))
        np.testing.assert_array_equal(output(kind).render(*views), expected)


def test_hard_masks_leave_the_picture_alone() -> None:
    alpha = (disc() > 0.5).astype(np.float32)
    image = np.random.default_rng(1).integers(0, 256, (96, 96, 3), np.uint8)
    np.testing.assert_array_equal(foreground_colours(Layer(image, alpha))[alpha == 1], image[alpha == 1])
    green = output("green").render(image, alpha)
    np.testing.assert_array_equal(green[alpha == 1], image[alpha == 1])
    assert (green[alpha == 0] == GREEN).all()


def test_colour_and_picture_backgrounds(tmp_path: Path) -> None:
    image, nothing = np.zeros((40, 60, 3), np.uint8), np.zeros((40, 60), np.float32)
    assert (output("#0A141e").render(image, nothing) == (10, 20, 30)).all()
    halves = np.zeros((100, 100, 3), np.uint8)
    halves[:, 50:] = 255
    write_png(tmp_path / "sea.png", halves)
    behind = output(str(tmp_path / "sea.png"))
    shown = behind.render(image, nothing)
    assert behind.name == "on-sea"
    assert (shown[:, :28] < 30).all() and (shown[:, 32:] > 225).all(), "scaled to cover, not distorted or shifted"


def test_backgrounds_are_not_distorted_behind_pixels_that_are_not_square(tmp_path: Path) -> None:
    """40 x 60 pixels, shown as a square, before a square picture: all of it is seen."""
    image, nothing = np.zeros((60, 40, 3), np.uint8), np.zeros((60, 40), np.float32)
    square_HW3 = np.zeros((100, 100, 3), np.uint8)
    square_HW3[:, 5:95] = 255
    write_png(tmp_path / "sea.png", square_HW3)
    shown = output(str(tmp_path / "sea.png")).render(image, nothing, aspect=1.5)
    assert (shown[:, [0, -1]] < 30).all() and (shown[:, 3:-3] > 225).all()
    np.testing.assert_array_equal(output("map").render(image, nothing, aspect=1.5), nothing)


@pytest.mark.parametrize("size", [(900, 1300), (1300, 900), (101, 6000)])
def test_large_pictures_are_blurred_as_small_ones(size: tuple[int, int]) -> None:
    """Of noise and edges, by the exact Gaussian of a share of the longer side."""
    small = np.random.default_rng(0).integers(0, 256, (size[0] // 90 + 1, size[1] // 90 + 1, 3), np.uint8)
    image_HW3 = cv2.resize(small, size[::-1], interpolation=cv2.INTER_NEAREST)
    blurred = output("blur").render(image_HW3, np.zeros(size, np.float32))
    exact = cv2.GaussianBlur(image_HW3, (0, 0), 0.02 * max(size))
    difference = np.abs(blurred.astype(int) - exact)
    assert difference.max() <= 6 and difference.mean() < 1.5


def test_a_long_and_narrow_background_is_cut_first() -> None:
    stripe = np.zeros((1, 5000, 3), np.uint8)
    assert _cover(stripe, 5000, 5000).shape == (5000, 5000, 3)  # scaled first, it would take 375 GB
    assert _cover(np.swapaxes(stripe, 0, 1), 10, 30).shape == (10, 30, 3)
    ramp = np.repeat(np.arange(0, 200, 2, dtype=np.uint8)[None, :, None], 3, axis=2).repeat(50, axis=0)
    np.testing.assert_array_equal(_cover(ramp, 50, 20), ramp[:, 40:60])


def test_overlay_marks_the_object_alone() -> None:
    image = np.full((96, 96, 3), 100, np.uint8)
    shown = output("overlay").render(image, disc())
    assert (shown[0, 0] == 100).all()
    np.testing.assert_array_equal(shown[48, 48], [110, 178, 128])  # halfway to GREEN, halves to even
    assert (shown == GREEN).all(axis=2).any(), "no contour"


def test_encode_round_trips_colour_order(tmp_path: Path) -> None:
    image = np.random.default_rng(2).integers(0, 256, (5, 6, 3), np.uint8)
    np.testing.assert_array_equal(read_image(encode(image)), image)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("sepia", "unknown kind 'sepia'; choose one of map, map16"),
        ("mapp", "unknown kind 'mapp'; did you mean map or map16[?] Else choose one of map, map16"),
        ("beach.jpg", "^beach.jpg does not exist; "),
        ("no/beach", "^no/beach does not exist; "),
        ("/", "^/ is a folder; "),
    ],
)
def test_what_is_no_kind_is_named_as_a_file_or_has_the_nearest_kind(kind: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        output(kind)
