"""Benchmark of `limelight predict clip.mp4` against the network alone on the same frames.

    python -m benchmarks.video                        # drawn frames of 854 x 480, limelight-base in OpenVINO
    python -m benchmarks.video --frames clip/frames --model sdnet.duts --runtime onnx-fp32 --kind green

What the command does after loading is timed: decoding, preparing, the network, finishing, rendering, encoding and
writing, with all that it overlaps. The network alone has its inputs in memory, as many at a time. Both take turns, and
the medians of the rounds are compared, so that other load on the machine affects both alike. Where the network keeps
all cores busy, the ratio can be no better than that of processor time, which is also given.
"""

import argparse
import itertools
import json
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from benchmarks._command import new_parser, run_command
from benchmarks.folder import contiguous, take_turns
from limelight.deploy.export_cache import with_export
from limelight.foundation.errors import UserError
from limelight.foundation.files import write_json
from limelight.imaging.feeds import picture_feeds
from limelight.imaging.images import read_image
from limelight.inference.backends import open_backend
from limelight.inference.loading import load
from limelight.inference.plan import Request
from limelight.inference.saliency import SaliencyPredictor
from limelight.media.sources import find_sources
from limelight.media.video.formats import av
from limelight.media.video.reader import VideoReader
from limelight.models.inputs import clip_frames
from limelight.predict.styles import Style
from limelight.predict.video import VideoJob, frames_together, predict_to_file, video_suffix
from limelight.reporting.speed import hardware

RATE = Fraction(25)


def main() -> None:
    options = _parse()
    cv2.setNumThreads(1)  # as the command does
    predictor = load(with_export(options.model, options.runtime, lasting=True), _request(options))
    if not isinstance(predictor, SaliencyPredictor) or predictor.plan.fixed is None:
        raise UserError(f"{options.model} takes pictures of their own sizes; give a model that stretches them")
    if clip_frames(predictor.card.architecture.inputs) is not None:
        raise UserError(f"{options.model} is a network of clips; give one of pictures")
    with tempfile.TemporaryDirectory() as folder:
        clip = _write_clip(Path(folder, "clip.mp4"), _images(options))
        with VideoReader(clip) as reader:
            frames = [frame.image_HW3 for frame in reader]
        together = frames_together(frames[0].shape[:2])
        groups = [frames[first : first + together] for first in range(0, len(frames), together)]
        feeds = [
            picture_feeds(group, [None] * len(group), ["rgb"] * len(group), predictor.card, predictor.plan.fixed)
            for group in groups
        ]
        backend, job = open_backend(predictor.plan), VideoJob(predictor, Style(options.kind), quiet=True)
        cpu: dict[str, list[float]] = {"command": [], "network": []}

        def command() -> None:
            started = time.process_time()
            with VideoReader(clip) as reader:
                predict_to_file(job, reader, Path(folder, f"result{video_suffix(job.style, None)}"))
            cpu["command"].append(time.process_time() - started)

        def network() -> None:
            started = time.process_time()
            for each in feeds:
                backend.run(contiguous(each))
            cpu["network"].append(time.process_time() - started)

        seconds = take_turns({"command": command, "network": network}, options.rounds)
    report = {
        "machine": hardware(),
        "model": predictor.description,
        "kind": options.kind,
        "frames": len(frames),
        "size": list(frames[0].shape[:2]),
        "command_frames_per_second": len(frames) / seconds["command"],
        "network_frames_per_second": len(frames) / seconds["network"],
        "ratio": seconds["network"] / seconds["command"],
        "ratio_of_processor_time": float(np.median(cpu["network"][1:]) / np.median(cpu["command"][1:])),
    }
    print(json.dumps(report, indent=2))
    if options.json:
        write_json(options.json, report)


def _request(options: argparse.Namespace) -> Request:
    return Request(options.runtime, "cpu", options.threads)


def _images(options: argparse.Namespace) -> list[np.ndarray]:
    """As many frames of the height as requested: of the folder to and fro, or drawn."""
    if options.frames is None:
        return [_drawn(at, options.height) for at in range(options.count)]
    images = []
    for source in find_sources([options.frames]):
        image_HW3 = read_image(source.path)
        width = 2 * round(options.height * image_HW3.shape[1] / image_HW3.shape[0] / 2)
        images.append(cv2.resize(image_HW3, (width, options.height), interpolation=cv2.INTER_CUBIC))
    return list(itertools.islice(itertools.cycle([*images, *images[-2:0:-1]]), options.count))


def _drawn(at: int, height: int) -> np.ndarray:
    """A disc that moves to the right and back over noise that moves to the left."""
    width = 2 * round(height * 16 / 9 / 2)
    coarse_hw3 = np.random.default_rng(0).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    image_HW3 = np.roll(cv2.resize(coarse_hw3, (width, height), interpolation=cv2.INTER_CUBIC), -2 * at, axis=1)
    centre = (round(width * (0.5 - 0.3 * np.cos(at / 20))), height // 2)
    return cv2.circle(image_HW3, centre, height // 5, (220, 80, 40), -1, cv2.LINE_AA)


def _write_clip(path: Path, images: list[np.ndarray]) -> Path:
    """Write H.264 of usual quality."""
    with av().open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"crf": "23", "preset": "veryfast"})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for at, image_HW3 in enumerate(images):
            frame = av().VideoFrame.from_ndarray(image_HW3, format="rgb24")
            frame.pts, frame.time_base = at, 1 / RATE
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _parse() -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("--frames", type=Path, help="a folder of frames [drawn ones]")
    parser.add_argument(
        "--model", default="limelight-base", help="a weights folder or a name, of a network of pictures"
    )
    parser.add_argument("--runtime", default="openvino-fp32")
    parser.add_argument("--kind", default="map", help="as of limelight predict")
    parser.add_argument("--count", type=int, default=300, help="frames")
    parser.add_argument("--height", type=int, default=480, help="of a frame, pixels")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    run_command(main)
