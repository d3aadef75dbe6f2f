"""Benchmark of streams: time of a frame in each form of STDNet, and memory over many frames.

    python -m benchmarks.stream                                            # untrained networks, frames of noise
    python -m benchmarks.stream --frames clip/ --clips artifacts/stdnet-deploy --causal artifacts/causal-deploy
    python -m benchmarks.stream --runtime openvino-fp32
    python -m benchmarks.stream --memory 2000 --curve memory.png           # and how memory grows, or does not

The forms take turns, round by round, and the medians of the rounds are compared, so that other load on the machine
affects all alike: windows one after another (`clip`), a window for each frame by `Stream` (`sliding`), the same windows
computed anew (`recomputed`), and the causal network frame by frame (`causal`). A frame's time is from pixels to map.
"""

import argparse
import gc
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path

import cv2
import numpy as np
import psutil
import torch

from benchmarks._command import new_parser, run_command
from limelight.deploy.inference_form import export_weights
from limelight.foundation.files import atomic_path, write_json
from limelight.imaging.images import read_image
from limelight.inference.loading import load
from limelight.inference.saliency import SaliencyPredictor
from limelight.inference.stream import Stream
from limelight.media.sources import find_sources
from limelight.models.inputs import clip_frames
from limelight.models.registry import create_model
from limelight.models.weights import save_weights
from limelight.reporting.speed import hardware

SIZE = (480, 854)
"""Of the frames of noise."""
MEGABYTE = 1 << 20


def main() -> None:
    options = _parse()
    with tempfile.TemporaryDirectory() as scratch:
        clips = _predictor(options.clips, "stdnet", Path(scratch), options)
        causal = _predictor(options.causal, "stdnet-causal", Path(scratch), options)
        frames = _frames(options.frames, options.round)
        report: dict[str, object] = {
            "machine": hardware(),
            "networks": [clips.description, causal.description],
            "look_ahead": options.look_ahead,
            **timed(forms(clips, causal, options.look_ahead), frames, options.rounds),
        }
        if options.memory:
            streams = {"sliding": Stream(clips, look_ahead=options.look_ahead), "causal": Stream(causal)}
            curves = {name: memory(stream, frames, options.memory) for name, stream in streams.items()}
            report["memory"] = {name: figures(curve_FM) for name, curve_FM in curves.items()}
            if options.curve:
                plot(curves, options.curve)
    print(json.dumps(report, indent=2))
    if options.json:
        write_json(options.json, report)


Form = Callable[[Sequence[np.ndarray]], object]


def forms(clips: SaliencyPredictor, causal: SaliencyPredictor, look_ahead: int) -> dict[str, Form]:
    """Name -> what predicts all frames of a clip."""
    together = clip_frames(clips.card.architecture.inputs) or 1

    def recomputed(frames: Sequence[np.ndarray]) -> None:
        for last in range(1, len(frames) + 1):
            clips.predict_clip(frames[max(0, last - together) : last])

    return {
        "clip": lambda frames: _through(Stream(clips), frames),
        "sliding": lambda frames: _through(Stream(clips, look_ahead=look_ahead), frames),
        "recomputed": recomputed,
        "causal": lambda frames: _through(Stream(causal), frames),
    }


def timed(run: dict[str, Form], frames: Sequence[np.ndarray], rounds: int) -> dict[str, object]:
    """Milliseconds per frame, the medians of the rounds, and the two ratios; of the clock, and of the processor."""
    clocks = {"": time.perf_counter, "_of_processor_time": time.process_time}
    spent: dict[str, dict[str, list[float]]] = {clock: {name: [] for name in run} for clock in clocks}
    for form in run.values():
        form(frames[:2])
    for _ in range(rounds):
        for name, form in run.items():
            started = {clock: now() for clock, now in clocks.items()}
            form(frames)
            for clock, now in clocks.items():
                spent[clock][name].append(1000 * (now() - started[clock]) / len(frames))

    def ratio(clock: str, name: str, other: str) -> float:
        pairs = zip(spent[clock][name], spent[clock][other], strict=True)
        return round(statistics.median(one / two for one, two in pairs), 3)

    report: dict[str, object] = {}
    for clock, values in spent.items():
        medians = {name: round(statistics.median(each), 2) for name, each in values.items()}
        report[f"milliseconds_per_frame{clock}"] = medians
        report[f"sliding_to_recomputed{clock}"] = ratio(clock, "sliding", "recomputed")
        report[f"causal_to_clip{clock}"] = ratio(clock, "causal", "clip")
    return report


def memory(stream: Stream, frames: Sequence[np.ndarray], count: int) -> list[float]:
    """Resident megabytes of this process after each frame."""
    process, curve_F = psutil.Process(), []
    gc.collect()
    for image_HW3 in islice(cycle(frames), count):
        stream.push(image_HW3)
        curve_F.append(process.memory_info().rss / MEGABYTE)
    return curve_F


def figures(curve_F: Sequence[float]) -> dict[str, float]:
    """Megabytes after the first tenth and at the end, and their growth per thousand frames (least squares)."""
    settled = curve_F[len(curve_F) // 10 :]
    slope = float(np.polyfit(np.arange(len(settled)), settled, 1)[0])
    return {
        "frames": len(curve_F),
        "settled_mb": round(settled[0], 1),
        "last_mb": round(settled[-1], 1),
        "growth_mb_per_1000_frames": round(1000 * slope, 2),
    }


def plot(curves: dict[str, list[float]], path: Path) -> None:
    """Draw memory over frames, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.2), layout="constrained")
    axes = figure.subplots()
    for name, curve_F in curves.items():
        axes.plot(range(1, len(curve_F) + 1), curve_F, label=name)
    most = max(max(curve_F) for curve_F in curves.values())
    axes.set(xlabel="frame", ylabel="resident memory, MB", ylim=(0, 1.2 * most))
    axes.legend()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")


def _through(stream: Stream, frames: Sequence[np.ndarray]) -> None:
    for image_HW3 in frames:
        stream.push(image_HW3)
    stream.flush()


def _predictor(folder: Path | None, name: str, scratch: Path, options: argparse.Namespace) -> SaliencyPredictor:
    """Weights as given; else an untrained network, merged, with its export where the runtime needs one."""
    if folder is None:
        torch.manual_seed(0)
        save_weights(scratch / name, create_model(name).eval(), name=name, input_size=(options.size, options.size))
        folder = scratch / f"{name}-deploy"
        export_weights(scratch / name, folder, [] if options.runtime.startswith("torch") else [options.runtime])
    predictor = load(folder, runtime=options.runtime, device="cpu", threads=options.threads)
    assert isinstance(predictor, SaliencyPredictor)
    return predictor


def _frames(folder: Path | None, count: int) -> list[np.ndarray]:
    if folder is not None:
        return [read_image(source.path) for source in find_sources([folder])[:count]]
    return list(_moving_noise(count))


def _moving_noise(count: int) -> Iterator[np.ndarray]:
    height, width = SIZE
    noise_hw3 = np.random.default_rng(0).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    still_HW3 = cv2.resize(noise_hw3, (width, height), interpolation=cv2.INTER_CUBIC)
    return (np.roll(still_HW3, 2 * at, axis=1) for at in range(count))


def _parse() -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("--clips", type=Path, help="weights folder of a network of clips [an untrained stdnet]")
    parser.add_argument("--causal", type=Path, help="weights folder of a causal one [an untrained stdnet-causal]")
    parser.add_argument("--frames", type=Path, help="folder of a clip's frames [noise that moves]")
    parser.add_argument("--size", type=int, default=256, help="of the untrained networks' input, pixels")
    parser.add_argument("--look-ahead", type=int, default=3)
    parser.add_argument("--runtime", default="torch")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--round", type=int, default=32, help="frames of a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", type=int, default=0, help="measure memory over this many frames")
    parser.add_argument("--curve", type=Path, help="PNG file of memory over frames")
    return parser.parse_args()


if __name__ == "__main__":
    run_command(main)
