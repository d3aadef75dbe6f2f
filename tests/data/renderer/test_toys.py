"""Scenes of plain things: classes say the colour that is shown, and depth shows what the image hides."""

import colorsys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from limelight.config import Renderer
from limelight.data.renderer.dataset import render_dataset
from limelight.data.renderer.scene import Scene, render_scene
from limelight.data.renderer.toys import TOY_CLASSES, plan_toys
from limelight.foundation.files import read_json

HUES = {"red": 0.0, "yellow": 1 / 7, "green": 1 / 3, "blue": 0.62}


def draw(count: int, hidden: float) -> list[Scene]:
    return [render_scene(0, "train", index, 64, partial(plan_toys, hidden=hidden)) for index in range(count)]


def test_a_class_says_the_colour_that_is_shown() -> None:
    right, seen = 0, 0
    for scene in draw(40, hidden=0):
        assert np.array_equal(scene.labels > 0, scene.mask > 0) and scene.mask.any()
        for label in np.unique(scene.labels[scene.labels > 0]):
            pixels = scene.image[scene.labels == label] / 255
            if len(pixels) < 60:
                continue
            hue = colorsys.rgb_to_hsv(*np.median(pixels, axis=0))[0]
            distances = {name: min(abs(hue - at), 1 - abs(hue - at)) for name, at in HUES.items()}
            seen += 1
            right += min(distances, key=distances.get) == TOY_CLASSES[label].split()[0]
    assert seen > 40 and right > 0.85 * seen


def test_depth_and_heat_show_what_the_image_hides() -> None:
    def contrast(scene: Scene, picture: np.ndarray) -> float:
        """Between object and ground, in units of the ground's spread."""
        inside = scene.mask > 0
        picture = picture.reshape(*inside.shape, -1).astype(float)
        return float(np.abs(picture[inside].mean(0) - picture[~inside].mean(0)).max() / (picture[~inside].std(0).max()))

    shown, hidden = draw(12, hidden=0), draw(12, hidden=1)
    assert {scene.cue for scene in hidden} == {"camouflage"} and {scene.cue for scene in shown} == {"colour"}
    in_images = [np.median([contrast(scene, scene.image) for scene in scenes]) for scenes in (hidden, shown)]
    assert in_images[0] < 0.5 * in_images[1]
    assert np.median([contrast(scene, scene.thermal) for scene in hidden]) > 2


def test_the_share_of_hidden_scenes() -> None:
    cues = [scene.cue for scene in draw(40, hidden=0.5)]
    assert 10 < cues.count("camouflage") < 30


def test_a_dataset_of_toys_names_its_classes_and_is_drawn_anew_when_they_change(tmp_path: Path) -> None:
    settings = Renderer(scenes=4, size=32, kind="toys")
    render_dataset(tmp_path / "toys", settings, workers=1)
    assert read_json(tmp_path / "toys/classes.json") == {str(key): name for key, name in TOY_CLASSES.items()}
    first = (tmp_path / "toys/train/images/00000.png").read_bytes()
    render_dataset(tmp_path / "toys", settings.model_copy(update={"hidden": 1.0}), workers=1)
    assert (tmp_path / "toys/train/images/00000.png").read_bytes() != first


@pytest.mark.parametrize("hidden", [0.0, 1.0])
def test_equal_arguments_give_equal_pixels(hidden: float) -> None:
    first, again = draw(2, hidden), draw(2, hidden)
    for one, other in zip(first, again, strict=True):
        assert all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("image", "depth", "labels"))
