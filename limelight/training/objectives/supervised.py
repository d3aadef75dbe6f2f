"""Learning from masks."""

from torch import Tensor

from limelight.config.objectives import DistilledSettings, SupervisedSettings
from limelight.data.samples import Batch
from limelight.models.base import Network
from limelight.models.losses import deep_supervision, make_loss
from limelight.training.learner import Learner


class Supervised(Learner):
    """The label loss on every output of the network; samples without a mask are ignored.

    Args:
        network: trained in place.
        epochs: length of the whole training, over which some losses change.
    """

    def __init__(self, network: Network, settings: SupervisedSettings | DistilledSettings, *, epochs: int) -> None:
        super().__init__(network)
        self.settings = settings
        self.epochs = epochs

    def forward(self, batch: Batch, epoch: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The label loss, a mean over the batch's labelled samples. No parts."""
        return self.label_loss(self.network.logits(batch.inputs), batch, epoch), {}

    def label_loss(self, logits: list[Tensor], batch: Batch, epoch: int) -> Tensor:
        """The loss between every level's logits_B1HW and the masks, a mean over the labelled samples."""
        loss = make_loss(self.settings.loss, epoch=epoch, epochs=self.epochs)
        return deep_supervision(loss, logits, batch.mask_B1HW, self.settings.level_weights, batch.labelled_B)
