"""Learning to segment what text prompts name."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor
from torch.nn import functional as F

from limelight.config.objectives import PromptedSettings, PromptedVelocitySettings
from limelight.data.classes import VOID, Vocabulary, vocabulary
from limelight.data.manifest import Sample
from limelight.data.samples import Batch
from limelight.evaluation.confusion import Confusion, confusion_matrix, label_map, mean_iou
from limelight.foundation.errors import UserError
from limelight.models.base import Network
from limelight.models.card import Card
from limelight.models.class_names import folded
from limelight.models.losses.bce_iou import bce_iou
from limelight.training.learner import Learner

GROUND_WEIGHT = 0.1
"""Loss weight of pixels that belong to none of the prompts: most do, and only the others tell prompts apart."""
MASKS_WEIGHT = 0.2
"""Weight of the masks' own loss beside that of the choice."""
THRESHOLD = 0.5
"""Least probability of a pixel's most probable class; below it the pixel is background."""


class PromptTargets(NamedTuple):
    """The prompts drawn for a batch, K per image, and their targets."""

    prompt_BKTC: Tensor
    target_BKHW: Tensor
    """bool, at most one of K; nothing where an image has fewer than K prompts."""
    valid_BKHW: Tensor
    """bool, pixels that count in the loss: not void, and of prompts that were drawn."""


class Prompted(Learner):
    """Training with prompts: each image gets prompts for some classes that it shows and some that it does not, and each
    output is compared with the class's mask.

    The loss of the absent classes' prompts keeps a network from finding something for every prompt. Held-out classes
    are never drawn, and their pixels count as void.

    Args:
        network: trained in place.
    """

    def __init__(self, network: Network, settings: PromptedSettings | PromptedVelocitySettings, *, epochs: int) -> None:
        super().__init__(network)
        self.settings = settings
        self.held_out = set(map(folded, settings.held_out_classes))

    labels = "classes"

    def check_samples(self, samples: Sequence[Sample]) -> None:
        """Refuse held-out classes that no dataset knows, and classes that make too long a prompt.

        Raises:
            UserError: either.
        """
        datasets = {sample.dataset for sample in samples}
        known = {folded(label): label for dataset in datasets for label in vocabulary(dataset).names}
        if unknown := [label for label in self.settings.held_out_classes if folded(label) not in known]:
            raise UserError(
                f"held_out_classes {unknown} are not among the classes of its datasets: {sorted(known.values())}"
            )
        templates = self.settings.templates
        self.network.check_prompts(
            [template.replace("{}", label) for template in templates for label in known.values()]
        )

    def card_facts(self, samples: Sequence[Sample], init: Card | None) -> dict[str, Any]:
        """Return the classes that were trained, including those of the weights that training started from."""
        shown = {label for sample in samples for label in sample.classes if not self.is_held_out(label)}
        classes = sorted(shown.union(init.use.classes if init else ()))
        return {"classes": tuple(classes), "template": self.settings.templates[0]}

    def forward(self, batch: Batch, epoch: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Return binary cross-entropy and soft IoU of each image's prompts together, without void pixels, plus loss
        of each pixel's choice among them ('choice'). Further parts: the means of the former over single prompts, for
        classes that are shown ('found') and that are not ('vain').

        Together, since the IoU of an absent class's prompt alone is near 0 whether it finds one object or all of them,
        and so gives no gradient against a network that finds every object for every prompt.
        """
        prompt_BKTC, target_BKHW, valid_BKHW = self.draw_prompts(batch)
        (logits_BKHW,) = self.network.logits({**batch.inputs, "prompt": prompt_BKTC})
        logits_N1HW, target_N1HW, valid_N1HW = (
            part.flatten(0, 1)[:, None] for part in (logits_BKHW, target_BKHW, valid_BKHW)
        )
        drawn_N, shown_N = (part.flatten(0, 1).any(-1).any(-1) for part in (valid_BKHW, target_BKHW))
        with torch.no_grad():
            parts = {
                name: bce_iou(logits_N1HW, target_N1HW, chosen_N, valid_N1HW)
                for name, chosen_N in (("found", drawn_N & shown_N), ("vain", drawn_N & ~shown_N))
            }
        joined = [part.flatten(1, 2)[:, None] for part in (logits_BKHW, target_BKHW, valid_BKHW)]
        parts["choice"] = choice_loss(logits_BKHW, target_BKHW, valid_BKHW)
        return MASKS_WEIGHT * bce_iou(joined[0], joined[1], batch.labelled_B, joined[2]) + parts["choice"], parts

    def draw_prompts(self, batch: Batch) -> PromptTargets:
        """Draw prompts for each image, and encode them."""
        labels_BHW = self.without_held_out(batch)
        drawn_BK = torch.tensor(self.draw(batch, labels_BHW))
        prompts = [
            self.prompt(classes.names[label - 1]) if label else ""
            for classes, labels in zip(batch.classes, drawn_BK.tolist(), strict=True)
            for label in labels
        ]
        prompt_BKTC = self.network.encode_prompts(prompts).unflatten(0, drawn_BK.shape)
        drawn_BK11, labels_B1HW = drawn_BK.to(labels_BHW.device)[:, :, None, None], labels_BHW[:, None]
        open_BK11 = drawn_BK11 > 0
        return PromptTargets(prompt_BKTC, (labels_B1HW == drawn_BK11) & open_BK11, (labels_B1HW != VOID) & open_BK11)

    def predict(self, batch: Batch) -> Tensor:
        """Return the probability of each pixel's most probable class, of all in the first sample's vocabulary."""
        return self.probabilities(batch.inputs, batch.classes[0].names).amax(1, keepdim=True)

    def probabilities(self, given: Mapping[str, Tensor | None], names: Sequence[str]) -> Tensor:
        """Return probability_BCHW of the named classes for a batch's inputs."""
        return self.network.maps({**given, "prompt": self.tokens(names)})

    def tokens(self, names: Sequence[str]) -> Tensor:
        """Encode class names to prompt_KTC, in the template used for validation."""
        return self.network.encode_prompts([self.settings.templates[0].replace("{}", name) for name in names])

    def validate(self, batches: Iterable[Batch], accelerator: Accelerator) -> dict[str, float]:
        """val_miou, the mean IoU of the trained classes, and val_miou_unseen, that of the held-out ones, among all
        classes of a dataset at the network's input size; means over the datasets' vocabularies. A metric is
        absent if no sample shows its classes."""
        self.eval()
        confusions: dict[Vocabulary, Confusion] = {}
        with torch.inference_mode():
            for batch in batches:
                assert batch.labels_BHW is not None
                for classes in dict.fromkeys(batch.classes):
                    rows = [row for row, own in enumerate(batch.classes) if own == classes]
                    given = {name: None if value is None else value[rows] for name, value in batch.inputs.items()}
                    with accelerator.autocast():
                        probability_BCHW = self.probabilities(given, classes.names).float()
                    threshold = THRESHOLD if classes.background else 0.0
                    maps_BHW = np.stack([label_map(each, threshold) for each in probability_BCHW.cpu().numpy()])
                    truth_BHW = batch.labels_BHW[rows].cpu().numpy()
                    matrix = confusion_matrix(maps_BHW, truth_BHW, len(classes.names))
                    confusions[classes] = confusions.get(classes, 0) + matrix
        shared = gather_object([confusions])
        vocabularies = dict.fromkeys(classes for each in shared for classes in each)
        matrices = {classes: sum(each[classes] for each in shared if classes in each) for classes in vocabularies}
        scores = {
            "val_miou": _mean(matrices, lambda name: not self.is_held_out(name)),
            "val_miou_unseen": _mean(matrices, self.is_held_out),
        }
        return {name: score for name, score in scores.items() if score is not None}

    # ------------------------------------------------------------------------------------------------------- drawing
    def without_held_out(self, batch: Batch) -> Tensor:
        """labels_BHW with the held-out classes void."""
        assert batch.labels_BHW is not None
        labels_BHW = batch.labels_BHW.clone()
        for row, classes in enumerate(batch.classes):
            for label, name in enumerate(classes.names, 1):
                if self.is_held_out(name):
                    labels_BHW[row][labels_BHW[row] == label] = VOID
        return labels_BHW

    def is_held_out(self, name: str) -> bool:
        """Whether training must not name this class."""
        return folded(name) in self.held_out

    def draw(self, batch: Batch, labels_BHW: Tensor) -> list[list[int]]:
        """Draw the labels to prompt for, equally many per image, padded with 0 if its dataset has no more classes.

        At least one absent class is among them if there is one; absent classes that share a word with a shown one come
        first, since they are the hardest to tell from it. All is drawn from torch's generator.
        """
        most = max(len(classes.names) for classes in batch.classes)
        counts_BC = torch.zeros(len(batch), most + 2, dtype=torch.bool, device=labels_BHW.device)
        shown_BC = counts_BC.scatter_(1, labels_BHW.flatten(1) + 1, True)[:, 1:].cpu()  # one GPU sync
        drawn = []
        for classes, shown_C in zip(batch.classes, shown_BC.tolist(), strict=True):
            labels = [n for n, name in enumerate(classes.names, 1) if not self.is_held_out(name)]
            shown = _shuffled([label for label in labels if shown_C[label]])
            others = _shuffled([label for label in labels if not shown_C[label]])
            words = {word for label in shown for word in _words(classes.names[label - 1])}
            others.sort(key=lambda label: words.isdisjoint(_words(classes.names[label - 1])))
            chosen = shown[: self.settings.prompts - bool(others)]
            chosen += others[: self.settings.prompts - len(chosen)]
            drawn.append(chosen + [0] * (self.settings.prompts - len(chosen)))
        return drawn

    def prompt(self, name: str) -> str:
        """Put the class's name in one of the run's templates."""
        templates = self.settings.templates
        return templates[int(torch.randint(len(templates), ()))].replace("{}", name)


def choice_loss(logits_BKHW: Tensor, target_BKHW: Tensor, valid_BKHW: Tensor) -> Tensor:
    """Return the cross-entropy of each pixel's choice among its image's prompts and 'none of them', whose logit is 0
    and whose pixels weigh `GROUND_WEIGHT`.

    Args:
        logits_BKHW: of the prompts' masks.
        target_BKHW: bool, at most one of K.
        valid_BKHW: bool, what counts; a prompt that counts nowhere is no choice, a pixel without any is left out.

    Returns:
        Scalar >= 0; 0 where nothing counts.
    """
    open_BK11 = valid_BKHW.flatten(2).any(-1)[..., None, None]
    logits_BKHW = logits_BKHW.float().masked_fill(~open_BK11, -torch.inf)
    logits_BCHW = torch.cat([torch.zeros_like(logits_BKHW[:, :1]), logits_BKHW], 1)
    numbers_K11 = torch.arange(1, target_BKHW.shape[1] + 1, device=target_BKHW.device)[:, None, None]
    chosen_BHW = ((target_BKHW & open_BK11) * numbers_K11).sum(1)
    known_BHW = valid_BKHW.any(1)
    loss_BHW = F.cross_entropy(logits_BCHW, chosen_BHW.where(known_BHW, 0), reduction="none")
    weight_BHW = known_BHW * torch.where(chosen_BHW > 0, 1.0, GROUND_WEIGHT)
    return (loss_BHW * weight_BHW).sum() / weight_BHW.sum().clamp(min=GROUND_WEIGHT)


def _words(name: str) -> list[str]:
    """The words of a class's name, also of 'wall-brick' and 'tv/monitor'."""
    return re.findall(r"\w+", name.casefold())


def _shuffled(labels: Sequence[int]) -> list[int]:
    return [labels[place] for place in torch.randperm(len(labels)).tolist()]


def _mean(matrices: dict[Vocabulary, Confusion], is_counted: Callable[[str], bool]) -> float | None:
    """Average over vocabularies the mean IoU of the classes that `is_counted` selects; None if no sample has one."""
    values = [
        mean_iou(matrix, [label for label, name in enumerate(classes.names, 1) if is_counted(name)])
        for classes, matrix in matrices.items()
    ]
    defined = [value for value in values if not np.isnan(value)]
    return float(np.mean(defined)) if defined else None
