"""Benchmark of two rewrites of SDNet for inference that were left out, each against the form that is shipped.

    python -m benchmarks.rewrites
    python -m benchmarks.rewrites --weights artifacts/sdnet --picture photo.jpg --pairs 100

* `identity`: the identity path of a context module as part of its first dilated convolution, as a 1 in the kernel's
  centre, where the shipped form adds the reduced features.
* `uint8`: pixels as the network's input and the normalisation in the graph, where the shipped form looks each pixel's
  value up in a table and gives the network floats.

Both are proved to compute the same map. They run in OpenVINO, from a picture of the network's size to its map, in pairs
with the shipped form that change places each time, so that other load on the machine affects both alike. Of the ratio
of a pair's processor times the (geometric) mean and its standard error are given: 1 within twice that is no gain that
can be told. Without weights the network has random ones, which are as quick.
"""

import argparse
import copy
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import openvino
import torch

from benchmarks._command import new_parser, run_command
from benchmarks._pairs import add_pairs, paired_ratio
from limelight.deploy.export import export
from limelight.foundation.errors import UserError
from limelight.foundation.files import write_json
from limelight.foundation.progress import track
from limelight.imaging.feeds import picture_feeds
from limelight.imaging.geometry import RESIZE
from limelight.imaging.images import read_image
from limelight.inference.backends import open_backend
from limelight.inference.backends.backend import Backend
from limelight.inference.plan import Request, plan
from limelight.inference.runtimes import RUNTIMES
from limelight.models.base import Network
from limelight.models.card import Card
from limelight.models.registry import create_model
from limelight.models.sdnet.network import SDNet
from limelight.models.weights import describe, load_weights
from limelight.reporting.speed import hardware

RUNTIME = RUNTIMES["openvino-fp32"]
WARM_UP = 5
MOST_DIFFERENCE = 1e-4
"""Of a probability, between forms that are equal up to rounding."""
Form = Callable[[], np.ndarray]


def main() -> None:
    options = _parse()
    cv2.setNumThreads(options.threads)
    torch.manual_seed(0)
    model, card = _network(options)
    image_HW3 = RESIZE[card.prepare.filter](_picture(options), card.prepare.size)
    with tempfile.TemporaryDirectory() as scratch:
        forms = make_forms(model, card, image_HW3, Path(scratch), options.threads)
        check_equal(forms)
        seconds = timed(forms, options.pairs)
    rewrites = {name: paired_ratio(*each) for name, each in seconds.items()}
    report: dict[str, Any] = {
        "machine": hardware(),
        "network": f"{card.architecture.model}, {card.prepare.size}, {RUNTIME.name}, {options.threads} threads",
        "pairs": options.pairs,
        "share_of_tabulated_normalisation": normalisation_share(card, image_HW3, seconds["uint8"][0], options.pairs),
        "rewritten_to_shipped": rewrites,
    }
    for name, figures in rewrites.items():
        print(f"{name} / shipped, processor time: {figures['ratio']:.4f} ± {figures['standard_error']:.4f}")
    print(json.dumps(report, indent=2))
    if options.json:
        write_json(options.json, report)


def make_forms(model: SDNet, card: Card, image_HW3: np.ndarray, scratch: Path, threads: int) -> dict[str, Form]:
    """The shipped form as 'shipped', and both rewrites, each from pixels to map.

    Args:
        model: the merged form.
        scratch: folder for their exports.
    """
    shipped = _exported(model, card, scratch / "shipped", threads)
    joined = _exported(with_joined_identities(model), card, scratch / "identity", threads)
    raw = _with_normalisation(card, scratch, threads)

    def by_floats(backend: Backend) -> Form:
        return lambda: backend.run(picture_feeds([image_HW3], [None], ["rgb"], card, card.prepare.size))[0]

    pixels_13HW = image_HW3.transpose(2, 0, 1)[None]
    return {
        "shipped": by_floats(shipped),
        "identity": by_floats(joined),
        "uint8": lambda: raw.run({"image": pixels_13HW})[0],
    }


def with_joined_identities(model: SDNet) -> SDNet:
    """A copy whose context modules have no identity path: their first convolution computes its part."""
    joined = copy.deepcopy(model)
    for context in joined.contexts:
        assert isinstance(context.dilated, torch.nn.ModuleList)
        first, second = context.dilated[0], context.dilated[1]
        if isinstance(first, torch.nn.Identity):
            assert isinstance(second, torch.nn.Conv2d)
            weight_OI33 = second.weight.data
            weight_OI33[:, :, 1, 1] += torch.eye(len(weight_OI33))
            context.dilated = context.dilated[1:]
    return joined


def _exported(model: Network, card: Card, folder: Path, threads: int) -> Backend:
    export(model, card, folder, [RUNTIME.name], {})
    return open_backend(plan(folder, card, Request(RUNTIME.name, "cpu", threads)))


def _with_normalisation(card: Card, scratch: Path, threads: int) -> Backend:
    """The shipped export with pixels as its input, uint8 (1, 3, H, W)."""
    steps = openvino.preprocess.PrePostProcessor(openvino.Core().read_model(RUNTIME.file(scratch / "shipped")))
    steps.input().tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NCHW"))
    steps.input().model().set_layout(openvino.Layout("NCHW"))
    mean, std = ([255 * value for value in values] for values in (card.prepare.mean, card.prepare.std))
    steps.input().preprocess().convert_element_type(openvino.Type.f32).mean(mean).scale(std)
    file = RUNTIME.file(scratch / "uint8")
    file.parent.mkdir(parents=True)
    openvino.save_model(steps.build(), file, compress_to_fp16=False)
    return open_backend(plan(scratch / "uint8", card, Request(RUNTIME.name, "cpu", threads)))


def check_equal(forms: dict[str, Form]) -> None:
    """Raise a UserError where a rewrite's map is another than the shipped form's."""
    expected = forms["shipped"]()
    for name, form in forms.items():
        difference = float(np.abs(form() - expected).max())
        if not difference <= MOST_DIFFERENCE:
            raise UserError(f"{name} differs by {difference:.2g} in a probability: it is not the same network")


def timed(forms: dict[str, Form], pairs: int) -> dict[str, tuple[list[float], list[float]]]:
    """Processor seconds of each rewrite's pairs: of the shipped form, of the rewrite."""
    for form in forms.values():
        for _ in range(WARM_UP):
            form()
    rewrites = [name for name in forms if name != "shipped"]
    seconds: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in rewrites}
    for pair in track(range(pairs), pairs, "timing", "pairs"):
        for name in rewrites:
            both = (("shipped", seconds[name][0]), (name, seconds[name][1]))
            for each, into in both if pair % 2 else both[::-1]:
                into.append(_seconds(forms[each]))
    return seconds


def normalisation_share(card: Card, image_HW3: np.ndarray, whole: Sequence[float], calls: int) -> float:
    """The share of looking pixels up, with all that makes them inputs, in the medians of the shipped form's time."""

    def prepare() -> None:
        picture_feeds([image_HW3], [None], ["rgb"], card, card.prepare.size)

    return round(float(np.median([_seconds(prepare) for _ in range(calls)]) / np.median(whole)), 4)


def _seconds(call: Callable[[], object]) -> float:
    started = time.process_time()
    call()
    return time.process_time() - started


def _network(options: argparse.Namespace) -> tuple[SDNet, Card]:
    if options.weights:
        model, card = load_weights(options.weights)
    else:
        model = create_model("sdnet").eval()
        card = describe(model, "sdnet", input_size=(options.size, options.size))
    if not isinstance(model, SDNet) or card.architecture.companions:
        raise UserError(f"{options.weights} holds {card.architecture.model}; give an SDNet of pictures alone")
    merged = model if card.architecture.form == "merged" else model.reparameterize()
    assert isinstance(merged, SDNet)
    return merged, card


def _picture(options: argparse.Namespace) -> np.ndarray:
    if options.picture:
        return read_image(options.picture)
    return np.random.default_rng(0).integers(0, 256, (options.size, options.size, 3), np.uint8)


def _parse() -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("--weights", type=Path, help="folder of an SDNet [random weights]")
    parser.add_argument("--picture", type=Path, help="a picture's file [noise]")
    parser.add_argument("--size", type=int, default=320, help="of the input without --weights, pixels")
    add_pairs(parser, 60, "of calls, of each rewrite")
    return parser.parse_args()


if __name__ == "__main__":
    run_command(main)
