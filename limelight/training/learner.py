"""Base class of the objectives: what the training loop needs of each."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from torch import Tensor, nn

from limelight.config import Labels, Run
from limelight.data.manifest import Sample
from limelight.data.samples import Batch
from limelight.models.base import Network
from limelight.models.card import Card, Normalisation
from limelight.models.inputs import Input
from limelight.training.validation import share_buffers, validate


class Learner(nn.Module):
    """A network with a loss.

    It is a module so that data-parallel training sees the loss as its forward pass. Modules that are not trained, such
    as a teacher, may be attributes too: the loop moves them to the device, and neither averages nor saves them.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        """What is trained, averaged and saved."""

    # ------------------------------------------------------------------------------------------------------- the data
    @property
    def inputs(self) -> tuple[Input, ...]:
        """What the loader must put into a batch."""
        return self.network.inputs

    @property
    def modalities(self) -> tuple[str, ...]:
        """Modalities of the samples that it learns from."""
        return self.network.capabilities.modalities

    labels: Labels = "mask"
    """Kind of labels that it learns from."""

    @property
    def unlabelled(self) -> bool:
        """Whether samples without labels are used."""
        return False

    def check_samples(self, samples: Sequence[Sample]) -> None:
        """Refuse labelled samples that are incompatible with the settings, before the first step.

        Raises:
            UserError: they are.
        """

    @property
    def maps(self) -> Path | None:
        """Folder of a teacher's maps that the loader reads with the training samples."""
        return None

    def prepare(
        self, samples: Sequence[Sample], run: Run, accelerator: Accelerator, normalisation: Normalisation
    ) -> None:
        """Do what is done once, before the training; see `limelight.training.teacher.Teacher.prepare`."""

    # ------------------------------------------------------------------------------------------------------- learning
    def forward(self, batch: Batch, epoch: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the scalar to minimise, a mean over the batch, and its parts by name for the history.

        Args:
            epoch: from 0, for losses that change as training proceeds.
        """
        raise NotImplementedError

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """Every trained parameter exactly once, by role."""
        return self.network.parameter_groups()

    def memory_savers(self) -> list[str]:
        """List settings of this objective that reduce memory, besides those that every run has."""
        return self.network.memory_savers()

    # ------------------------------------------------------------------------------------------------------- measuring
    def predict(self, batch: Batch) -> Tensor:
        """probability_B1HW in [0, 1] at the batch's size, for validation."""
        return self.network.maps(batch.inputs)

    def validate(self, batches: Iterable[Batch], accelerator: Accelerator) -> dict[str, float]:
        """Compute metrics over the labelled batches of all processes together; names begin with 'val_'."""
        self.eval()
        share_buffers(self.network, accelerator)
        return validate(self.predict, batches, accelerator)

    def card_facts(self, samples: Sequence[Sample], init: Card | None) -> dict[str, Any]:
        """Return the card's fields on how the weights are to be used, for `Card.derived`.

        Args:
            samples: all training samples.
            init: card of the weights that the training started from.
        """
        return {}
