"""Import of ONNX files that other projects publish: one image in, a map among the outputs."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from limelight.foundation.errors import UserError
from limelight.foundation.files import check_sha256
from limelight.models.card import IMAGENET_MEAN, IMAGENET_STD, Card, Filter, Triple
from limelight.models.foreign.graph import count_parameters, read_self_contained
from limelight.models.foreign.network import FILE, OnnxNetwork
from limelight.models.foreign.session import compute, open_session
from limelight.models.inputs import Size
from limelight.models.weights import save_weights

_PROBABILITY_SLACK = 1e-3
"""How far beyond [0, 1] rounding may bring a sigmoid's results."""


@dataclass(frozen=True)
class Preparation:
    """How the authors feed their network and finish its map; nothing in the file says so."""

    size: Size | None = None
    """(height, width); None = the only one that the file takes."""
    mean: Triple = IMAGENET_MEAN
    std: Triple = IMAGENET_STD
    divide_by: Literal["range", "maximum"] = "range"
    filter: Filter = "bilinear"
    """Of pictures and maps."""
    logits: bool = False
    """The map comes before its sigmoid."""
    full_contrast: bool = False
    output: str | None = None
    """The output that holds the map, of several channels in the first; None = the first of a single channel."""


REMBG = Preparation(divide_by="maximum", filter="lanczos", full_contrast=True)
"""What all networks of rembg have in common (rembg 2.0.86, sessions/base.py)."""


def import_onnx(
    file: Path,
    folder: Path | str,
    preparation: Preparation,
    *,
    sha256: str | None = None,
    licence: str = "not stated by the authors",
    source: str = "",
    trained_on: tuple[str, ...] = (),
) -> Card:
    """Turn an ONNX file into a weights folder.

    Args:
        sha256: expected hash of the file.
        source: where it is from, for the card; '' = its name and hash.

    Returns:
        The card as written.

    Raises:
        UserError: the file is damaged, of a newer version than the installed ONNX Runtime, without its data files or of
            another hash; it has other inputs than one image, or no output that is a map, or only some of several
            channels and none is named; its size is not said, or is another; or its values are no probabilities although
            `preparation.logits` is false, or are although it is true. Nothing is written then.
    """
    digest = check_sha256(file, sha256)
    session = open_session(file)
    name, taken = _image_input(session, file)
    size = _size(taken, preparation.size, file)
    output = _map_output(session, preparation.output, file)
    model = read_self_contained(file)
    rank = _tried(session, name, output, size, preparation, file)
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / FILE).write_bytes(model.SerializeToString())
        network = OnnxNetwork(
            name,
            output,
            preparation.logits,
            size if None not in taken else None,
            count_parameters(model),
            rank,
            assets=Path(scratch),
        )
        return save_weights(
            folder,
            network,
            name="onnx",
            input_size=size,
            licence=licence,
            source=source or f"imported from {file.name}, sha256 {digest}",
            trained_on=trained_on,
            prepare={
                "mean": preparation.mean,
                "std": preparation.std,
                "divide_by": preparation.divide_by,
                "filter": preparation.filter,
            },
            finish={"filter": preparation.filter, "full_contrast": preparation.full_contrast},
        )


def _image_input(session: Any, file: Path) -> tuple[str, tuple[int | None, int | None]]:
    """The name of the image input, and the height and width that it takes; None = any."""
    inputs = session.get_inputs()
    described = ", ".join(f"{each.name} {each.type}{each.shape}" for each in inputs)
    if len(inputs) != 1:
        raise UserError(f"{file} has {len(inputs)} inputs ({described}); one picture is all that can be given to it")
    (image,) = inputs
    if len(image.shape) == 4 and image.shape[3] == 3 and image.shape[1] != 3:
        raise UserError(f"{file} takes {described}: pictures with their channels last (NHWC); export it for NCHW")
    if image.type != "tensor(float)" or len(image.shape) != 4 or image.shape[1] not in (3, None, *_names(image)):
        raise UserError(f"{file} takes {described}, not float pictures (batch, 3, height, width); convert it")
    if isinstance(image.shape[0], int) and image.shape[0] != 1:
        raise UserError(
            f"{file} takes batches of {image.shape[0]} pictures alone; export it for one, or for any number"
        )
    height, width = (side if isinstance(side, int) else None for side in image.shape[2:])
    return image.name, (height, width)


def _names(image: Any) -> list[str]:
    """Dimensions that are named, and so may have any value."""
    return [side for side in image.shape if isinstance(side, str)]


def _size(taken: tuple[int | None, int | None], wanted: Size | None, file: Path) -> Size:
    height, width = taken
    if height is not None and width is not None:
        if wanted not in (None, (height, width)):
            raise UserError(f"{file} takes pictures of {height}x{width} alone; leave --size out")
        return height, width
    if wanted is None:
        taking = f"{height or 'any'} x {width or 'any'} pixels" if height or width else "any size"
        raise UserError(f"{file} takes pictures of {taking}; say the size that it was trained at (--size)")
    return wanted


def _map_output(session: Any, wanted: str | None, file: Path) -> str:
    """The name of the output that holds the map."""
    outputs = {each.name: each for each in session.get_outputs() if "float" in each.type}
    described = ", ".join(f"{each.name} {each.type}{each.shape}" for each in session.get_outputs())
    fitting = [name for name, each in outputs.items() if len(each.shape or ()) in (3, 4)]
    if wanted is not None:
        # A file need not say the shape; running it does.
        if wanted not in fitting and (wanted not in outputs or outputs[wanted].shape):
            raise UserError(f"{file} has no map {wanted!r}; its outputs are {described}")
        return wanted
    if not fitting:
        raise UserError(
            f"{file} has no output (batch, channels, height, width) of floats; its outputs are {described}; if one "
            "without a shape is the map, name it (--map-output)"
        )
    # Features and maps of several classes have more channels; a channel that the file leaves open may be one.
    return next((name for name in fitting if _channels(outputs[name].shape) == 1), fitting[0])


def _channels(shape: list[Any]) -> Any:
    """Channels of an output (batch, channels, height, width) or (batch, height, width)."""
    return shape[1] if len(shape) == 4 else 1


def _tried(session: Any, name: str, output: str, size: Size, preparation: Preparation, file: Path) -> int:
    """Run the network on noise once: it must compute a map of the kind that `preparation` says.

    Returns:
        The output's number of dimensions.
    """
    noise_13HW = np.random.default_rng(0).standard_normal((1, 3, *size), dtype=np.float32)
    result = compute(session, output, {name: noise_13HW}, file)
    first = result[0, 0] if result.ndim == 4 else result[0] if result.ndim == 3 else np.zeros((0, 0))
    if min(first.shape) < 2 or not np.isfinite(first).all():
        raise UserError(f"{file} computes no map: output {output!r} is {result.shape} of a picture of {size}")
    if preparation.output is None and _channels([*result.shape]) > 1:
        raise UserError(
            f"{file} computes {result.shape[1]} channels in {output!r}, and which is the map is not said; if it is the "
            f"first, name the output: --map-output {output}"
        )
    low, high = float(first.min()), float(first.max())
    probable = low >= -_PROBABILITY_SLACK and high <= 1 + _PROBABILITY_SLACK
    if not preparation.logits and not probable:
        raise UserError(
            f"{file} gives values from {low:.3g} to {high:.3g}, which are no probabilities; if they are logits, say so "
            "(--logits)"
        )
    if preparation.logits and probable:
        raise UserError(
            f"{file} gives values from {low:.3g} to {high:.3g}, which are probabilities already, not logits; leave "
            "--logits out"
        )
    return result.ndim
