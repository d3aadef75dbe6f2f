"""From a trained network to the one that is shipped."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from limelight.config import Deploy
from limelight.data.manifest import read_manifest
from limelight.deploy.export import COMMAND, PIPELINE, Caller, export
from limelight.foundation.errors import UserError
from limelight.foundation.files import atomic_path
from limelight.imaging.images import read_image
from limelight.imaging.masks import read_mask
from limelight.inference.pictures import read_sample
from limelight.inference.preprocess import Inputs, stretch, to_inputs
from limelight.media.sources import find_sources
from limelight.models.base import Network
from limelight.models.card import Card
from limelight.models.sdnet.difference import run_branchwise
from limelight.models.weights import load_weights, save_weights


def read_samples(card: Card, settings: Deploy) -> tuple[Inputs, np.ndarray]:
    """Real pictures with masks, spread evenly over a split of the manifest, as the network takes them.

    Returns:
        The network's inputs and masks_NHW float32 in [0, 1], at the card's input size.

    Raises:
        UserError: the split has no picture of the card's modalities with a mask, or one cannot be read.
    """
    split = read_manifest(splits=[settings.split])
    masked = [sample for sample in split if sample.mask and sample.modality in card.modalities]
    if not masked:
        raise UserError(
            f"split {settings.split!r} of the manifest has no {' or '.join(card.modalities)} image with a mask; "
            "set deploy.split to one that has"
        )
    count = min(settings.samples, len(masked))
    chosen = [masked[index] for index in np.linspace(0, len(masked) - 1, count).round().astype(int)]
    images, companions, modalities, *_ = zip(*(read_sample(sample, card) for sample in chosen), strict=True)
    masks = np.stack([stretch(read_mask(sample.mask), card.input_size) for sample in chosen])
    return to_inputs(images, companions, modalities, card, card.input_size), masks


def deployable(model: Network, inputs: Inputs, settings: Deploy, caller: Caller = PIPELINE) -> tuple[Network, float]:
    """The network's inference form, proved on real pictures to compute what the network does.

    Returns:
        The merged network, or `model` itself where there is nothing to merge, and the largest difference of a logit.

    Raises:
        UserError: a logit differs by more than `settings.max_logit_difference`.
    """
    if not model.capabilities.reparameterizable:
        return model, 0.0
    merged = model.reparameterize()
    run_branchwise(model)  # compare with the separate branches, not with a sum of kernels formed on the fly
    difference = max(_difference(model, merged, one) for one in inputs.singly())
    run_branchwise(model, False)
    if not difference <= settings.max_logit_difference:
        raise UserError(
            f"the merged form differs by {difference:.2g} in a logit, more than {caller.limit} "
            f"{settings.max_logit_difference:g}; the weights are damaged or grew out of range"
        )
    return merged, difference


def save_deployed(folder: Path | str, model: Network, card: Card, source: Path | str) -> Card:
    """Write what `deployable` made of the weights folder `source`, whose card this is."""
    return save_weights(
        folder,
        model,
        name=card.model,
        input_size=card.input_size,
        form="merged" if model.capabilities.reparameterizable else card.form,
        source=f"merged from {source} (sha256 {card.sha256})",
        **card.model_dump(include={"mean", "std", "licence", "trained_on", "metrics"}),
    )


def export_weights(source: Path, target: Path, runtimes: Sequence[str], pictures: Path | None = None) -> None:
    """Write a weights folder's inference form with its exports as another, without a pipeline: nothing is measured.

    Args:
        pictures: a folder of them, to prove the merged form on and to find the ranges of 8-bit exports with; None =
            noise, which does for the proof.

    Raises:
        UserError: see `deployable` and `limelight.deploy.export.export`; or there are no pictures.
    """
    settings = Deploy()
    model, card = load_weights(source)
    found = [] if pictures is None else find_sources([pictures])
    images = [read_image(each.path) for each in found[:: -(-len(found) // settings.samples) or 1]]
    noise_HW3 = np.random.default_rng(0).integers(0, 256, (*card.input_size, 3), np.uint8)
    model, _ = deployable(model, _alone(images or [noise_HW3], card), settings, COMMAND)
    with atomic_path(target) as folder:
        export(model, save_deployed(folder, model, card, source), folder, runtimes, _alone(images, card), COMMAND)


def _alone(images: Sequence[np.ndarray], card: Card) -> Inputs:
    """Of pictures without companions."""
    return to_inputs(images, [None] * len(images), ["rgb"] * len(images), card, card.input_size)


@torch.inference_mode()
def _difference(one: Network, other: Network, inputs: Inputs) -> float:
    tensors = [torch.from_numpy(part) for part in inputs if part is not None]
    pairs = zip(one(*tensors), other(*tensors), strict=True)
    return max((left - right).abs().max().item() for left, right in pairs)
