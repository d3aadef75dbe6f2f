"""What a way of training must add so that the one loop can run it."""

from collections.abc import Iterable

from accelerate import Accelerator
from torch import Tensor, nn

from limelight.data.samples import Batch
from limelight.training.validation import validate


class Learner(nn.Module):
    """A network with a loss.

    It is a module so that data-parallel training sees the loss as its forward pass. Modules that are not trained (a
    teacher, an autoencoder) may be attributes too: the loop moves them to the device, and neither averages nor saves
    them.
    """

    denoise_steps: int | None = None
    """That the weights are to be used with; None = one, without noise."""
    network: nn.Module
    """What is trained, averaged and saved: one `Network`, or an `nn.ModuleDict` of several modules."""

    def loss(self, batch: Batch, epoch: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The scalar to minimise, a mean over the batch, and its parts by name for the records.

        Args:
            epoch: from 0, for losses that change as training proceeds.
        """
        raise NotImplementedError

    def predict(self, batch: Batch) -> Tensor:
        """probability_B1HW in [0, 1] at the batch's size, for validation."""
        raise NotImplementedError

    def validate(self, batches: Iterable[Batch], accelerator: Accelerator) -> dict[str, float]:
        """Figures of all processes' labelled batches together, their names beginning with 'val_'."""
        return validate(self, batches, accelerator)

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """Every trained parameter exactly once, by role."""
        return self.network.parameter_groups()

    def memory_savers(self) -> list[str]:
        """Settings of a run that would take less memory, besides those that any run has."""
        return self.network.memory_savers()

    def forward(self, batch: Batch, epoch: int) -> tuple[Tensor, dict[str, Tensor]]:
        return self.loss(batch, epoch)
