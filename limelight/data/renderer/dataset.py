"""A dataset folder drawn by the renderer: over processes, resumable, whole or absent."""

import hashlib
import json
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from limelight.config import Renderer
from limelight.data.renderer.families import CLASSES
from limelight.data.renderer.plan import plan_scene
from limelight.data.renderer.scene import render_clip, render_scene
from limelight.data.renderer.toys import TOY_CLASSES, TOYS_REVISION, plan_toys
from limelight.foundation.files import atomic_path, read_json, write_json
from limelight.foundation.progress import track
from limelight.foundation.this_process import cores

RECIPE = "renderer.json"
"""File in the dataset's folder with the settings it was drawn from."""
UNLABELLED = "unlabelled"
"""The split that comes without annotations."""
SHARES = {"train": 0.40, UNLABELLED: 0.40, "val": 0.06, "test": 0.14}
REVISION = 1
"""Incremented when the same seed no longer gives the same scenes, so that older folders are drawn anew."""


@dataclass(frozen=True)
class Item:
    """One still, or one clip, of a dataset."""

    split: str
    index: int
    clip: bool = False


def split_counts(scenes: int) -> dict[str, int]:
    """Divide `scenes` among the splits as the embedded pack does, at least one each from four scenes on."""
    counts = {split: max(int(scenes * share), min(scenes // len(SHARES), 1)) for split, share in SHARES.items()}
    counts["train"] += scenes - sum(counts.values())
    return counts


def render_dataset(
    folder: Path | str,
    settings: Renderer,
    splits: dict[str, int] | None = None,
    *,
    clips: dict[str, int] | None = None,
    image_suffix: str = ".png",
    workers: int | None = None,
) -> None:
    """Draw a dataset into `folder`, in the layout of the embedded one.

    The folder appears when everything is in it. An interrupted run leaves its pictures beside it and the next one goes
    on from there; a folder already drawn from the same arguments is left alone, any other is replaced.

    Args:
        splits: scenes per split; None = settings.scenes divided as the embedded pack is.
        clips: moving clips per split; None = one per labelled scene if settings.clip_frames, else none.
        image_suffix: ".png" or ".jpg" of the images and frames; annotations are always PNG.
        workers: processes; None = one per core. The pictures do not depend on it.
    """
    folder = Path(folder)
    splits = split_counts(settings.scenes) if splits is None else splits
    if clips is None:
        clips = {split: count for split, count in splits.items() if settings.clip_frames and split != UNLABELLED}
    recipe = {
        "revision": REVISION,
        "seed": settings.seed,
        "size": settings.size,
        "clip_frames": settings.clip_frames,
        "splits": splits,
        "clips": clips,
        "image_suffix": image_suffix,
    }
    if settings.kind == "toys":
        recipe |= {"kind": settings.kind, "hidden": settings.hidden, "toys": TOYS_REVISION}
    if (folder / RECIPE).is_file() and read_json(folder / RECIPE) == recipe:
        return
    key = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:12]
    partial_folder = folder.parent / f".{folder.name}.{key}.partial"
    items = [Item(split, index) for split, count in splits.items() for index in range(count)]
    items += [Item(split, index, clip=True) for split, count in clips.items() for index in range(count)]
    task = partial(_draw_item, partial_folder, settings, image_suffix)
    for _ in track(_mapped(task, items, workers), len(items), f"rendering {folder.name}", unit="scenes"):
        pass
    classes = TOY_CLASSES if settings.kind == "toys" else CLASSES
    write_json(partial_folder / "classes.json", {str(number): name for number, name in classes.items()})
    write_json(partial_folder / RECIPE, recipe)
    with atomic_path(folder) as temporary:
        partial_folder.replace(temporary)


def _mapped(task: Callable[[Item], None], items: list[Item], workers: int | None) -> Iterator[None]:
    workers = min(workers or cores(), len(items) // 16)
    if workers < 2:
        yield from map(task, items)
        return
    # Not forked: the caller may hold threads, and a fork copies their locks but not them.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_enter_worker) as pool:
        yield from pool.map(task, items, chunksize=4)


def _enter_worker() -> None:
    """Limit a worker to one thread, and end it when its parent process was killed."""
    cv2.setNumThreads(1)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def exit_with_parent() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=exit_with_parent, daemon=True).start()


def _draw_item(root: Path, settings: Renderer, image_suffix: str, item: Item) -> None:
    """Draw and write one item, unless it is there already; what is written last marks it as done."""
    folder, name = root / item.split, f"{item.index:05}"
    if item.clip:
        clip = folder / "clips" / name
        if not clip.exists():
            frames, masks = render_clip(settings.seed, item.split, item.index, settings.size, settings.clip_frames)
            _write_clip(clip, frames, masks, image_suffix)
        return
    image = folder / "images" / f"{name}{image_suffix}"
    if image.exists():
        return
    draw = partial(plan_toys, hidden=settings.hidden) if settings.kind == "toys" else plan_scene
    scene = render_scene(settings.seed, item.split, item.index, settings.size, draw)
    if item.split != UNLABELLED:
        for kind, picture in (
            ("masks", scene.mask),
            ("depth", scene.depth),
            ("thermal", scene.thermal),
            ("labels", scene.labels),
        ):
            _write_picture(folder / kind / f"{name}.png", picture)
    _write_picture(image, scene.image)


def _write_clip(folder: Path, frames: list[np.ndarray], masks: list[np.ndarray], image_suffix: str) -> None:
    scratch = folder.with_name(f".{folder.name}")
    for number, (frame, mask) in enumerate(zip(frames, masks, strict=True)):
        _write_picture(scratch / "frames" / f"{number:03}{image_suffix}", frame)
        _write_picture(scratch / "masks" / f"{number:03}.png", mask)
    scratch.replace(folder)


def _write_picture(path: Path, picture: np.ndarray) -> None:
    """Write one picture under its final name only when all of it is there.

    Not by atomic_path, whose flush to the disk takes longer than the drawing: nobody reads these files before the
    whole dataset is renamed into place.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}")
    scratch.write_bytes(encode(picture, path.suffix))
    scratch.replace(path)


def encode(picture: np.ndarray, suffix: str) -> bytes:
    """PNG or JPEG bytes of a picture, RGB or single-channel.

    Unfiltered PNG: annotations have few distinct values in flat areas, which repeat exactly; filters gain nothing.
    """
    if suffix == ".png":
        flags = [cv2.IMWRITE_PNG_COMPRESSION, 9, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE]
    else:
        flags = [cv2.IMWRITE_JPEG_QUALITY, 85]
    bgr = picture[..., ::-1] if picture.ndim == 3 else picture
    return cv2.imencode(suffix, bgr, flags)[1].tobytes()
