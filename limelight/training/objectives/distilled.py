"""Learning from a teacher's maps."""

from collections.abc import Sequence
from pathlib import Path

from accelerate import Accelerator
from torch import Tensor

from limelight.config import Run
from limelight.config.objectives import DistilledSettings
from limelight.data.manifest import Sample
from limelight.data.samples import Batch
from limelight.models.base import Network
from limelight.models.card import Normalisation
from limelight.models.inputs import Input, union
from limelight.models.losses import deep_supervision, make_loss
from limelight.training.objectives.supervised import Supervised
from limelight.training.teacher import Teacher


class Distilled(Supervised):
    """Every output of the student against the teacher's finest map: KD-SCFNet, arXiv 2208.02178, section 3.4.

    The teacher sees the student's own augmented batch, or each picture once, before the training. With a `label_weight`
    of w the loss is (1 - w) * distillation + w * label loss of the labelled samples; the published form is w = 0. Of
    the label losses, 'balanced-bce' sums over pixels and so outweighs any w.

    Args:
        network: the student, trained in place.
        teacher: its probabilities are the targets.
    """

    settings: DistilledSettings

    def __init__(self, network: Network, settings: DistilledSettings, *, epochs: int, teacher: Teacher) -> None:
        super().__init__(network, settings, epochs=epochs)
        self.teacher = teacher

    @property
    def inputs(self) -> tuple[Input, ...]:
        return union(self.network.inputs, self.teacher.inputs)

    @property
    def unlabelled(self) -> bool:
        return True

    @property
    def maps(self) -> Path | None:
        return self.teacher.maps

    def prepare(
        self, samples: Sequence[Sample], run: Run, accelerator: Accelerator, normalisation: Normalisation
    ) -> None:
        self.teacher.prepare(samples, run, accelerator, normalisation)

    def memory_savers(self) -> list[str]:
        seen = [] if self.maps else ["a smaller objective.teacher_size"]
        return [*super().memory_savers(), *seen]

    def forward(self, batch: Batch, epoch: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The distillation loss, a mean over all samples, mixed with the label loss if `label_weight` is not 0.

        Parts: 'teacher' and 'labels', unweighted, where the two are mixed.
        """
        logits = self.network.logits(batch.inputs)
        loss = make_loss(self.settings.teacher_loss, epoch=epoch, epochs=self.epochs)
        taught = deep_supervision(loss, logits, self.teacher.targets(batch), self.settings.level_weights)
        weight = self.settings.label_weight
        if weight == 0:
            return taught, {}
        labels = self.label_loss(logits, batch, epoch)
        return (1 - weight) * taught + weight * labels, {"teacher": taught, "labels": labels}
