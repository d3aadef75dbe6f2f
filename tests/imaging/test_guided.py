"""The guided filter: borders go to the picture's edges, by the fits of its paper, in bands and at any size alike."""

import cv2
import numpy as np
import pytest

from limelight.imaging import guided as module
from limelight.imaging.guided import guided

RADIUS = 2
REGULARISATION = 1e-3


def scene(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A bright ellipse on a darker, slightly grainy ground, and its mask."""
    mask_HW = np.zeros((height, width), np.uint8)
    cv2.ellipse(mask_HW, (width // 2, height // 2), (width // 3, height // 3), 0, 0, 360, 1, -1)
    grain_HW3 = np.random.default_rng(0).normal(0, 3, (height, width, 3))
    image_HW3 = np.where(mask_HW[..., None] > 0, 170, 80) + grain_HW3
    return image_HW3.clip(0, 255).astype(np.uint8), mask_HW.astype(np.float32)


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(1).uniform(0.05, 0.95, (height, width)).astype(np.float32)


def fitted_window_by_window(map_hw: np.ndarray, grey_hw: np.ndarray) -> np.ndarray:
    """Equations 5, 6 and 8 of He, Sun and Tang's paper, read literally, on logits; the rim mirrored."""
    margin, height, width = 2 * RADIUS, *map_hw.shape
    logits, guide = (
        np.pad(each, margin, "symmetric").astype(np.float64) for each in (np.log(map_hw / (1 - map_hw)), grey_hw / 255)
    )
    answers: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for row in range(RADIUS, height + 3 * RADIUS):
        for column in range(RADIUS, width + 3 * RADIUS):
            window = (
                slice(row - RADIUS, row + RADIUS + 1),
                slice(column - RADIUS, column + RADIUS + 1),
            )
            seen, wanted = guide[window], logits[window]
            slope = ((seen * wanted).mean() - seen.mean() * wanted.mean()) / (seen.var() + REGULARISATION)
            offset = wanted.mean() - slope * seen.mean()
            for y in range(window[0].start, window[0].stop):
                for x in range(window[1].start, window[1].stop):
                    answers.setdefault((y, x), []).append((slope, offset))
    result_hw = np.empty_like(map_hw)
    for y in range(height):
        for x in range(width):
            slope, offset = np.mean(answers[y + margin, x + margin], axis=0)
            result_hw[y, x] = 1 / (1 + np.exp(-slope * guide[y + margin, x + margin] - offset))
    return result_hw


def test_it_is_the_paper_s_filter() -> None:
    image_HW3, _ = scene(23, 17)
    map_HW = noise(23, 17)
    expected_HW = fitted_window_by_window(map_HW, cv2.cvtColor(image_HW3, cv2.COLOR_RGB2GRAY))
    np.testing.assert_allclose(guided(map_HW, image_HW3, RADIUS), expected_HW, atol=5e-4)


@pytest.mark.parametrize("scale", [1, 4])
def test_borders_come_to_the_picture_s_edges(scale: int) -> None:
    """Also to those that the network's resolution cannot show."""
    image_HW3, mask_HW = scene(96 * scale, 128 * scale)
    beside_hw = cv2.GaussianBlur(np.roll(cv2.resize(mask_HW, (128, 96), interpolation=cv2.INTER_AREA), 1, 1), (0, 0), 1)
    enlarged_HW = cv2.resize(beside_hw, mask_HW.shape[::-1])
    found_HW = guided(beside_hw, image_HW3, RADIUS)
    assert found_HW.shape == mask_HW.shape and found_HW.dtype == np.float32
    wrong, before = (np.mean((each > 0.5) != (mask_HW > 0.5)) for each in (found_HW, enlarged_HW))
    assert wrong < 0.25 * before
    assert np.abs(found_HW - mask_HW).mean() < 0.5 * np.abs(enlarged_HW - mask_HW).mean()


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_where_a_map_has_no_border_it_stays(value: float) -> None:
    image_HW3, _ = scene(60, 80)
    found_HW = guided(np.full((32, 32), value, np.float32), image_HW3, RADIUS)
    np.testing.assert_allclose(found_HW, value, atol=2e-5)
    assert found_HW.min() >= 0 and found_HW.max() <= 1


def test_large_maps_are_fitted_in_bands_of_no_consequence(monkeypatch: pytest.MonkeyPatch) -> None:
    image_HW3, _ = scene(75, 40)
    whole_HW = guided(noise(75, 40), image_HW3, RADIUS)
    monkeypatch.setattr(module, "_BAND", 16)
    monkeypatch.setattr(module, "_ROWS", 7)
    np.testing.assert_allclose(guided(noise(75, 40), image_HW3, RADIUS), whole_HW, atol=1e-6)


@pytest.mark.parametrize("size", [(96, 128), (150, 333), (60, 70), (5, 7), (16, 16), (6, 120)])
def test_what_is_empty_is_left_out_to_no_effect(monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]) -> None:
    """Beside an object anywhere, at the rim too; what is left out would be below half a grey level."""
    image_HW3, _ = scene(*size)
    for middle in ((20, 30), (95, 0), (48, 64)):
        object_hw = cv2.circle(np.zeros((96, 128), np.float32), middle[::-1], 9, 1.0, -1)
        map_hw = cv2.GaussianBlur(object_hw, (0, 0), 1)
        found_HW = guided(map_hw, image_HW3, RADIUS)
        with monkeypatch.context() as everywhere:
            everywhere.setattr(module, "_EMPTY", -1.0)
            np.testing.assert_allclose(found_HW, guided(map_hw, image_HW3, RADIUS), atol=1 / 510)
        assert (found_HW == 0).any(), "something is left out"


@pytest.mark.parametrize("size", [(1, 50), (50, 1), (1, 1), (3, 900)])
@pytest.mark.parametrize("radius", [1, 32])
def test_pictures_of_any_size(size: tuple[int, int], radius: int) -> None:
    image_HW3 = np.random.default_rng(2).integers(0, 256, (*size, 3), np.uint8)
    map_hw = noise(32, 32)
    kept_hw = map_hw.copy()
    found_HW = guided(map_hw, image_HW3, radius)
    assert found_HW.shape == size and np.isfinite(found_HW).all()
    np.testing.assert_array_equal(map_hw, kept_hw)
