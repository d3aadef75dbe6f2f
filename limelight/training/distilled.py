"""Learning from a teacher's maps."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from limelight.config import Run
from limelight.data.samples import Batch
from limelight.models.base import Network
from limelight.models.card import IMAGENET_MEAN, IMAGENET_STD, Card, Triple
from limelight.models.losses import deep_supervision, distil_loss
from limelight.training.supervised import Supervised


class Distilled(Supervised):
    """Every output of the student against the teacher's finest map: KD-SCFNet, arXiv 2208.02178, section 3.4.

    The teacher is frozen and in evaluation mode, may be of any family, and sees the student's own augmented batch. With
    `run.label_weight` w the loss is (1 - w) * distillation + w * label loss of the labelled samples; the published form
    is w = 0. Of the label losses, 'balanced-bce' sums over pixels and so outweighs any w.

    A teacher of words is asked for each of `run.teacher_classes`, and what it finds of any of them is the target.

    Args:
        network: the student, trained in place.
        teacher: its probability is the target. `run.teacher_size` resizes the batch for it.
        card: the teacher's, for its normalisation and how it is to be used.
        mean, std: the batches' own normalisation.

    Raises:
        UserError: a class that makes too long a prompt.
    """

    def __init__(
        self,
        network: Network,
        run: Run,
        teacher: Network,
        card: Card,
        *,
        mean: Triple = IMAGENET_MEAN,
        std: Triple = IMAGENET_STD,
    ) -> None:
        super().__init__(network, run)
        self.teacher = teacher.requires_grad_(False).eval()
        self.teacher_steps = card.use.denoise_steps
        # Batch norms of published weights may mix the pictures of a batch.
        self.one_by_one = not card.use.independent
        # The batch is normalised for the student; x * scale + shift is what the teacher was trained on.
        means, stds = torch.tensor([mean, card.prepare.mean]), torch.tensor([std, card.prepare.std])
        self.register_buffer("scale", (stds[0] / stds[1]).view(3, 1, 1), persistent=False)
        self.register_buffer("shift", ((means[0] - means[1]) / stds[1]).view(3, 1, 1), persistent=False)

        self.register_buffer("prompt_KTC", self._prompts(card), persistent=False)

    @torch.no_grad()
    def _prompts(self, card: Card) -> Tensor | None:
        """What a teacher of words is asked for."""
        if not any(each.source == "prompt" for each in self.teacher.inputs):
            return None
        classes = self.run.teacher_classes or card.use.classes
        return self.teacher.encode_prompts([card.use.template.replace("{}", each) for each in classes])

    def memory_savers(self) -> list[str]:
        return [*super().memory_savers(), "a smaller teacher_size"]

    def train(self, mode: bool = True) -> "Distilled":
        super().train(mode)
        self.teacher.eval()
        return self

    def loss(self, batch: Batch, epoch: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The distillation loss, a mean over all samples, mixed with the label loss if the run asks for that.

        Parts: 'distil' and 'labels', unweighted, where the two are mixed.
        """
        logits = self.network.logits(batch.inputs)
        distil = deep_supervision(distil_loss(self.run.distil), logits, self.targets(batch), self.run.level_weights)
        weight = self.run.label_weight
        if weight == 0:
            return distil, {}
        labels = self.label_loss(logits, batch, epoch)
        return (1 - weight) * distil + weight * labels, {"distil": distil, "labels": labels}

    @torch.no_grad()
    def targets(self, batch: Batch) -> Tensor:
        """The teacher's probability_B1HW in [0, 1] at the batch's size."""
        size = batch.image_B3HW.shape[-2:]
        divisor = self.teacher.capabilities.divisor
        own = [self.run.teacher_size or divisor * max(1, round(side / divisor)) for side in size]
        given = {}
        for each in self.teacher.inputs:
            value = batch.inputs.get(each.name)
            if value is not None and each.source in ("image", "companion"):
                value = value * self.scale + self.shift if each.source == "image" else value
                value = _resize(value, each.scaled((own[0], own[1])))
            given[each.name] = value
        present = {name: value for name, value in given.items() if value is not None}
        step = 1 if self.one_by_one else len(batch)
        rows = zip(*(value.split(step) for value in present.values()), strict=True)
        return _resize(torch.cat([self._answer(dict(zip(present, row, strict=True))) for row in rows]), size)

    def _answer(self, given: Mapping[str, Tensor]) -> Tensor:
        """The teacher's probability_B1HW, used as it was trained to be."""
        if self.prompt_KTC is not None:
            given = {**given, "prompt": self.prompt_KTC}
        if self.teacher_steps:
            probability_BKHW = self.teacher.draw(given, steps=self.teacher_steps)[0]
        else:
            probability_BKHW = self.teacher.maps(given)
        return probability_BKHW.amax(1, keepdim=True)


def _resize(maps_BCHW: Tensor, size: Sequence[int]) -> Tensor:
    if maps_BCHW.shape[-2:] == torch.Size(size):
        return maps_BCHW
    return F.interpolate(maps_BCHW, size=tuple(size), mode="bilinear", align_corners=False)
