"""Which files are videos, and how each kind of result file is encoded."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from limelight.foundation.errors import UserError

_SUFFIXES = ".3g2 .3gp .avi .f4v .flv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .ogv .ts .vob .webm .wmv"
SUFFIXES = frozenset(_SUFFIXES.split())
"""Of files that are read as videos."""
_DEMUXERS = ("mov", "matroska", "avi", "flv", "m4v", "mpeg", "mpegvideo", "mpegts", "ogg", "asf")
"""FFmpeg's names of their formats."""


@dataclass(frozen=True)
class Encoding:
    """How frames are encoded."""

    codec: str
    pixel_format: str
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def even(self) -> bool:
        """Whether both sides must be even: colour has half the resolution."""
        return "420" in self.pixel_format


@dataclass(frozen=True)
class Format:
    """A kind of result file."""

    container: str
    """FFmpeg's name of it."""
    opaque: Encoding
    transparent: Encoding | None
    """None = it cannot hold an alpha channel."""
    sound: tuple[str, ...]
    """Codecs of sound that are taken over as they are."""
    sound_codec: str
    """What other sound is encoded with."""
    streamed: Mapping[str, str] = field(default_factory=dict)
    """Options where it is written from beginning to end, as into a pipe."""
    aspect: bool = True
    """Whether its pixels may be other than square."""
    needs_extradata: tuple[str, ...] = ("aac",)
    """Codecs of sound that are taken over into a stream only with extradata: the header precedes their first packet."""


# Nearer to the frames than veryfast at 16 in less than half of the processor's time, which the network needs; for it,
# files are up to twice as large.
_H264 = Encoding("libx264", "yuv420p", {"crf": "17", "preset": "ultrafast"})
_PRORES = Encoding("prores_ks", "yuva444p10le", {"profile": "4444"})
_VP9 = {"crf": "24", "b": "0", "deadline": "realtime", "cpu-used": "6", "row-mt": "1"}
# Delayed to the first fragment: a header before it does not say that sound begins later than the picture.
_FRAGMENTS = {"movflags": "frag_keyframe+empty_moov+delay_moov+default_base_moof"}
_CLUSTERS = {"live": "1", "flush_packets": "1"}
FORMATS = {
    ".mp4": Format(
        "mp4", _H264, None, ("aac", "ac3", "alac", "mp3", "opus"), "aac", _FRAGMENTS, needs_extradata=("aac", "ac3")
    ),
    ".mkv": Format(
        "matroska", _H264, None, ("aac", "ac3", "alac", "flac", "mp3", "opus", "pcm_s16le", "vorbis"), "aac", _CLUSTERS
    ),
    ".mov": Format(
        "mov",
        _H264,
        _PRORES,
        ("aac", "ac3", "alac", "mp3", "pcm_s16le"),
        "aac",
        _FRAGMENTS,
        needs_extradata=("aac", "ac3"),
    ),
    ".webm": Format(
        "webm",
        Encoding("libvpx-vp9", "yuv420p", _VP9),
        Encoding("libvpx-vp9", "yuva420p", _VP9),
        ("opus", "vorbis"),
        "libopus",
        _CLUSTERS,
        aspect=False,  # VP9 does not hold it, and PyAV cannot set the container's
    ),
}
"""Result files by suffix."""
USUAL, USUAL_TRANSPARENT, USUAL_STREAMED = ".mp4", ".mov", ".mkv"


def is_video(path: Path | str) -> bool:
    """Whether a file's suffix is a video's."""
    return Path(path).suffix.lower() in SUFFIXES


def encoding(suffix: str, *, transparent: bool) -> Encoding:
    """How a result file of this suffix is encoded.

    Raises:
        UserError: no such files are written, or they have no transparency.
    """
    if suffix not in FORMATS:
        raise UserError(
            f"videos are written as {', '.join(FORMATS)} files, not {suffix or 'without a suffix'}; choose one of "
            "these, or put / at the end of a folder's name"
        )
    made = FORMATS[suffix]
    if not transparent:
        return made.opaque
    if made.transparent is None:
        able = " and ".join(name for name, each in FORMATS.items() if each.transparent)
        raise UserError(
            f"a {suffix} video has no transparency, which kind rgba needs; {able} have, or choose another kind"
        )
    return made.transparent


def av() -> Any:
    """PyAV.

    Raises:
        UserError: it is not installed.
    """
    try:
        import av as module
    except ModuleNotFoundError as error:
        raise UserError("videos need the package av; install it with: pip install 'limelight[video]'") from error
    # PyAV frees a codec while it holds the interpreter's lock and waits for the codec's threads. At any level of its
    # log, such a thread waits for the lock where it reports damage: neither goes on.
    module.logging.set_level(None)
    return module


def open_video(source: str | BinaryIO) -> Any:
    """A container that is open for reading.

    Args:
        source: a file's name, or bytes as they come.

    Raises:
        av.error.FFmpegError: it is none of the formats that are read, or damaged.
    """
    # FFmpeg goes by content: a playlist, whatever its name, would be followed to other files, or over the network.
    options = {"format_whitelist": ",".join(_DEMUXERS), "protocol_whitelist": "file"}
    return av().open(source, metadata_errors="ignore", options=options)
