"""Convert a trained network to its inference form for deployment."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from limelight.config import Deploy
from limelight.data.manifest import read_manifest
from limelight.deploy.export import COMMAND, PIPELINE, ErrorWording, export
from limelight.evaluation.sample_pictures import read_sample
from limelight.foundation.errors import UserError
from limelight.foundation.evenly import evenly_spaced
from limelight.foundation.files import atomic_path
from limelight.imaging.feeds import Feeds, picture_feeds, single_rows
from limelight.imaging.geometry import stretch
from limelight.imaging.images import read_image
from limelight.imaging.masks import read_mask
from limelight.media.sources import find_sources
from limelight.models.base import Network
from limelight.models.card import Card
from limelight.models.weights import check_replaceable, load_weights, write_weights


def read_samples(card: Card, settings: Deploy) -> tuple[Feeds, np.ndarray]:
    """Read pictures with masks, spread evenly over a split of the manifest, as network inputs.

    Returns:
        The network's inputs and masks_NHW float32 in [0, 1], at the card's input size.

    Raises:
        UserError: the split has no picture of the card's modalities with a mask, or one cannot be read.
    """
    split = [sample for sample in read_manifest() if sample.split == settings.split]
    takes = card.architecture.modalities
    masked = [
        (sample, sample.mask)
        for sample in split
        if sample.mask and sample.labels == "mask" and sample.modality in takes
    ]
    if not masked:
        raise UserError(
            f"split {settings.split!r} of the manifest has no {' or '.join(takes)} image with a mask; "
            "set deploy.split to one that has"
        )
    chosen = evenly_spaced(masked, settings.samples)
    photos, companions, modalities = zip(*(read_sample(sample, card) for sample, _ in chosen), strict=True)
    images = [photo.image_HW3 for photo in photos]
    masks = np.stack([stretch(read_mask(mask), card.prepare.size) for _, mask in chosen])
    return picture_feeds(images, companions, modalities, card, card.prepare.size), masks


def deployable(
    model: Network, feeds: Feeds, settings: Deploy, wording: ErrorWording = PIPELINE
) -> tuple[Network, float | None]:
    """Merge a network into its inference form, and verify on real pictures that both compute the same.

    Returns:
        The merged network and the largest difference of a logit; or `model` itself and None, if nothing is merged.

    Raises:
        UserError: a logit differs by more than `settings.max_logit_difference`.
    """
    if not model.capabilities.merge:
        return model, None
    merged = model.reparameterize()
    with model.unmerged():
        difference = max(_difference(model, merged, row) for row in single_rows(feeds))
    if not difference <= settings.max_logit_difference:
        raise UserError(
            f"the merged form differs by {difference:.2g} in a logit, more than {wording.limit} "
            f"{settings.max_logit_difference:g}; the weights are damaged or too large"
        )
    return merged, difference


def save_deployed(
    folder: Path | str, model: Network, card: Card, source: Path | str, sharpness: float | None = None
) -> Card:
    """Write what `deployable` made of the weights folder `source`, whose card this is.

    Args:
        sharpness: what `model.sharpen` was called with since; with other maps, they are weights of their own.
    """
    # A service shows it to its clients, who need not know where the folder lies on this machine.
    origin = f"{Path(source).resolve().name} (sha256 {card.provenance.sha256})"
    card = card.derived(made_from=card.provenance.lineage if sharpness is None else "")
    if sharpness is not None:
        origin += f", logits multiplied by {sharpness:g}"
        card = card.derived(metrics={})  # of the maps before
    if not model.capabilities.merge:
        return write_weights(folder, model, card.derived(source=f"as in {origin}"))
    made = {"form": "merged", "options": model.build_options, "source": f"merged from {origin}"}
    return write_weights(folder, model, card.derived(**made))


def export_weights(source: Path, target: Path, runtimes: Sequence[str], pictures: Path | None = None) -> None:
    """Write a weights folder's inference form and exports to another folder, without the pipeline's measurements.

    Args:
        pictures: folder of pictures to verify the merged form on and to calibrate 8-bit exports with; None = noise,
            which suffices for the verification.

    Raises:
        UserError: see `deployable` and `limelight.deploy.export.export`; or there are no pictures.
    """
    settings = Deploy()
    if target.resolve() == source.resolve():
        raise UserError(f"{target} holds the weights themselves; choose another place (--output)")
    check_replaceable(target)
    model, card = load_weights(source)
    sources = [] if pictures is None else find_sources([pictures])
    images = [read_image(each.path) for each in sources[:: -(-len(sources) // settings.samples) or 1]]
    noise_HW3 = np.random.default_rng(0).integers(0, 256, (*card.prepare.size, 3), np.uint8)
    model, _ = deployable(model, _without_companions(images or [noise_HW3], card), settings, COMMAND)
    with atomic_path(target) as folder:
        calibration = _without_companions(images, card) if images else {}
        export(model, save_deployed(folder, model, card, source), folder, runtimes, calibration, COMMAND)


def _without_companions(images: Sequence[np.ndarray], card: Card) -> Feeds:
    """Build the inputs of pictures without companions."""
    return picture_feeds(images, [None] * len(images), ["rgb"] * len(images), card, card.prepare.size)


@torch.inference_mode()
def _difference(one: Network, other: Network, feeds: Feeds) -> float:
    given = {name: torch.from_numpy(array) for name, array in feeds.items()}
    pairs = zip(one.logits(given), other.logits(given), strict=True)
    return max((left - right).abs().max().item() for left, right in pairs)
