"""Which videos of a folder of results are finished."""

import os
from functools import cached_property
from pathlib import Path, PurePosixPath

from limelight.foundation.files import write_json
from limelight.media.sources import RECORD
from limelight.predict.clips import FoundClip
from limelight.predict.done import DONE, Done, Stamp, stamp_of
from limelight.predict.video import VideoJob, VideoReport


class FinishedVideos:
    """The videos that are finished in a folder of results, with what they were made from and how."""

    def __init__(self, folder: Path, job: VideoJob) -> None:
        self._folder, self._settings = folder, job.record()

    @cached_property
    def _done(self) -> Done:  # made where there are results
        return Done(self._folder / DONE, self._settings)

    def holds(self, place: Path, video: FoundClip) -> bool:
        """Whether a result is there that was made from this clip as it is now.

        Raises:
            UserError: one is there that was made with other settings, of another clip, or by something else.
        """
        if not os.path.exists(place):  # noqa: PTH110 - as in is_folder
            return False
        name, stamp = self._name(place), _stamp(video)
        if (refusal := self._done.refusal(name, place, video.path, stamp)) is not None:
            raise refusal
        return self._done.find(name, stamp, [place]) is not None

    def add(self, place: Path, video: FoundClip, report: VideoReport) -> None:
        """Note a result, and mark the folder as one of results: what is in it is no source of a later run."""
        if not (self._folder / RECORD).exists():  # that of pictures' results stays
            write_json(self._folder / RECORD, {"videos": self._settings})
        if not report.interrupted and (stamp := _stamp(video)) is not None:
            self._done.add(self._name(place), video.path, stamp, [place.stat().st_size])

    def _name(self, place: Path) -> PurePosixPath:
        """With its suffix: pictures' results, which are in the same record, have none in their names."""
        return PurePosixPath(place.relative_to(self._folder).as_posix())


def _stamp(video: FoundClip) -> Stamp | None:
    """What shows whether a clip has changed."""
    return stamp_of(sorted(video.path.iterdir()) if video.path.is_dir() else [video.path])
