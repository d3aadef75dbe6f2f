"""Teachers, whose maps a student learns from."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn import functional as F

from limelight.config import Run
from limelight.data.manifest import Sample
from limelight.data.samples import Batch
from limelight.foundation.errors import UserError
from limelight.imaging.feeds import complete
from limelight.inference.backends.backend import Backend
from limelight.models.base import Network
from limelight.models.card import Card, Normalisation
from limelight.models.inputs import Input


class Teacher(nn.Module):
    """Base class: predicts the target maps of a batch. A module, so that the loop moves its tensors to the device.

    It is frozen: always in evaluation mode, and no gradient passes it.
    """

    inputs: tuple[Input, ...] = ()
    """What the loader must put into a batch for it."""

    maps: Path | None = None
    """Folder of maps that the loader is to read with the training samples."""

    def prepare(
        self, samples: Sequence[Sample], run: Run, accelerator: Accelerator, normalisation: Normalisation
    ) -> None:
        """Do what is done once, before the training.

        Args:
            samples: of the training.
            normalisation: the batches'.
        """

    def targets(self, batch: Batch) -> Tensor:
        """probability_B1HW in [0, 1] at the batch's size, float32."""
        raise NotImplementedError

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode."""
        return super().train(False)


class NetworkTeacher(Teacher):
    """A network used as its card says: in one step, sampled in several, or by the union of its prompts' maps.

    Args:
        network: frozen here.
        card: of its weights, for its normalisation and how it is to be used.
        normalisation: the batches' own.
        size: height and width of its inputs, pixels; None = the batch's, rounded to what the network takes, or the only
            size that it takes.
        classes: prompts, for a network that takes prompts; empty = all classes that it learnt.
        flip: the mean of its maps of the picture and of its mirror image.
        backend: computes the maps in the network's stead: an export of it, on the CPU and picture by picture.

    Raises:
        UserError: its maps are not saliency maps, the network does not take `size`, it takes no prompts and there are
            classes, or the other way round, or a class makes too long a prompt.
    """

    scale: Tensor
    shift: Tensor
    own_mean: Tensor
    own_std: Tensor
    prompt_KTC: Tensor | None

    def __init__(
        self,
        network: Network,
        card: Card,
        *,
        normalisation: Normalisation,
        size: int | None,
        classes: Sequence[str],
        flip: bool = False,
        backend: Backend | None = None,
    ) -> None:
        super().__init__()
        prompted = card.architecture.takes_prompts
        if not prompted and card.architecture.task != "saliency":
            raise UserError("it predicts no saliency maps, which distillation needs; choose another network")
        if classes and not prompted:
            raise UserError("it takes no prompts; leave teacher_classes out")
        classes = classes or card.use.classes
        if prompted and not classes:
            raise UserError("its card names no classes; name some as teacher_classes")
        if size is not None:
            network.check_sizes([size])
        self.network = network.requires_grad_(False).eval()
        self.inputs = tuple(each for each in network.inputs if each.source != "prompt")
        self.size = size
        only = network.capabilities.size
        self.side = max(only) if only else size
        """Of its inputs, pixels; None = the batch's."""
        self.flip = flip
        self.steps = card.use.denoise_steps
        # Batch norms of published weights may make predictions depend on the other pictures of a batch.
        self.single_rows = not card.use.independent or backend is not None
        self.backend, self.all_inputs = backend, card.architecture.inputs
        # The batch is normalised for the student; x * scale + shift is what the teacher was trained on.
        means, stds = torch.tensor([normalisation, card.prepare.normalisation]).unbind(1)
        self.register_buffer("scale", (stds[0] / stds[1]).view(3, 1, 1), persistent=False)
        self.register_buffer("shift", ((means[0] - means[1]) / stds[1]).view(3, 1, 1), persistent=False)
        self.register_buffer("own_mean", means[1].view(3, 1, 1), persistent=False)
        self.register_buffer("own_std", stds[1].view(3, 1, 1), persistent=False)
        self.divides, self.companions = card.prepare.divide_by == "maximum", card.prepare.companions
        self.stretches = card.finish.full_contrast and not prompted  # as in prediction, where classes compete
        prompt_KTC = None
        if prompted:
            with torch.no_grad():
                prompt_KTC = network.encode_prompts([card.use.template.replace("{}", each) for each in classes])
        self.register_buffer("prompt_KTC", prompt_KTC, persistent=False)

    def prepare(
        self, samples: Sequence[Sample], run: Run, accelerator: Accelerator, normalisation: Normalisation
    ) -> None:
        """Check that the batches' companions are those that it was trained on.

        Raises:
            UserError: it takes them as they are stored, and the batches have them spread over [0, 1].
        """
        takes = any(each.source == "companion" for each in self.inputs)
        if takes and self.companions == "stored" and any(sample.companion for sample in samples):
            raise UserError(
                "the teacher's card says that companions are taken as they are stored (prepare.companions), and those "
                "of a training are spread; set objective.teacher_maps: once, or leave out the companions"
            )

    @torch.no_grad()
    def targets(self, batch: Batch) -> Tensor:
        height, width = batch.image_B3HW.shape[-2:]
        given = self._teacher_inputs(batch.inputs, (height, width))
        step = 1 if self.single_rows else len(batch)
        maps_B1HW = self._answers(given, step)
        if self.flip:
            mirrored = {name: value.flip(-1) if value.ndim > 3 else value for name, value in given.items()}
            maps_B1HW = (maps_B1HW + self._answers(mirrored, step).flip(-1)) / 2
        return _resize(_stretched(maps_B1HW) if self.stretches else maps_B1HW, (height, width))

    def _answers(self, given: Mapping[str, Tensor], step: int) -> Tensor:
        """Predict probability_B1HW, `step` rows at a time."""
        rows = zip(*(value.split(step) for value in given.values()), strict=True)
        return torch.cat([self._answer(dict(zip(given, row, strict=True))) for row in rows])

    def _teacher_inputs(self, given: Mapping[str, Tensor | None], size: tuple[int, int]) -> dict[str, Tensor]:
        """Convert the batch's inputs to the form that the teacher was trained on."""
        divisor, only = self.network.capabilities.divisor, self.network.capabilities.size
        height, width = only or (self.size or divisor * max(1, round(side / divisor)) for side in size)
        inputs = {}
        for each in self.inputs:
            value = given.get(each.name)
            if value is None:
                continue
            if each.source in ("image", "clip"):
                value = value * self.scale + self.shift
                if self.divides:  # by the picture's own maximum
                    levels = value * self.own_std + self.own_mean
                    most = levels.amax((-3, -2, -1), keepdim=True).clamp(min=1 / 255)
                    value = (levels / most - self.own_mean) / self.own_std
            inputs[each.name] = value if each.source == "modality" else _resize(value, each.scaled((height, width)))
        return inputs

    def _answer(self, given: Mapping[str, Tensor]) -> Tensor:
        """Predict probability_B1HW with the teacher, used as it was trained."""
        if self.backend is not None:
            feeds = {name: value.cpu().numpy() for name, value in given.items()}
            maps = self.backend.run(complete(self.all_inputs, feeds)).probability_BKhw
            return torch.from_numpy(maps).to(given["image"].device)
        if self.prompt_KTC is not None:
            given = {**given, "prompt": self.prompt_KTC}
        if self.steps:
            probability_BKHW = self.network.draw(given, steps=self.steps)[0]
        else:
            probability_BKHW = self.network.maps(given)
        return probability_BKHW.amax(1, keepdim=True)


def _stretched(maps_B1HW: Tensor) -> Tensor:
    """Each map at full contrast; one of a single level as it is."""
    low, high = maps_B1HW.amin((2, 3), keepdim=True), maps_B1HW.amax((2, 3), keepdim=True)
    return torch.where(high > low, (maps_B1HW - low) / (high - low).clamp(min=1e-12), maps_B1HW)


def _resize(maps_BCHW: Tensor, size: tuple[int, int]) -> Tensor:
    if maps_BCHW.shape[-2:] == torch.Size(size):
        return maps_BCHW
    if maps_BCHW.ndim == 5:  # clips
        return _resize(maps_BCHW.flatten(0, 1), size).unflatten(0, maps_BCHW.shape[:2])
    return F.interpolate(maps_BCHW, size=size, mode="bilinear", align_corners=False)
