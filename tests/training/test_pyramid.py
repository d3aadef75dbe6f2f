"""InSPyReNet's objective, against its formulas."""

import torch
from torch.nn import functional as F

from limelight.config.objectives import PyramidSettings
from limelight.data.samples import Batch
from limelight.models.losses.weighted_bce_iou import weighted_bce_iou
from limelight.models.pyramid import ImagePyramid
from limelight.models.registry import create_model
from limelight.training.objectives import make_learner


def batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    mask_B1HW = (torch.rand(3, 1, 64, 64, generator=generator) > 0.7).float()
    return Batch(
        image_B3HW=torch.randn(3, 3, 64, 64, generator=generator),
        mask_B1HW=mask_B1HW,
        labelled_B=torch.tensor([True, True, False]),
        companion_B1HW=None,
        modality_B=torch.zeros(3, dtype=torch.int64),
        ids=["a", "b", "c"],
    )


def test_the_loss_is_the_published_sum() -> None:
    torch.manual_seed(0)
    network = create_model("inspyrenet", backbone="lcnet_050", channels=8, base_size=64).eval()
    learner = make_learner(PyramidSettings(name="pyramid", consistency=0.5), network, epochs=1)
    given = batch()
    loss, parts = learner(given, 0)
    coarse_to_fine = network.levels(given.image_B3HW).saliency
    pyramid, targets = ImagePyramid(), [given.mask_B1HW]
    for _ in range(3):
        targets.append(pyramid.reduce(targets[-1]))
    levels = list(reversed(coarse_to_fine))
    expected = sum(
        weighted_bce_iou(*(F.interpolate(each, (64, 64), mode="nearest") for each in (level, target)), given.labelled_B)
        for level, target in zip(levels, targets, strict=True)
    )
    consistency = sum((levels[place] - pyramid.reduce(levels[place - 1])).abs().mean() for place in range(1, 4))
    torch.testing.assert_close(parts["consistency"], consistency)
    torch.testing.assert_close(loss, expected + 0.5 * consistency)


def test_consistency_teaches_the_coarser_level_alone() -> None:
    network = create_model("inspyrenet", backbone="lcnet_050", channels=8, base_size=64)
    learner = make_learner(PyramidSettings(name="pyramid"), network, epochs=1)
    fine, coarse = torch.randn(1, 1, 8, 8, requires_grad=True), torch.randn(1, 1, 4, 4, requires_grad=True)
    learner.consistency([fine, F.interpolate(coarse, (8, 8), mode="nearest")]).backward()
    assert fine.grad is None and coarse.grad is not None
