"""The original systems' list files, written from the manifest and read back.

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
from limelight.data.names import composed, frame_numbers, without_suffix
from limelight.foundation.errors import UserError
from limelight.foundation.files import read_json, read_text, write_json, write_text
from limelight.imaging.extensions import EXTENSIONS

PROMPT = "a photo of a {}"


@dataclass(frozen=True)
class Listed:
    """One line of a list: a sample as the list describes it."""

    image: str
    companion: str | None = None
    mask: str | None = None
    clip: str | None = None
    frame: int | None = None
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


def read_scfnet_list(path: Path, image_folder: Path, mask_folder: Path | None = None) -> list[Listed]:
    """Read a list of names, and find their images and masks, whatever the suffixes.

    Raises:
        UserError: a named image or mask is not there.
    """
    names = [without_suffix(name) for name in _read_lines(path)]
    images = [_with_suffix(image_folder, name) for name in names]
    masks = [_with_suffix(mask_folder, name) if mask_folder else None for name in names]
    return [Listed(image, mask=mask) for image, mask in zip(images, masks, strict=True)]


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


def _with_suffix(folder: Path, name: str) -> str:
    for suffix in sorted(EXTENSIONS):
        path = folder / f"{name}{suffix}"
        if path.is_file():
            return path.as_posix()
    raise UserError(f"no picture {name}.* in {folder}; correct the list or complete the folder")


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


def read_sdnet_list(path: Path) -> list[Listed]:
    """Read stills as listed, and a clip as its labelled frames: those of its label folder, in the order of their names.

    Raises:
        UserError: a line has neither two nor four parts or an unclosed quote, or a label has no image.
    """
    listed: list[Listed] = []
    for number, line in enumerate(_read_lines(path), start=1):
        try:
            parts = shlex.split(line)
        except ValueError as error:
            problem = f"{path}:{number}: {str(error).lower()} in {line!r}"
            raise UserError(f"{problem}; in names, write \\ before quotation marks and backslashes") from error
        if len(parts) == 2:
            listed.append(Listed(parts[0], mask=parts[1]))
        elif len(parts) == 4:
            listed += _clip_frames(*parts)
        else:
            raise UserError(
                f"{path}:{number}: {len(parts)} parts in {line!r}; give '<image> <label>' or "
                "'<image dir> <ext> <label dir> <ext>'"
            )
    return listed


def _clip_frames(image_folder: str, image_suffix: str, mask_folder: str, mask_suffix: str) -> list[Listed]:
    masks = sorted(Path(mask_folder).glob(f"*.{mask_suffix.lstrip('.')}"))
    folder = Path(image_folder)
    images = [folder / f"{mask.stem}.{image_suffix.lstrip('.')}" for mask in masks]
    absent = [image for image in images if not image.is_file()]
    if absent or not masks:
        raise UserError(f"{mask_folder} has {len(masks)} labels, {len(absent)} of them without an image in {folder}")
    clip = _clip_name(PurePosixPath(image_folder), PurePosixPath(mask_folder))
    frames = frame_numbers([mask.stem for mask in masks])
    return [
        Listed(image.as_posix(), mask=mask.as_posix(), clip=clip, frame=frame)
        for image, mask, frame in zip(images, masks, frames, strict=True)
    ]


def _clip_name(image_folder: PurePosixPath, mask_folder: PurePosixPath) -> str:
    """'VOS/JPEGImages/7' with 'VOS/Annotations/7' -> '7'; 'DAVIS/bear/Imgs' with 'DAVIS/bear/GT' -> 'bear'."""
    return image_folder.name if image_folder.name == mask_folder.name else image_folder.parent.name


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    write_text(path, "".join(f"{line}\n" for line in lines))


def _read_lines(path: Path) -> list[str]:
    try:
        lines = read_text(path).splitlines()
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; run the prepare stage, or give the right folder") from None
    return [line.rstrip() for line in lines if line.strip()]
