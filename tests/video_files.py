"""Video files for tests, written by PyAV as other programs write them."""

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest


def library() -> Any:
    """PyAV; the test is skipped without it."""
    return pytest.importorskip("av", reason="the extra `video` is not installed")


def frame(at: int, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    """A disc that moves to the right on grey."""
    image_HW3 = np.full((*size, 3), 60, np.uint8)
    return cv2.circle(image_HW3, (8 + 3 * at % size[1], size[0] // 2), 10, (220, 80, 40), -1)


def write_video(
    path: Path,
    frames: int = 12,
    size: tuple[int, int] = (48, 64),
    *,
    sound: bool = False,
    times: Sequence[int] | None = None,
    codec: str = "libx264",
    aspect: Fraction | None = None,
    noise: bool = False,
    colour: tuple[int, int, int] | None = None,
    matrix: int | None = None,
) -> Path:
    """Write a video of 25 frames a second.

    Args:
        times: of the frames, in 1/25 s; None = one after another.
        noise: make every frame of noise, which takes long to decode.
        colour: of every pixel, in BT.709.
        matrix: what the file says of its colours, a number of ITU-T H.273; None = nothing.
    """
    av, draws = library(), np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p" if not size[0] % 2 and not size[1] % 2 else "yuv444p"
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        if matrix:
            stream.codec_context.colorspace = matrix
        voice = container.add_stream("aac", rate=44100) if sound else None
        if voice:
            voice.layout = "mono"
        for at in range(frames):
            image_HW3 = draws.integers(0, 256, (*size, 3), np.uint8) if noise else frame(at, size)
            picture = av.VideoFrame.from_ndarray(image_HW3, format="rgb24")
            if colour:
                picture = av.VideoFrame.from_ndarray(np.full((*size, 3), colour, np.uint8), format="rgb24")
                picture = picture.reformat(format=stream.pix_fmt, dst_colorspace=1)
            picture.pts = times[at] if times else at
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
        if voice:
            tone = 0.3 * np.sin(np.arange(44100 * frames // 25) * 440 * 2 * np.pi / 44100, dtype=np.float32)
            for start in range(0, len(tone), 1024):
                heard = av.AudioFrame.from_ndarray(tone[None, start : start + 1024], format="fltp", layout="mono")
                heard.sample_rate, heard.pts = 44100, start
                container.mux(voice.encode(heard))
            container.mux(voice.encode(None))
    return path


def turn_right(path: Path) -> None:
    """Say in an MP4's header that players are to turn its frames by 90 degrees, as telephones do."""
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 4 + 40
    content[matrix : matrix + 36] = struct.pack(">9i", 0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000)
    path.write_bytes(content)


def read_video(path: Path) -> tuple[list[np.ndarray], list[float], Any]:
    """Frames as RGB, or RGBA where there is alpha; their times in seconds; seconds of sound, or None."""
    av = library()
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        alpha = stream.pix_fmt.startswith("yuva")
        decoded = list(container.decode(stream))
        pictures = [each.to_ndarray(format="rgba" if alpha else "rgb24") for each in decoded]
        times = [float(each.pts * stream.time_base) for each in decoded]
    with av.open(str(path)) as container:
        sound = container.streams.audio
        seconds = sum(each.samples / each.sample_rate for each in container.decode(sound[0])) if sound else None
    return pictures, times, seconds
