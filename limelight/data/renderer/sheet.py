"""A contact sheet: what the renderer draws, at a glance."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from limelight.data.renderer.families import CLASSES
from limelight.data.renderer.scene import Scene, render_clip, render_scene
from limelight.foundation.files import atomic_path

ACROSS = 10
"""Pictures in one row; a strip of one scene's five pictures takes half of it."""
_SPLIT, _SIZE = "train", 80
"""Of the pictures, which are square: pixels."""


def write_sheet(path: Path | str, *, seed: int) -> None:
    """Write a PNG: three rows of images; four of two scenes each as image, mask, depth, thermal, classes; one clip."""
    scenes = [render_scene(seed, _SPLIT, index, _SIZE) for index in range(3 * ACROSS)]
    lines = [_row([scene.image for scene in scenes[start : start + ACROSS]]) for start in range(0, len(scenes), ACROSS)]
    strips = [_row(_pictures(scene)) for scene in scenes[:8]]
    lines += [_row(strips[start : start + 2]) for start in range(0, len(strips), 2)]
    lines.append(_row(render_clip(seed, _SPLIT, 1, _SIZE, frames=ACROSS)[0]))
    sheet = Image.fromarray(np.concatenate(lines))
    # 256 dithered colours: half the size, and no pixel values are read from it.
    palette = sheet.quantize(256, method=Image.Quantize.MAXCOVERAGE, kmeans=2)
    with atomic_path(path) as temporary:
        sheet.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG).save(temporary, optimize=True)


def _row(pictures: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(pictures, axis=1)


def _pictures(scene: Scene) -> list[np.ndarray]:
    """One scene as five uint8 RGB pictures."""
    hues = (scene.labels.astype(np.float32) * (255 / max(CLASSES))).astype(np.uint8)
    classes = cv2.applyColorMap(hues, cv2.COLORMAP_TURBO)[..., ::-1] * (scene.labels > 0)[..., None]
    greys = (scene.mask, (scene.depth >> 8).astype(np.uint8), scene.thermal)
    return [scene.image, *(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB) for grey in greys), classes]
