"""Learning from masks."""

from torch import Tensor

from limelight.config import Run
from limelight.data.samples import Batch
from limelight.models.base import Network
from limelight.models.losses import deep_supervision, make_loss
from limelight.training.learner import Learner


class Supervised(Learner):
    """The run's label loss on every output of the network; samples without a mask count for nothing.

    Args:
        network: trained in place.
        run: its `loss`, `level_weights` and `epochs` are read.
    """

    network: Network

    def __init__(self, network: Network, run: Run) -> None:
        super().__init__()
        self.network = network
        self.run = run

    def loss(self, batch: Batch, epoch: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The label loss, a mean over the batch's labelled samples. No parts."""
        return self.label_loss(forward(self.network, batch), batch, epoch), {}

    def label_loss(self, logits: list[Tensor], batch: Batch, epoch: int) -> Tensor:
        """The run's loss between every level's logits_B1HW and the masks, a mean over the labelled samples."""
        loss = make_loss(self.run.loss, epoch=epoch, epochs=self.run.epochs)
        return deep_supervision(loss, logits, batch.mask_B1HW, self.run.level_weights, batch.labelled_B)

    def predict(self, batch: Batch) -> Tensor:
        """Sigmoid of the finest output, in float32: near 1, bfloat16 has steps of 1/256."""
        return forward(self.network, batch)[0].float().sigmoid()


def forward(network: Network, batch: Batch) -> list[Tensor]:
    """The network's logits for a batch, with the companions where it takes them."""
    return network(*inputs(network, batch))


def inputs(network: Network, batch: Batch) -> tuple[Tensor, ...]:
    """What a network takes of a batch: the images, with the companions where it takes them."""
    takes_companion = any(modality in ("rgbd", "rgbt") for modality in network.capabilities.modalities)
    if not takes_companion or batch.companion_B1HW is None:
        return (batch.image_B3HW,)
    return batch.image_B3HW, batch.companion_B1HW, batch.modality_B
