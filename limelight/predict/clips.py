"""The clips among what was given to `limelight predict`, and the places of their results."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from limelight.foundation.errors import TooLarge, UserError
from limelight.media.sources import RECORD, absolute
from limelight.media.suffixes import is_named_as_picture, is_picture
from limelight.media.video.clip import Clip
from limelight.media.video.folder import FrameFolder, frame_folders
from limelight.media.video.formats import is_video
from limelight.media.video.reader import VideoReader
from limelight.media.walk import Walk

_PACKET, _SYNC = 188, b"G"
"""Bytes of a packet of an MPEG transport stream, and the first of them."""


@dataclass(frozen=True)
class FoundClip:
    """A clip that is not open yet."""

    path: Path
    """The file, or the folder of frames."""
    place: Path
    """Of its result below the folder of results, without suffix."""
    open: Callable[[int], Clip]
    """Takes the most pixels of a frame."""


def find_videos(sources: Sequence[Path], results: Path) -> list[FoundClip]:
    """The video files among files and below folders, which are searched as for pictures.

    Files that are given are videos by their suffix, or where they are no pictures by their content; below folders, by
    their suffix.

    Args:
        results: the folder of results, whose own videos are no sources where it lies in one of the folders.

    Raises:
        UserError: it is one of the folders.
    """
    # By absolute path: a video may be given twice, as a/b.mp4 and a/../a/b.mp4, or in its folder.
    found: dict[Path, tuple[Path, Path]] = {}
    for source in sources:
        if (is_video(source) and source.is_file()) or _holds_video(source):
            found.setdefault(absolute(source), (source, Path(source.name)))
        elif os.path.isdir(source):  # noqa: PTH112 - Path raises in a folder without access
            root, own = source.resolve(), results.resolve()
            videos = Walk([root], marker=RECORD, is_wanted=_is_wanted).files
            if videos and own == root:
                raise UserError(f"{results} is the folder of the videos themselves; choose another --output")
            for path in videos:
                if root not in own.parents or own not in path.parents:
                    place = path.relative_to(root)
                    found.setdefault(path, (source / place, place))
    # By the name without suffix where that is unique, as results of pictures are.
    stems = Counter(str(place.with_suffix("")).casefold() for _, place in found.values())
    clips = []
    for path, place in found.values():
        stem = place.with_suffix("")
        unique = stems[str(stem).casefold()] == 1
        clips.append(FoundClip(path, stem if unique else place, _file(path)))
    return clips


def find_frames(sources: Sequence[Path], results: Path, rate: Fraction | None) -> list[FoundClip]:
    """The folders at and below those given that hold pictures themselves: each is a clip, its pictures are the frames.

    Args:
        results: as of `find_videos`.
        rate: frames per second; None = not given.

    Raises:
        UserError: a source is a file, a folder has no pictures, or there is no folder.
    """
    found = []
    for source in sources:
        if not source.is_dir():
            what = "a picture" if is_picture(source) else "no video"
            raise UserError(f"{source} is {what}, but --video takes folders of frames; give its folder")
        root = source.resolve()
        for folder, paths in frame_folders(source, marker=RECORD, skip=results).items():
            within = folder.relative_to(root)
            place, named = (Path(root.name), source) if folder == root else (within, source / within)
            found.append(FoundClip(named, place, _frames(str(named), paths, rate)))
    if not found:
        raise UserError("--video takes folders of frames, and there is none; leave it out")
    return found


def at_unique_places(found: Sequence[FoundClip]) -> list[FoundClip]:
    """Give clips whose results would have one name (frames/ beside frames.mp4) names with their number."""
    own, taken, unique = {str(each.place).casefold() for each in found}, set[str](), []
    for each in found:
        place, number = each.place, 1
        while (key := str(place).casefold()) in taken or (number > 1 and key in own):
            number += 1
            place = each.place.with_name(f"{each.place.name}-{number}")
        taken.add(key)
        unique.append(replace(each, place=place))
    return unique


def _is_wanted(path: str) -> bool:
    """Whether a file below a folder is a video; source code in TypeScript has a suffix of videos, too."""
    if not path.lower().endswith(".ts"):
        return is_video(path)
    try:
        with open(path, "rb") as handle:  # noqa: PTH123 - as in is_picture
            head = handle.read(_PACKET + 1)
    except OSError:  # said when it is read
        return True
    return head[:1] == head[_PACKET:] == _SYNC


def _holds_video(path: Path) -> bool:
    """Whether a file is a video by its content alone."""
    try:
        if is_named_as_picture(path.name) or not os.path.isfile(path) or is_picture(path):  # noqa: PTH113 - as above
            return False
        VideoReader(path).close()
    except TooLarge:  # said when it is read
        return True
    except UserError:
        return False
    return True


def _file(path: Path) -> Callable[[int], Clip]:
    return lambda max_pixels: VideoReader(path, max_pixels=max_pixels)


def _frames(name: str, paths: Sequence[Path], rate: Fraction | None) -> Callable[[int], Clip]:
    return lambda max_pixels: FrameFolder(name, paths, rate, max_pixels=max_pixels)
