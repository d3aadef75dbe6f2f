"""The original systems' list files, written from the manifest. Those of the first two rows are read too, as a dataset.

| file | system | a line |
| --- | --- | --- |
| img_list.txt, x_list.txt, gt_list.txt | diffSOD, Seg-diffusion | one path; equal line numbers belong together |
| <split>_text.json | Seg-diffusion | image name -> prompts, "a photo of a <class>" |
| train.txt | KD-SCFNet | a name; image/<name>.jpg and mask/<name>.png below the dataset's root |
| sdnet.txt | SDNet, STDNet | '<image> <label>', or '<image dir> <ext> <label dir> <ext>' for a clip |

Paths are those of the manifest: relative to the repository's root, or absolute outside it.
"""

import json
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath

from limelight.data.manifest import Sample
from limelight.data.names import composed
from limelight.foundation.errors import UserError
from limelight.foundation.files import read_json, read_text, write_json, write_text

PROMPT = "a photo of a {}"


@dataclass(frozen=True)
class Listed:
    """One line of a list: a sample as the list describes it."""

    image: str
    companion: str | None = None
    mask: str | None = None
    classes: tuple[str, ...] = ()


def write_lists(samples: Sequence[Sample], folder: Path) -> None:
    """Write every list that fits the samples of one dataset and split into `folder`.

    If some samples are labelled, the lists hold only those: they are parallel and cannot skip a line.
    """
    labelled = [sample for sample in samples if sample.mask]
    chosen = labelled or list(samples)
    write_parallel_lists(chosen, folder)
    write_scfnet_list(chosen, folder / "train.txt")
    if chosen[0].labels == "mask":
        write_sdnet_list(chosen, folder / "sdnet.txt")
    if chosen[0].labels == "classes":
        write_prompts(chosen, folder / f"{chosen[0].split}_text.json")


# --------------------------------------------------------------------------------------------- diffSOD, Seg-diffusion
def write_parallel_lists(samples: Sequence[Sample], folder: Path) -> None:
    """Write img_list.txt, x_list.txt (the image again without a companion) and, of labelled samples, gt_list.txt."""
    _write_lines(folder / "img_list.txt", [sample.image for sample in samples])
    _write_lines(folder / "x_list.txt", [sample.companion or sample.image for sample in samples])
    if all(sample.mask for sample in samples):
        _write_lines(folder / "gt_list.txt", [sample.mask or "" for sample in samples])


def read_parallel_lists(folder: Path) -> list[Listed]:
    """Read img_list.txt and, if they exist, x_list.txt, gt_list.txt and every *_text.json.

    Raises:
        UserError: a list is missing, the image list is empty, they differ in length, or a prompt table is malformed.
    """
    images = _read_lines(folder / "img_list.txt")
    if not images:
        raise UserError(f"{folder / 'img_list.txt'} names no image; write one path a line, or remove the file")
    columns: dict[str, list[str]] = {}
    for name in ("x_list.txt", "gt_list.txt"):
        if (folder / name).is_file():
            columns[name] = _read_lines(folder / name)
            if len(columns[name]) != len(images):
                raise UserError(
                    f"{folder / name} has {len(columns[name])} lines and img_list.txt {len(images)}; "
                    "they need one line per image; correct them"
                )
    companions: Sequence[str | None] = columns.get("x_list.txt") or [None] * len(images)
    masks: Sequence[str | None] = columns.get("gt_list.txt") or [None] * len(images)
    tables = [read_prompts(path) for path in sorted(folder.glob("*_text.json"))]
    # Tables that disagree on a name refer to images in different folders.
    prompts = {
        name: classes
        for table in tables
        for name, classes in table.items()
        if all(other.get(name, classes) == classes for other in tables)
    }
    return [
        Listed(
            image,
            None if companion == image else companion,
            mask,
            classes=prompts.get(image) or prompts.get(PurePosixPath(image).name) or (),
        )
        for image, companion, mask in zip(images, companions, masks, strict=True)
    ]


def write_prompts(samples: Sequence[Sample], path: Path) -> None:
    """Write image name -> prompts. Images of one name in different folders are keyed by their full path."""
    names = [PurePosixPath(sample.image).name for sample in samples]
    repeated = {name for name, count in Counter(names).items() if count > 1}
    write_json(
        path,
        {
            sample.image if name in repeated else name: [PROMPT.format(label) for label in sample.classes]
            for name, sample in zip(names, samples, strict=True)
        },
    )


def read_prompts(path: Path) -> dict[str, tuple[str, ...]]:
    """Read image name (or path) -> class names, without the wording of the prompts.

    Raises:
        UserError: it is not such a table, or a value is not a list of strings (a bare string would be read letter by
            letter).
    """
    start = PROMPT.format("")
    table = read_json(path)
    if not isinstance(table, dict):
        raise UserError(f"{path} holds {json.dumps(table)[:60]}; give a table of image names and their prompts")
    for name, prompts in table.items():
        if not isinstance(prompts, list) or not all(isinstance(prompt, str) for prompt in prompts):
            raise UserError(f"{path}: {name} has {json.dumps(prompts)[:60]}; give a list of prompts")
    return {name: tuple(prompt.removeprefix(start) for prompt in prompts) for name, prompts in table.items()}


# ------------------------------------------------------------------------------------------------------------ KD-SCFNet
def write_scfnet_list(samples: Sequence[Sample], path: Path) -> None:
    """Write the images' names without folder and suffix, sub-folders of the image folder kept."""
    _write_lines(path, [_name(sample) for sample in samples])


def _name(sample: Sample) -> str:
    """Return the end that the image's path shares with its id: '.../images/a/1.jpg' of 'DUTS/train/a/1' -> 'a/1'."""
    stem = PurePosixPath(sample.image).with_suffix("").parts
    parts = PurePosixPath(sample.sample_id).parts[1:]
    shared = 0
    for on_disk, of_id in zip(reversed(stem), reversed(parts), strict=False):
        if composed(on_disk) != of_id:
            break
        shared += 1
    return "/".join(stem[-max(shared, 1) :])


# -------------------------------------------------------------------------------------------------------- SDNet, STDNet
def write_sdnet_list(samples: Sequence[Sample], path: Path) -> None:
    """Write a line per still, one per clip. Paths with a space are quoted, which the original systems cannot read."""
    lines = []
    for clip, frames in groupby(samples, key=lambda sample: sample.clip):
        members = list(frames)
        if clip is None:
            lines += [shlex.join([sample.image, sample.mask or ""]) for sample in members]
        else:
            image, mask = PurePosixPath(members[0].image), PurePosixPath(members[0].mask or "")
            lines.append(shlex.join([str(image.parent), image.suffix[1:], str(mask.parent), mask.suffix[1:]]))
    _write_lines(path, lines)


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    write_text(path, "".join(f"{line}\n" for line in lines))


def _read_lines(path: Path) -> list[str]:
    try:
        lines = read_text(path).splitlines()
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; run the prepare stage, or give the right folder") from None
    return [line.rstrip() for line in lines if line.strip()]
