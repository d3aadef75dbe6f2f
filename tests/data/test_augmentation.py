"""Augmentation: what is drawn, and that everything moves alike."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from limelight.config import Run, load_params
from limelight.config.augmentation import Colour, Enhance, Flip, Paste, Photometric, Step
from limelight.config.presets import AUGMENTATIONS
from limelight.data.augmentation import apply, draw
from limelight.data.augmentation.background import BackgroundEffect
from limelight.data.augmentation.colour import ColourEffect
from limelight.data.augmentation.companion import inverted
from limelight.data.augmentation.crop import CropEffect
from limelight.data.augmentation.enhance import EnhanceEffect
from limelight.data.augmentation.flip import FlipEffect
from limelight.data.augmentation.paste import PasteEffect
from limelight.data.augmentation.photometric import PhotometricEffect
from limelight.data.augmentation.picture import Effect, TrainingPicture
from limelight.data.augmentation.resize import ResizeEffect
from limelight.data.augmentation.warp import WarpEffect
from limelight.data.samples import DecodedSample, shrink
from limelight.imaging.companions import NEAREST, spread
from limelight.imaging.feeds import levels
from limelight.models.card import IMAGENET, Normalisation

ROOT = Path(__file__).resolve().parents[2]


def operations(*listed: dict[str, Any]) -> list[Step]:
    return Run.model_validate({"model": "sdnet", "augment": list(listed)}).augment


PUBLISHED = {name: operations(*listed) for name, listed in AUGMENTATIONS.items()}
KD_SCFNET, SDNET = PUBLISHED["scfnet"], PUBLISHED["sdnet"]
EVERYTHING = operations(
    {"name": "crop", "share": 0.3, "pixels": 9},
    {"name": "flip", "vertical": 0.5},
    {"name": "rotate", "degrees": 180},
    {"name": "scale"},
)


def scene(height: int, width: int, seed: int = 0) -> TrainingPicture:
    """A picture whose mask and companion show the same as the picture."""
    blobs = np.random.default_rng(seed).integers(0, 256, (height // 8 + 1, width // 8 + 1), np.uint8)
    grey = cv2.resize(blobs, (width, height), interpolation=cv2.INTER_CUBIC)
    return TrainingPicture(np.repeat(grey[..., None], 3, 2), grey, grey.astype(np.uint16) * 257)


# ----------------------------------------------------------------------------------------------- as it was before lists
def former_draw(given: dict[str, float], size: tuple[int, int], generator: np.random.Generator) -> dict[str, Any]:
    """What was drawn when augmentation was one set of values: weights trained then are trained again by these draws."""

    def window(side: int) -> tuple[int, int]:
        removed = int(generator.integers(0, max(1, int(given.get("crop", 0) * side))))
        start = int(generator.integers(0, removed + 1))
        before, after = generator.integers(0, 1, 2)
        return start + int(before), start + side - removed - int(after)

    uniform, contrast, brightness = generator.uniform, given.get("contrast", 0.0), given.get("brightness", 0.0)
    windows = {"rows": window(size[0]), "columns": window(size[1])}
    windows |= {"mirror": generator.random() < 0.5, "upside_down": generator.random() < 0.0}
    assert generator.random() >= 0  # of a blur
    return windows | {
        "contrast": uniform(1 - contrast, 1 + contrast),
        "brightness": uniform(-brightness, brightness),
        "angle": uniform(0, 0),
        "invert": generator.random() < 0.0,
    }


CROPS = {"crop": 0.125}
FULL = {"crop": 0.125, "contrast": 0.3, "brightness": 0.06}


@pytest.mark.parametrize(
    ("file", "run", "given"),
    [
        *(("params.yaml", name, FULL) for name in ("teacher", "sdnet", "sdnet-kd", "scfnet", "scfnet-kd")),
        *(("presets/diffusion.yaml", name, FULL) for name in ("diffsod", "student")),
        *(("presets/diffusion.yaml", name, CROPS) for name in ("vae", "words")),
    ],
)
def test_shipped_settings_draw_and_change_what_they_always_did(file: str, run: str, given: dict[str, float]) -> None:
    augment = load_params(ROOT / file).run(run).augment
    for seed in range(200):
        size = (64 + seed % 40, 64 + seed % 7)
        former = former_draw(given, size, np.random.default_rng((seed, 1)))
        drawn = draw(augment, size, np.random.default_rng((seed, 1)))
        picture = scene(*size)
        moved = apply(picture, drawn, (64, 64))
        assert (moved.contrast, moved.brightness) == (former["contrast"], former["brightness"])
        kept_HW3 = picture.image_HW3[slice(*former["rows"]), slice(*former["columns"])]
        expected_HW3 = cv2.resize(kept_HW3, (64, 64), interpolation=cv2.INTER_LINEAR)
        np.testing.assert_array_equal(moved.image_HW3, expected_HW3[:, :: -1 if former["mirror"] else 1])


def test_a_run_that_says_nothing_flips_as_it_always_did() -> None:
    augment = Run(model="sdnet").augment
    for seed in range(100):
        (_, flip) = draw(augment, (30, 40), np.random.default_rng(seed))
        assert flip == FlipEffect(np.random.default_rng(seed).random() < 0.5)


# -------------------------------------------------------------------------------------------------------------- effects
@settings(max_examples=80)
@given(
    st.integers(1, 70),
    st.integers(1, 70),
    st.integers(16, 80),
    st.integers(0, 9999),
    st.sampled_from([KD_SCFNET[1:], SDNET, EVERYTHING, PUBLISHED["inspyrenet"][:-1]]),
)
def test_image_mask_and_companion_move_together(
    height: int, width: int, size: int, seed: int, augment: list[Step]
) -> None:
    drawn = draw(augment, (height, width), np.random.default_rng(seed))
    moved = apply(scene(height, width), drawn, (size, size))
    assert moved.image_HW3.shape == (size, size, 3)
    np.testing.assert_array_equal(moved.image_HW3[..., 0], moved.mask_HW)
    difference = moved.companion_HW / 257 - moved.mask_HW
    assert np.abs(difference).max() <= 2  # 8 bits round after every step


@pytest.mark.parametrize("name", PUBLISHED)
def test_one_draw_is_the_same_picture_at_another_size(name: str) -> None:
    for seed in range(20):
        drawn = draw(PUBLISHED[name], (120, 160), np.random.default_rng(seed))
        large, small = (apply(scene(120, 160), drawn, (side, side)) for side in (128, 64))
        again = cv2.resize(large.mask_HW, (64, 64), interpolation=cv2.INTER_AREA)
        assert np.abs(again.astype(int) - small.mask_HW).mean() < 8
        assert (large.contrast, large.brightness) == (small.contrast, small.brightness)


@pytest.mark.parametrize("kernel", [3, 5, 7, 9])
@pytest.mark.parametrize("side", [1, 2, 5, 64])
def test_blur_softens_the_image_alone(kernel: int, side: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (side, side), np.uint8)
    still = TrainingPicture(np.repeat(noise[..., None], 3, 2), noise)
    blurred = apply(still, [PhotometricEffect(blur=kernel)], (side, side))
    np.testing.assert_array_equal(blurred.mask_HW, still.mask_HW)
    assert blurred.image_HW3.std() < still.image_HW3.std() or side == 1


def test_no_operations_only_stretch() -> None:
    still = scene(30, 40)
    drawn = draw([], (30, 40), np.random.default_rng(0))
    assert drawn == (ResizeEffect(),)
    np.testing.assert_array_equal(apply(still, drawn, (50, 50)).mask_HW, cv2.resize(still.mask_HW, (50, 50)))


@pytest.mark.parametrize(
    ("listed", "order"),
    [
        (["flip"], [ResizeEffect, FlipEffect]),
        (["crop", "flip", "photometric"], [CropEffect, ResizeEffect, FlipEffect, PhotometricEffect]),
        (["flip", "rotate", "enhance"], [FlipEffect, WarpEffect, ResizeEffect, EnhanceEffect]),
        (["resize", "rotate"], [ResizeEffect, WarpEffect]),
    ],
)
def test_pictures_are_resized_after_what_is_for_stored_pixels(listed: list[str], order: list[type]) -> None:
    drawn = draw(operations(*({"name": name} for name in listed)), (30, 40), np.random.default_rng(0))
    assert [type(effect) for effect in drawn] == order


def corner(picture: TrainingPicture) -> tuple[int, int]:
    """Which quadrant is white."""
    return divmod(int(cv2.resize(picture.mask_HW, (2, 2), interpolation=cv2.INTER_AREA).argmax()), 2)


@pytest.mark.parametrize(
    ("effect", "quadrant"),
    [
        (FlipEffect(), (0, 0)),
        (FlipEffect(mirror=True), (0, 1)),
        (FlipEffect(upside_down=True), (1, 0)),
        (FlipEffect(mirror=True, upside_down=True), (1, 1)),
        (WarpEffect(angle=90), (1, 0)),
        (WarpEffect(angle=-90), (0, 1)),
        (WarpEffect(angle=180), (1, 1)),
    ],
)
def test_flips_and_rotation_go_where_they_say(effect: Effect, quadrant: tuple[int, int]) -> None:
    mask = np.zeros((20, 20), np.uint8)
    mask[:10, :10] = 255
    assert corner(apply(TrainingPicture(np.zeros((20, 20, 3), np.uint8), mask), [effect], (20, 20))) == quadrant


def with_object(rows: slice, columns: slice) -> TrainingPicture:
    """A white square, with a soft edge of one pixel, in a smooth scene, in its companion too; its labels are 3 there
    and 1 elsewhere."""
    around = np.add.outer(np.arange(80, dtype=np.uint8), np.arange(100, dtype=np.uint8))
    mask = np.zeros((80, 100), np.uint8)
    mask[rows, columns] = 255
    mask = cv2.blur(mask, (3, 3))
    image = np.maximum(around, mask)
    labels = np.where(mask > 0, np.int16(3), np.int16(1))
    return TrainingPicture(np.repeat(image[..., None], 3, 2), mask, image.astype(np.uint16), labels)


def test_a_filled_object_leaves_what_was_around_it() -> None:
    still = with_object(slice(20, 50), slice(30, 60))
    filled = BackgroundEffect(active=True)(still, (32, 32))
    assert filled.size == still.size and not filled.mask_HW.any()
    assert still.image_HW3.max() == 255 and filled.image_HW3.max() < 185
    assert set(np.unique(filled.labels_HW)) == {still.void, 1}
    outside = cv2.dilate(still.mask_HW, np.ones((9, 9))) == 0
    np.testing.assert_array_equal(filled.image_HW3[outside], still.image_HW3[outside])
    assert filled.companion_HW.dtype == np.uint16
    assert still.companion_HW.max() == 255 and filled.companion_HW.max() < 185


@pytest.mark.parametrize(
    ("rows", "columns", "kept"),
    [
        ((2, 30), (2, 90), (slice(33, 80), slice(None))),
        ((60, 78), (2, 90), (slice(0, 57), slice(None))),
        ((2, 70), (2, 40), (slice(None), slice(43, 100))),
        ((2, 70), (60, 95), (slice(None), slice(0, 57))),
    ],
)
def test_the_largest_strip_beside_the_object_is_cut(
    rows: tuple[int, int], columns: tuple[int, int], kept: tuple[slice, slice]
) -> None:
    still = with_object(slice(*rows), slice(*columns))
    cut = BackgroundEffect(active=True, crop=True)(still, (32, 32))
    np.testing.assert_array_equal(cut.image_HW3, still.image_HW3[kept])
    assert not cut.mask_HW.any() and (cut.labels_HW == 1).all()


def test_objects_without_room_beside_them_are_filled_and_whole_pictures_stay() -> None:
    crop = BackgroundEffect(active=True, crop=True)
    assert crop(with_object(slice(10, 70), slice(10, 90)), (32, 32)).size == (80, 100)
    whole = with_object(slice(None), slice(None))
    assert crop(whole, (32, 32)).mask_HW.all()
    unlabelled = TrainingPicture(np.zeros((8, 8, 3), np.uint8))
    assert crop(unlabelled, (8, 8)) is unlabelled


def test_a_crop_after_a_strip_is_of_the_strip() -> None:
    """The strip beside an object is cut as the whole picture would be, and something is left of it."""
    mask_HW = np.zeros((200, 100), np.uint8)
    mask_HW[:116] = 255
    photo = replace(scene(200, 100), mask_HW=mask_HW)
    cut = operations({"name": "background", "probability": 1, "crop": 1}, {"name": "crop", "share": 0.49, "pixels": 60})
    sides, tops = [], []
    for seed in range(300):
        first, crop, *_ = draw(cut, photo.size, np.random.default_rng(seed))
        strip, kept = first(photo, (32, 32)), crop(first(photo, (32, 32)), (32, 32))
        assert isinstance(crop, CropEffect) and strip.size == (80, 100)
        sides.append(kept.size[0] / strip.size[0] - (crop.rows[1] - crop.rows[0]) / 200)
        tops.append(kept.size[0])
    assert min(tops) >= 1 and np.abs(sides).max() <= 2 / 80


def test_backgrounds_are_as_frequent_as_the_settings_say() -> None:
    (operation,) = operations({"name": "background", "probability": 0.25, "crop": 0.5})
    drawn = [draw([operation], (80, 100), np.random.default_rng(seed))[0] for seed in range(2000)]
    active = [effect for effect in drawn if effect.active]
    assert 0.22 < len(active) / 2000 < 0.28
    assert 0.42 < sum(effect.crop for effect in active) / len(active) < 0.58


def photo(*corner: int, colour: int, teacher: int | None = None) -> TrainingPicture:
    """A square object of 20 pixels on a black ground of 60 x 90, and a teacher's map that is as sure as it says."""
    mask = np.zeros((60, 90), np.uint8)
    mask[corner[0] : corner[0] + 20, corner[1] : corner[1] + 20] = 255
    image = np.repeat((mask // 255 * np.uint8(colour))[..., None], 3, 2)
    return TrainingPicture(image, mask, teacher_HW=None if teacher is None else mask // 255 * np.uint8(teacher))


def test_a_pasted_object_covers_what_is_below_and_both_are_salient() -> None:
    still = replace(photo(0, 0, colour=90, teacher=70), lend=lambda at: photo(30, 60, colour=200, teacher=180))
    pasted = PasteEffect(active=True, scale=0.5, place=(1 / 3, 0.0))(still, (32, 32))
    object_, rest = (slice(10, 40), slice(0, 30)), (slice(0, 10), slice(0, 20))
    for part, own, lent in (("image_HW3", 90, 200), ("mask_HW", 255, 255), ("teacher_HW", 70, 180)):
        pixels = getattr(pasted, part)
        assert (pixels[object_] == lent).all() and (pixels[rest] == own).all() and pixels.dtype == np.uint8
        assert pixels.astype(bool).sum() == getattr(still, part)[rest].astype(bool).sum() + pixels[object_].size
    assert still.image_HW3.max() == 90, "the picture itself, which is kept, stays as it is"


def test_pasting_scales_mirrors_and_keeps_soft_edges() -> None:
    lent = with_object(slice(20, 60), slice(20, 40))
    wedge = np.where(np.arange(100) < 30, lent.mask_HW, lent.mask_HW // 2).astype(np.uint8)
    still = TrainingPicture(
        np.zeros((40, 50, 3), np.uint8),
        np.zeros((40, 50), np.uint8),
        lend=lambda at: TrainingPicture(lent.image_HW3, wedge),
    )
    plain, mirrored = (
        PasteEffect(active=True, scale=0.5, place=(0.0, 1.0), mirror=mirror)(still, (32, 32)).mask_HW
        for mirror in (False, True)
    )
    assert plain.any(axis=1).nonzero()[0].tolist() == list(range(20)), "half of 40 pixels, at the top"
    columns = plain.any(axis=0).nonzero()[0]
    assert columns[-1] == 49 and len(columns) == 10, "in its proportions, at the right"
    assert plain[10, 42] == 255 and plain[10, 47] == 127
    np.testing.assert_array_equal(mirrored[:, 40:], plain[:, 40:][:, ::-1])


def soft_square(side: int, level: int) -> np.ndarray:
    """A mask of 255 with a border of this level, on an empty ground of 100 x 100."""
    mask = np.zeros((100, 100), np.uint8)
    mask[20 : 20 + side, 20 : 20 + side] = level
    mask[24 : 16 + side, 24 : 16 + side] = 255
    return mask


def test_a_teacher_that_is_right_stays_right_at_soft_edges() -> None:
    mask, empty = soft_square(40, 100), np.zeros((100, 100), np.uint8)
    still = TrainingPicture(np.zeros((100, 100, 3), np.uint8), empty, teacher_HW=empty)
    beyond = np.maximum(mask, 30)  # a little everywhere, where nothing is pasted
    beyond[22, 22] = 30
    for teacher in (None, mask, beyond):
        lent = TrainingPicture(np.full((100, 100, 3), 9, np.uint8), mask, teacher_HW=teacher)
        pasted = PasteEffect(active=True, scale=0.4)(replace(still, lend=lambda at, lent=lent: lent), (32, 32))
        assert pasted.mask_HW[30:70, 30:70].min() == 100
        expected = pasted.mask_HW.copy()
        if teacher is beyond:
            expected[32, 32] = 30
        np.testing.assert_array_equal(pasted.teacher_HW, expected)


def test_an_object_that_is_enlarged_has_no_blocks() -> None:
    mask = np.zeros((100, 100), np.uint8)
    mask[:4, :4] = 255
    ramp = np.repeat(np.arange(100, dtype=np.uint8)[None, :, None] * 60, 100, 0).repeat(3, 2)
    still = TrainingPicture(
        np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), np.uint8), lend=lambda at: TrainingPicture(ramp, mask)
    )
    row = PasteEffect(active=True, scale=1.0, place=(0.0, 0.0))(still, (32, 32)).image_HW3[30, :, 0]
    assert len(np.unique(row)) > 40 and np.diff(row.astype(int)).max() <= 5, "60 grey levels in 16 steps"


def test_pictures_that_nothing_is_pasted_into() -> None:
    paste = PasteEffect(active=True)
    bare = TrainingPicture(np.zeros((8, 8, 3), np.uint8))
    empty = TrainingPicture(np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8))
    of_classes = with_object(slice(20, 50), slice(30, 60))
    unwanted = replace(photo(0, 0, colour=90), lend=lambda at: pytest.fail("is not asked for a picture"))
    for picture, effect in (
        (bare, paste),
        (replace(bare, lend=lambda at: empty), paste),
        (replace(of_classes, lend=lambda at: photo(0, 0, colour=9)), paste),
        (unwanted, PasteEffect()),
    ):
        assert effect(picture, (8, 8)) is picture


def test_pasting_is_as_frequent_and_as_large_as_the_settings_say() -> None:
    (operation,) = operations({"name": "paste", "probability": 0.25, "least": 0.4, "most": 0.6})
    drawn = [draw([operation], (80, 100), np.random.default_rng(seed))[0] for seed in range(2000)]
    assert 0.22 < sum(effect.active for effect in drawn) / 2000 < 0.28
    assert 0.4 <= min(each.scale for each in drawn) < 0.42 and 0.58 < max(each.scale for each in drawn) <= 0.6
    with pytest.raises(ValueError, match=r"least \(0.9\) must not be above most \(0.5\)"):
        operations({"name": "paste", "least": 0.9, "most": 0.5})


def test_a_crop_keeps_its_window() -> None:
    mask = np.zeros((20, 30), np.uint8)
    mask[5:15, 10:20] = 200
    still = TrainingPicture(np.zeros((20, 30, 3), np.uint8), mask)
    kept = apply(still, [CropEffect((5, 15), (10, 20), still.size), ResizeEffect()], (16, 16))
    assert (kept.mask_HW == 200).all() and kept.companion_HW is None


@pytest.mark.parametrize("effect", [WarpEffect(angle=45), WarpEffect(scale=0.5)])
def test_what_comes_in_from_outside_is_black_and_void(effect: Effect) -> None:
    full = np.full((40, 40), 255, np.uint8)
    white = TrainingPicture(
        np.full((40, 40, 3), 255, np.uint8), full, labels_HW=np.full((40, 40), 3, np.int16), contrast=0.5
    )
    turned = effect(white, (40, 40))
    assert turned.image_HW3[0, 0, 0] == turned.mask_HW[0, 0] == 0 and turned.mask_HW[20, 20] == 255
    assert (turned.labels_HW[0, 0], turned.labels_HW[20, 20]) == (-1, 3)
    # Black stays black: what was to be done to the values is done before.
    assert turned.contrast == 1 and turned.image_HW3[20, 20, 0] == 128


def test_half_a_turn_is_about_the_middle() -> None:
    mask, turned = np.zeros((5, 5), np.uint8), np.zeros((5, 5), np.uint8)
    mask[0, 0] = turned[4, 4] = 255
    half = WarpEffect(angle=180)(TrainingPicture(np.zeros((5, 5, 3), np.uint8), mask), (5, 5)).mask_HW
    np.testing.assert_array_equal(half, turned)


def test_scaling_up_keeps_the_middle() -> None:
    mask = np.zeros((40, 40), np.uint8)
    mask[15:25, 15:25] = 255
    grown = WarpEffect(scale=2.0)(TrainingPicture(np.zeros((40, 40, 3), np.uint8), mask), (40, 40)).mask_HW
    assert (grown > 127).sum() == pytest.approx(400, rel=0.1) and grown[20, 20] == 255


def test_enhancing_is_pillow_s() -> None:
    still = scene(20, 30)
    enhanced = EnhanceEffect(((2, 1.1), (0, 1.05)))(still, (20, 30)).image_HW3
    sharp = ImageEnhance.Sharpness(Image.fromarray(still.image_HW3)).enhance(1.1)
    np.testing.assert_array_equal(enhanced, np.asarray(ImageEnhance.Contrast(sharp).enhance(1.05)))


# ---------------------------------------------------------------------------------------------------------------- draws
def many(augment: list[Step], size: tuple[int, int] = (300, 400), count: int = 2000) -> list[tuple[Any, ...]]:
    """Of each draw, the effects of the operations but the resize."""
    draws = (draw(augment, size, np.random.default_rng(seed)) for seed in range(count))
    return [tuple(each for each in drawn if not isinstance(each, ResizeEffect)) for drawn in draws]


def test_colours_change_and_the_luma_stays() -> None:
    image = np.random.default_rng(0).integers(90, 160, (8, 9, 3), np.uint8)
    still = TrainingPicture(image)
    luma = image @ np.array([0.299, 0.587, 0.114])
    for effect in (ColourEffect(1.4), ColourEffect(0.6, 20), ColourEffect(hue=-90)):
        changed = effect(still, (8, 9)).image_HW3
        assert np.abs(changed.astype(int) - image).max() > 5
        np.testing.assert_allclose(changed @ np.array([0.299, 0.587, 0.114]), luma, atol=0.9)
    grey = ColourEffect(0.0)(still, (8, 9)).image_HW3
    assert (grey == grey[..., :1]).all()
    # Half as far from grey is half as colourful; once around is where one was.
    half = ColourEffect(0.5)(still, (8, 9)).image_HW3
    np.testing.assert_allclose(half, (image + luma[..., None]) / 2, atol=1)
    np.testing.assert_allclose(ColourEffect(hue=360)(still, (8, 9)).image_HW3, image, atol=1)
    assert ColourEffect()(still, (8, 9)) is still


def test_colours_are_drawn_as_the_settings_say() -> None:
    (operation,) = operations({"name": "colour", "saturation": 0.3, "hue": 20, "grey": 0.1})
    drawn = [draw([operation], (8, 9), np.random.default_rng(seed))[-1] for seed in range(2000)]
    coloured = [effect for effect in drawn if effect.saturation]
    assert 0.08 < 1 - len(coloured) / 2000 < 0.12
    assert 0.7 <= min(each.saturation for each in coloured) < 0.72 and max(each.saturation for each in coloured) > 1.28
    assert -20 <= min(each.hue for each in coloured) < -19 and 19 < max(each.hue for each in coloured) <= 20


def test_draws_of_kd_scfnet_have_the_published_distribution() -> None:
    light, crop, flip = zip(*many(KD_SCFNET), strict=True)
    widths = [each.columns[1] - each.columns[0] for each in crop]
    assert 351 <= min(widths) <= 353 and max(widths) == 400  # less than 1/8 goes
    assert min(each.rows[0] for each in crop) == 0 and max(each.rows[1] for each in crop) == 300
    assert np.mean([each.mirror for each in flip]) == pytest.approx(0.5, abs=0.05)
    assert np.mean([each.upside_down for each in flip]) == pytest.approx(0.2, abs=0.05)
    assert np.mean([each.blur > 0 for each in light]) == pytest.approx(0.1, abs=0.03)
    assert {each.blur for each in light} == {0, 3, 5, 7, 9}
    contrasts = [each.contrast for each in light]
    assert 0.5 <= min(contrasts) < 0.51 and 1.49 < max(contrasts) <= 1.5
    assert max(abs(each.brightness) for each in light) <= 15 / 255


@pytest.mark.parametrize("name", ["sdnet", "stdnet"])
def test_draws_of_sdnet_crop_each_side_by_itself_and_flip_one_way(name: str) -> None:
    crop, flip = zip(*many(PUBLISHED[name]), strict=True)
    for removed in (
        [each.rows[0] for each in crop],
        [300 - each.rows[1] for each in crop],
        [each.columns[0] for each in crop],
        [400 - each.columns[1] for each in crop],
    ):
        assert set(removed) == set(range(15))
    assert np.mean([each.mirror for each in flip]) == pytest.approx(0.25, abs=0.03)
    assert np.mean([each.upside_down for each in flip]) == pytest.approx(0.25, abs=0.03)
    assert not any(each.mirror and each.upside_down for each in flip)


def test_draws_of_inspyrenet_have_the_published_distribution() -> None:
    scale, flip, turn, enhance = zip(*many(PUBLISHED["inspyrenet"]), strict=True)
    scales = [each.scale for each in scale if each.scale != 1]
    assert len(scales) / len(scale) == pytest.approx(0.5, abs=0.05) and np.mean(scales) == pytest.approx(1, abs=0.02)
    assert 0.75 <= min(scales) < 0.76 and 1.24 < max(scales) <= 1.25
    assert np.mean([each.mirror for each in flip]) == pytest.approx(0.5, abs=0.05)
    assert not any(each.upside_down for each in flip)
    angles = [each.angle for each in turn if each.angle]
    assert len(angles) / len(turn) == pytest.approx(0.5, abs=0.05) and 9.9 < max(angles) <= 10 and min(angles) >= -10
    orders = {tuple(kind for kind, _ in each.changes) for each in enhance}
    assert len([order for order in orders if len(order) == 3]) == 6
    factors = [factor for each in enhance for _, factor in each.changes]
    assert len(factors) / len(enhance) == pytest.approx(1.5, abs=0.1) and 1 <= min(factors) <= max(factors) <= 1.1


def test_a_draw_takes_the_same_steps_whatever_comes_of_it() -> None:
    """What follows in the list must not depend on it."""
    chances = {Enhance: "probability", Paste: "probability", Colour: "grey", Flip: "horizontal", Photometric: "blur"}
    for step in (Enhance(), Paste(), Colour(), Photometric(), Flip(horizontal=0.2, vertical=0.3, exclusive=True)):
        ends = []
        for probability in (0.1, 0.9):
            generator = np.random.default_rng(3)
            field = chances[type(step)]
            draw([step.model_copy(update={field: probability})], (30, 40), generator)
            ends.append(generator.random())
        assert ends[0] == ends[1]


@given(st.integers(1, 50), st.integers(1, 50), st.integers(0, 999))
def test_a_crop_never_takes_everything(width: int, height: int, seed: int) -> None:
    augment = operations({"name": "crop", "share": 0.49, "pixels": 30})
    crop, _ = draw(augment, (height, width), np.random.default_rng(seed))
    assert 0 <= crop.rows[0] < crop.rows[1] <= height
    assert 0 <= crop.columns[0] < crop.columns[1] <= width


# --------------------------------------------------------------------------------------------------------------- values
def test_a_companion_of_the_other_polarity() -> None:
    metres = np.float32([[0, 1.0, 2.5], [4.0, 0, 3.0]])
    near_small = spread(metres / 10, "rgbd")
    near_large = spread(np.where(metres > 0, (5 - metres) / 10, 0).astype(np.float32), "rgbd")
    stored = np.rint(near_small * 65535).astype(np.uint16)
    np.testing.assert_allclose(inverted(stored, "rgbd") / 65535, near_large, atol=2e-5)
    assert (inverted(stored, "rgbd") == 0).sum() == 2 and NEAREST * 65535 > 1
    np.testing.assert_allclose(inverted(inverted(stored, "rgbd"), "rgbd"), stored, atol=1)
    np.testing.assert_array_equal(inverted(stored, "rgbt"), 65535 - stored)


def test_levels_are_the_normalised_values() -> None:
    value = np.arange(256) / 255
    plain = levels(IMAGENET)[0]
    np.testing.assert_allclose(plain[:, 1], (value - 0.456) / 0.224, rtol=1e-5, atol=1e-6)
    changed = levels(Normalisation((0, 0, 0), (1, 1, 1)), contrast=1.5, brightness=-0.1)[0, :, 2]
    np.testing.assert_allclose(changed, np.clip(1.5 * value - 0.1, 0, 1), atol=1e-6)
    ramp_HW3 = np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, 2)
    applied = TrainingPicture(ramp_HW3, contrast=1.5, brightness=-0.1).with_photometry_applied()
    np.testing.assert_allclose(applied.image_HW3[0, :, 2] / 255, changed, atol=0.5 / 255 + 1e-6)


def test_shrink_averages_and_keeps_proportions() -> None:
    checks = np.indices((400, 600)).sum(0) % 2 * 255
    small = shrink(
        DecodedSample(np.repeat(checks[..., None], 3, 2).astype(np.uint8), checks.astype(np.uint8), None), 100
    )
    assert small.size == small.mask_HW.shape == (100, 150)
    assert np.abs(small.image_HW3.astype(int) - 127.5).max() <= 1  # a plain subsample would be black or white
    assert shrink(small, 100) is small
