"""From a trained network to the one that is shipped."""

import numpy as np
import torch

from limelight.config import Deploy
from limelight.data.manifest import read_manifest
from limelight.inference.preprocess import stretch, to_input
from limelight.media.images import read_image, read_mask
from models.base import Network
from models.card import Card
from models.errors import UserError
from models.sdnet.difference import run_branchwise


def read_samples(card: Card, settings: Deploy) -> tuple[np.ndarray, np.ndarray]:
    """Real images with masks, spread evenly over a split of the manifest, as the network takes them.

    Returns:
        images_N3HW float32 normalised and masks_NHW float32 in [0, 1], at the card's input size.

    Raises:
        UserError: the split has no image of the card's modality with a mask, or one cannot be read.
    """
    split = read_manifest(splits=[settings.split], modality=card.modality)
    masked = [sample for sample in split if sample.mask]
    if not masked:
        raise UserError(
            f"split {settings.split!r} of the manifest has no {card.modality} image with a mask; "
            "set deploy.split to one that has"
        )
    count = min(settings.samples, len(masked))
    chosen = [masked[index] for index in np.linspace(0, len(masked) - 1, count).round().astype(int)]
    images = to_input([read_image(sample.image) for sample in chosen], card, card.input_size)
    masks = np.stack([stretch(read_mask(sample.mask), card.input_size) for sample in chosen])
    return images, masks


def deployable(model: Network, images_N3HW: np.ndarray, settings: Deploy) -> tuple[Network, float]:
    """The network's inference form, proved on real images to compute what the network does.

    Returns:
        The merged network, or `model` itself where there is nothing to merge, and the largest difference of a logit.

    Raises:
        UserError: a logit differs by more than `settings.max_logit_difference`.
    """
    if not model.capabilities.reparameterizable:
        return model, 0.0
    merged = model.reparameterize()
    run_branchwise(model)  # compare with the separate branches, not with a sum of kernels formed on the fly
    difference = max(_difference(model, merged, image_3HW) for image_3HW in images_N3HW)
    run_branchwise(model, False)
    if not difference <= settings.max_logit_difference:
        raise UserError(
            f"the merged form differs by {difference:.2g} in a logit, more than deploy.max_logit_difference "
            f"{settings.max_logit_difference:g}; the weights are damaged or grew out of range"
        )
    return merged, difference


@torch.inference_mode()
def _difference(one: Network, other: Network, image_3HW: np.ndarray) -> float:
    image_13HW = torch.from_numpy(image_3HW[None])
    pairs = zip(one(image_13HW), other(image_13HW), strict=True)
    return max((left - right).abs().max().item() for left, right in pairs)
