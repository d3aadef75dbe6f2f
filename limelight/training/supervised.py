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
        return self.label_loss(self.network.logits(batch.inputs), batch, epoch), {}

    def label_loss(self, logits: list[Tensor], batch: Batch, epoch: int) -> Tensor:
        """The run's loss between every level's logits_B1HW and the masks, a mean over the labelled samples."""
        loss = make_loss(self.run.loss, epoch=epoch, epochs=self.run.epochs)
        return deep_supervision(loss, logits, batch.mask_B1HW, self.run.level_weights, batch.labelled_B)

    def predict(self, batch: Batch) -> Tensor:
        """The network's maps."""
        return self.network.maps(batch.inputs)
