"""From a trained network to the one that is shipped."""

import numpy as np
import torch

from limelight.config import Deploy
from limelight.data.manifest import read_manifest
from limelight.inference.pictures import read_sample
from limelight.inference.preprocess import Inputs, stretch, to_inputs
from limelight.media.images import read_mask
from models.base import Network
from models.card import Card
from models.errors import UserError
from models.sdnet.difference import run_branchwise


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
    images, companions, modalities = zip(*(read_sample(sample, card) for sample in chosen), strict=True)
    masks = np.stack([stretch(read_mask(sample.mask), card.input_size) for sample in chosen])
    return to_inputs(images, companions, modalities, card, card.input_size), masks


def deployable(model: Network, inputs: Inputs, settings: Deploy) -> tuple[Network, float]:
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
            f"the merged form differs by {difference:.2g} in a logit, more than deploy.max_logit_difference "
            f"{settings.max_logit_difference:g}; the weights are damaged or grew out of range"
        )
    return merged, difference


@torch.inference_mode()
def _difference(one: Network, other: Network, inputs: Inputs) -> float:
    tensors = [torch.from_numpy(part) for part in inputs if part is not None]
    pairs = zip(one(*tensors), other(*tensors), strict=True)
    return max((left - right).abs().max().item() for left, right in pairs)
