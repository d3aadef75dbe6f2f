"""Two quick metrics on the validation split, at the network's input size.

They monitor a training; the evaluate stage has the protocol's metrics at the masks' own sizes.
"""

from collections.abc import Callable, Iterable

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast
from torch import Tensor, nn

from limelight.data.samples import Batch
from limelight.evaluation.levels import LEVELS, at_thresholds, histogram, precision_recall_f


def share_buffers(network: nn.Module, accelerator: Accelerator) -> None:
    """Give every process the first one's batch-norm statistics, which get saved; otherwise each has its own."""
    for buffer in network.buffers() if accelerator.num_processes > 1 else ():
        buffer.copy_(broadcast(buffer))


def validate(
    predict: Callable[[Batch], Tensor], batches: Iterable[Batch], accelerator: Accelerator
) -> dict[str, float]:
    """Score predictions of this process's share of the samples, and of all shares together.

    Args:
        predict: probability_B1HW in [0, 1] of a batch.
        batches: labelled, without augmentation.

    Returns:
        val_mae: mean over images of mean |probability - mask|.
        val_max_f: the maximum over 256 thresholds of F (beta^2 = 0.3), averaged over images per threshold first
            (Achanta et al., CVPR 2009; averaged as PySODMetrics does), without its min-max normalisation.
    """
    sums = np.zeros(2 + LEVELS)
    with torch.inference_mode():
        for batch in batches:
            with accelerator.autocast():
                probability_B1HW = predict(batch).float()
            maps_BHW = (probability_B1HW[:, 0].cpu().numpy(), batch.mask_B1HW[:, 0].cpu().numpy())
            sums += sum(np.concatenate([[1.0], image_scores(*pair)]) for pair in zip(*maps_BHW, strict=True))
    total = accelerator.reduce(torch.from_numpy(sums).to(accelerator.device)).cpu().numpy()
    count, mae, curve = total[0], total[1], total[2:]
    return {"val_mae": float(mae / count), "val_max_f": float(curve.max() / count)}


def image_scores(probability_HW: np.ndarray, mask_HW: np.ndarray) -> np.ndarray:
    """MAE, then F at the thresholds 255/255, 254/255 to 0, of one image; both maps in [0, 1], the mask cut at 0.5."""
    salient = mask_HW > 0.5
    levels = (probability_HW * (LEVELS - 1)).astype(np.uint8)
    found, called = at_thresholds(histogram(levels, salient)), at_thresholds(histogram(levels))
    _, _, curve = precision_recall_f(found, called, int(salient.sum()))
    return np.concatenate([[np.abs(probability_HW - salient).mean()], curve])
