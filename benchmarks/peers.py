"""Benchmark of this project against the program that published weights are used with: speed, and equality of the maps.

    python -m benchmarks.peers transparent-background --photos folder            # random weights of its own class
    python -m benchmarks.peers transparent-background --photos folder --weights ckpt_fast.pth --size 384
    python -m benchmarks.peers rembg --photos folder --weights isnet-general-use.onnx --size 1024

The peer is to be installed too: transparent-background 1.3.4, or rembg[cpu] 2.0.86. Every candidate turns the same
decoded photo into a map of 8 bits at the photo's size; the peer uses the weights as its command line does. The
candidates take turns, one photo each per round, so that other load on the machine affects all alike.
"""

import argparse
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks._command import new_parser, run_command
from limelight.deploy.inference_form import export_weights
from limelight.foundation.errors import UserError
from limelight.foundation.files import write_json
from limelight.foundation.progress import track
from limelight.imaging.extensions import EXTENSIONS
from limelight.imaging.images import read_image
from limelight.inference.loading import load
from limelight.inference.runtimes import RUNTIMES
from limelight.models.foreign.onnx_file import REMBG, import_onnx
from limelight.models.importers import import_published
from limelight.models.importers.files import Files
from limelight.reporting.speed import hardware

Remover = Callable[[np.ndarray], np.ndarray]
"""image_HW3 uint8 -> map_HW uint8."""


def main() -> None:
    options = _parse()
    paths = sorted(path for path in options.photos.iterdir() if path.suffix.lower() in EXTENSIONS)[: options.count]
    if not paths:
        raise UserError(f"no pictures in {options.photos}")
    photos = [read_image(path) for path in paths]
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer, folder = PEERS[options.peer](options, Path(scratch))
        candidates = {options.peer: peer} | dict(_ours(folder, options))
        rows = measure(candidates, options.peer, photos, options.rounds)
    report = {"machine": hardware(), "threads": options.threads, "size": options.size, "photos": len(photos), **rows}
    print_table(report, options.peer)
    if options.json:
        write_json(options.json, report)


def transparent_background(options: argparse.Namespace, scratch: Path) -> tuple[Remover, Path]:
    """Its eager pass, static sizes, and a weights folder of the same checkpoint."""
    from transparent_background import Remover as Theirs
    from transparent_background.InSPyReNet import InSPyReNet_SwinB

    size, checkpoint = options.size, options.weights
    if checkpoint is None:
        checkpoint = scratch / "random.pth"
        torch.manual_seed(0)
        network = InSPyReNet_SwinB(depth=64, pretrained=False, base_size=[size, size], threshold=None)
        torch.save(network.state_dict(), checkpoint)
    os.environ["TRANSPARENT_BACKGROUND_FILE_PATH"] = str(scratch)
    settings = scratch / ".transparent-background/config.yaml"
    settings.parent.mkdir()
    settings.write_text(f"own: {{url: '', md5: null, ckpt_name: '', http_proxy: null, base_size: [{size}, {size}]}}\n")
    theirs = Theirs(mode="own", device="cpu", ckpt=str(checkpoint))
    folder = scratch / "weights"
    import_published("inspyrenet-swinb", folder, Files(checkpoint), size=size, options={"base_size": size})
    return lambda image_HW3: np.asarray(theirs.process(Image.fromarray(image_HW3), type="map"))[..., 0], folder


def rembg(options: argparse.Namespace, scratch: Path) -> tuple[Remover, Path]:
    """Its session for custom IS-Nets, and a weights folder of the same file."""
    from rembg import new_session, remove

    if options.weights is None:
        raise UserError("--weights must name an .onnx file of an IS-Net")
    os.environ["OMP_NUM_THREADS"] = str(options.threads)  # which rembg reads
    os.environ["REMBG_HOME"] = str(scratch)  # outside of which it reads no file
    file = shutil.copy(options.weights, scratch)
    session = new_session("dis_custom", model_path=str(file))
    size, folder = (options.size, options.size), scratch / "weights"
    import_onnx(options.weights, folder, replace(REMBG, size=size, mean=(0.5, 0.5, 0.5), std=(1.0, 1.0, 1.0)))
    return lambda image_HW3: np.asarray(remove(image_HW3, session=session, only_mask=True)), folder


PEERS: dict[str, Callable[[argparse.Namespace, Path], tuple[Remover, Path]]] = {
    "transparent-background": transparent_background,
    "rembg": rembg,
}


def _ours(folder: Path, options: argparse.Namespace) -> Iterable[tuple[str, Remover]]:
    """The same weights in each runtime."""
    exported = [RUNTIMES[name].export_name for name in options.runtimes if RUNTIMES[name].exported]
    if exported:
        with_exports = folder.with_name("exported")
        export_weights(folder, with_exports, list(dict.fromkeys(exported)), options.photos)
        folder = with_exports
    for name in options.runtimes:
        predictor = load(folder, runtime=name, device="cpu", threads=options.threads)

        def remove(image_HW3: np.ndarray, predictor: Any = predictor) -> np.ndarray:
            return np.rint(255 * predictor.predict([image_HW3])[0].saliency_HW).astype(np.uint8)

        yield (name if predictor.plan.runtime.computed_in() in name or name == "torch" else f"{name} (in fp32)"), remove


def measure(candidates: dict[str, Remover], peer: str, photos: list[np.ndarray], rounds: int) -> dict[str, Any]:
    """Milliseconds of each candidate, and how far its maps are from the peer's, in grey levels."""
    maps = {
        name: [remove(photo) for photo in photos]
        for name, remove in track(candidates.items(), len(candidates), "comparing", "candidates")
    }
    milliseconds: dict[str, list[float]] = {name: [] for name in candidates}
    for turn in track(range(rounds), rounds, "timing", "rounds"):
        for name, remove in candidates.items():
            started = time.perf_counter()
            remove(photos[turn % len(photos)])
            milliseconds[name].append(1000 * (time.perf_counter() - started))
    rows = {}
    for name, times in milliseconds.items():
        differences = [np.abs(ours.astype(int) - theirs) for ours, theirs in zip(maps[name], maps[peer], strict=True)]
        rows[name] = {
            "median_ms": float(np.median(times)),
            "times_faster": float(np.median(milliseconds[peer]) / np.median(times)),
            "largest_difference_levels": int(max(each.max() for each in differences)),
            "mean_difference_levels": float(np.mean([each.mean() for each in differences])),
        }
    return {"candidates": rows}


def print_table(report: dict[str, Any], peer: str) -> None:
    print(f"{report['machine']}; {report['threads']} threads, {report['size']} pixels, {report['photos']} photos")
    print(f"{'':28} {'ms':>8} {'faster':>7}   difference from {peer}: largest, mean (grey levels)")
    for name, row in report["candidates"].items():
        print(
            f"{name:28} {row['median_ms']:8.0f} {row['times_faster']:6.2f}x   "
            f"{row['largest_difference_levels']}, {row['mean_difference_levels']:.4f}"
        )


def _parse() -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("--photos", type=Path, required=True, help="a folder of pictures")
    parser.add_argument("--weights", type=Path, help="the published file")
    parser.add_argument("--size", type=int, default=384, help="side of the network's input, pixels")
    parser.add_argument("--count", type=int, default=20, help="photos")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runtimes", nargs="+", choices=RUNTIMES, default=["torch", "openvino-fp32", "openvino-bf16"])
    return parser.parse_args()


if __name__ == "__main__":
    run_command(main)
