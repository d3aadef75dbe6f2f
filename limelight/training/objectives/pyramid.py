"""Learning the levels of an image pyramid from masks: InSPyReNet's training."""

from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as F

from limelight.config.objectives import PyramidSettings
from limelight.data.samples import Batch
from limelight.models.base import Network
from limelight.models.losses import deep_supervision, make_loss
from limelight.models.pyramid import ImagePyramid
from limelight.training.learner import Learner


class Pyramid(Learner):
    """Each of a network's outputs learns its level of the mask's pyramid, and to be its finer neighbour's.

    The outputs' sizes are the picture's, halved from one to the next, and enlarged to it without interpolation.
    """

    def __init__(self, network: Network, settings: PyramidSettings, *, epochs: int) -> None:
        super().__init__(network)
        self.settings, self.epochs = settings, epochs
        self.pyramid = ImagePyramid()

    def forward(self, batch: Batch, epoch: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the label loss of all levels, with the weighted consistency between neighbours, and the latter."""
        logits = self.network.logits(batch.inputs)
        loss = make_loss(self.settings.loss, epoch=epoch, epochs=self.epochs)
        label = deep_supervision(loss, logits, self.targets(batch.mask_B1HW, len(logits)), (), batch.labelled_B)
        consistency = self.consistency(logits)
        return label + self.settings.consistency * consistency, {"consistency": consistency}

    def targets(self, mask_B1HW: Tensor, levels: int) -> list[Tensor]:
        """The mask and its reductions, each enlarged to the mask's size."""
        reduced = [mask_B1HW]
        while len(reduced) < levels:
            reduced.append(self.pyramid.reduce(reduced[-1]))
        return [F.interpolate(level, mask_B1HW.shape[-2:], mode="nearest") for level in reduced]

    def consistency(self, logits: list[Tensor]) -> Tensor:
        """The sum over the levels of |coarse - reduced fine|, a mean over pixels; it teaches the coarse one alone."""
        stored = [level[:, :, :: 2**place, :: 2**place] for place, level in enumerate(logits)]
        distances = [(coarse - self.pyramid.reduce(fine).detach()).abs().mean() for fine, coarse in pairwise(stored)]
        return torch.stack(distances).sum()
