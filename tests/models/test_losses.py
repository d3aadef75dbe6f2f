"""Every loss against a plain NumPy restatement of its formula, and at the edges where such formulas break."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limelight.foundation.errors import UserError
from limelight.models.losses import LOSSES as REGISTERED
from limelight.models.losses import check_soft_loss, deep_supervision, make_loss
from limelight.models.losses.balanced_bce import balanced_bce
from limelight.models.losses.bce import bce
from limelight.models.losses.bce_iou import bce_iou, soft_iou
from limelight.models.losses.boundary_dice import boundary, boundary_dice, boundary_kernel
from limelight.models.losses.dice import dice
from limelight.models.losses.ssim import bce_ssim_iou, ssim_loss
from limelight.models.losses.structure import structure
from limelight.models.losses.weighted_bce_iou import weighted_bce_iou

LABEL_LOSSES = ("dice-boundary", "balanced-bce", "bce-iou", "weighted-bce-iou", "structure", "bce-ssim-iou")


def boundary_dice_5(logits: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None = None) -> torch.Tensor:
    return boundary_dice(logits, target, weight, kernel=5)


LOSSES = {
    "dice": dice,
    "boundary_dice": boundary_dice_5,
    "bce": bce,
    "soft_iou": soft_iou,
    "bce_iou": bce_iou,
    "balanced_bce": balanced_bce,
    "weighted_bce_iou": weighted_bce_iou,
    "structure": structure,
    "bce_ssim_iou": bce_ssim_iou,
}


def batch(seed: int, soft: bool = False, size: tuple[int, int] = (17, 23)) -> tuple[torch.Tensor, torch.Tensor]:
    """Three logit maps and three masks with a blob each; soft ones have values between."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[: size[0], : size[1]]
    radius = np.hypot(rows - generator.uniform(5, 12, (3, 1, 1, 1)), columns - generator.uniform(5, 16, (3, 1, 1, 1)))
    masks = np.clip((6 - radius) / 4, 0, 1) if soft else (radius < 5).astype(float)
    logits = generator.normal(0, 3, masks.shape)
    return torch.from_numpy(logits).float(), torch.from_numpy(masks).float()


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def maximum(z_HW: np.ndarray, k: int) -> np.ndarray:
    """Largest value in the k x k neighbourhood, by looking at each."""
    height, width, r = *z_HW.shape, k // 2
    return np.array(
        [
            [z_HW[max(0, y - r) : y + r + 1, max(0, x - r) : x + r + 1].max() for x in range(width)]
            for y in range(height)
        ]
    )


def expected(name: str, z_HW: np.ndarray, t_HW: np.ndarray) -> float:
    """One sample's loss in float64, written from the formulas."""
    p = sigmoid(z_HW)
    cross_entropy = -(t_HW * np.log(p) + (1 - t_HW) * np.log(1 - p))
    if name == "dice":
        return 1 - (2 * (p * t_HW).sum() + 1) / (p.sum() + t_HW.sum() + 1)
    if name == "boundary_dice":
        thick = [maximum(maximum(1 - z, 3) - (1 - z), 5) for z in (p, t_HW)]
        return 1 - (2 * (thick[0] * thick[1]).sum() + 1) / (thick[0].sum() + thick[1].sum() + 1)
    if name == "bce":
        return cross_entropy.mean()
    if name == "soft_iou":
        return 1 - ((p * t_HW).sum() + 1) / ((p + t_HW - p * t_HW).sum() + 1)
    if name == "bce_iou":
        return expected("bce", z_HW, t_HW) + expected("soft_iou", z_HW, t_HW)
    if name == "bce_ssim_iou":
        axis = np.exp(-((np.arange(11) - 5) ** 2) / 4.5)
        window = np.outer(axis, axis) / axis.sum() ** 2
        padded = [np.pad(z, 5) for z in (p, t_HW, p * p, t_HW * t_HW, p * t_HW)]
        rows, columns = t_HW.shape
        mp, mt, pp, tt, pt = (
            np.array([[(z[y : y + 11, x : x + 11] * window).sum() for x in range(columns)] for y in range(rows)])
            for z in padded
        )
        similarity = (2 * mp * mt + 1e-4) * (2 * (pt - mp * mt) + 9e-4)
        similarity /= (mp**2 + mt**2 + 1e-4) * (pp - mp**2 + tt - mt**2 + 9e-4)
        return expected("bce_iou", z_HW, t_HW) + 1 - similarity.mean()
    if name in ("weighted_bce_iou", "structure"):
        padded = np.pad(t_HW, 15)  # zeros beyond the border count
        mean = np.array(
            [[padded[y : y + 31, x : x + 31].mean() for x in range(t_HW.shape[1])] for y in range(len(t_HW))]
        )
        weight = 1 + 5 * abs(mean - t_HW)
        if name == "structure":
            overlap, union = (weight * p * t_HW).sum(), (weight * (p + t_HW - p * t_HW)).sum()
            return np.average(cross_entropy, weights=weight) + 1 - (overlap + 1) / (union + 1)
        return (weight * cross_entropy + 1 - (p * t_HW + 1) / (p + t_HW - p * t_HW + 1)).mean()
    positive, negative = (t_HW > 0.8).sum(), (t_HW < 0.01).sum()
    high, low = negative / (positive + negative), 1.1 * positive / (positive + negative)
    weight = np.full(t_HW.shape, (high + low) / 2)
    weight[t_HW > 0.8], weight[t_HW < 0.01] = high, low
    return (weight * cross_entropy).sum()


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_formula(name: str, soft: bool) -> None:
    logits, target = batch(3, soft)
    pairs = zip(logits[:, 0].double().numpy(), target[:, 0].double().numpy(), strict=True)
    per_sample = [expected(name, z_HW, t_HW) for z_HW, t_HW in pairs]
    assert LOSSES[name](logits, target).item() == pytest.approx(np.mean(per_sample), rel=1e-4)
    weighted = LOSSES[name](logits, target, torch.tensor([1.0, 0.0, 0.5]))
    assert weighted.item() == pytest.approx((per_sample[0] + 0.5 * per_sample[2]) / 1.5, rel=1e-4)


def test_similarity_is_computed_without_tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variance is a small difference, which TF32's 10 bits swamp."""
    cudnn, seen, convolve = torch.backends.cudnn, set(), torch.nn.functional.conv2d

    def seeing(*given: Any, **more: Any) -> torch.Tensor:
        seen.add((cudnn.allow_tf32, cudnn.enabled, cudnn.benchmark, cudnn.deterministic))
        return convolve(*given, **more)

    monkeypatch.setattr(torch.nn.functional, "conv2d", seeing)
    with cudnn.flags(enabled=True, benchmark=True, deterministic=True, allow_tf32=True):
        ssim_loss(*batch(3))
        assert seen == {(False, True, True, True)} and cudnn.allow_tf32


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("mask", [0.0, 1.0])
@pytest.mark.parametrize("confidence", [-60.0, 0.0, 60.0])
@pytest.mark.parametrize("name", LABEL_LOSSES)
def test_empty_and_full_masks_are_finite(name: str, confidence: float, mask: float, dtype: torch.dtype) -> None:
    logits = torch.full((2, 1, 32, 32), confidence, dtype=dtype, requires_grad=True)
    loss = make_loss(name, epoch=0, epochs=69)(logits, torch.full((2, 1, 32, 32), mask))
    loss.backward()
    assert loss.dtype == torch.float32 and torch.isfinite(loss) and loss >= 0
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("name", LOSSES)
def test_autocast_changes_nothing(name: str) -> None:
    logits, target = batch(4, size=(64, 64))
    with torch.autocast("cpu", torch.bfloat16):
        under_autocast = LOSSES[name](logits, target)
    assert torch.equal(under_autocast, LOSSES[name](logits, target))


@pytest.mark.parametrize("name", LOSSES)
def test_a_batch_without_labels_costs_nothing(name: str) -> None:
    logits, target = batch(5)
    logits.requires_grad_()
    loss = LOSSES[name](logits, target, torch.zeros(3, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0 and not logits.grad.any()


@pytest.mark.parametrize("name", LABEL_LOSSES)
def test_training_on_it_finds_the_mask(name: str) -> None:
    _, target = batch(6)
    logits = torch.zeros_like(target, requires_grad=True)
    optimiser = torch.optim.Adam([logits], lr=0.3)
    for epoch in range(69):
        optimiser.zero_grad()
        make_loss(name, epoch=epoch, epochs=69)(logits, target).backward()
        optimiser.step()
    assert torch.equal(logits > 0, target > 0.5)


@settings(max_examples=25)
@given(seed=st.integers(0, 1000), soft=st.booleans(), kernel=st.sampled_from([1, 3, 13]))
def test_overlap_losses_stay_in_range_and_vanish_at_the_truth(seed: int, soft: bool, kernel: int) -> None:
    logits, target = batch(seed, soft)
    for loss in (dice, soft_iou, lambda z, t: boundary_dice(z, t, kernel=kernel)):
        assert 0 <= loss(logits, target).item() <= 1
        assert loss((target - 0.5) * 80, (target > 0.5).float()).item() == pytest.approx(0, abs=1e-3) or soft


def test_boundaries() -> None:
    mask = torch.zeros(1, 1, 9, 9)
    mask[..., 2:7, 2:7] = 1
    ring = torch.zeros(1, 1, 9, 9)
    ring[..., 2:7, 2:7] = 1
    ring[..., 3:6, 3:6] = 0
    assert torch.equal(boundary(mask, 1), ring)
    thick = torch.zeros(1, 1, 9, 9)
    thick[..., 1:8, 1:8] = 1
    thick[..., 4, 4] = 0
    assert torch.equal(boundary(mask, 3), thick)


def test_the_published_schedule_of_boundaries() -> None:
    assert [boundary_kernel(epoch) for epoch in (0, 8, 9, 18, 19, 29, 39, 49, 58, 59, 68)] == [
        13, 13, 11, 11, 9, 7, 5, 3, 3, 1, 1,
    ]  # fmt: skip
    short = [boundary_kernel(epoch, epochs=7) for epoch in range(7)]
    assert short[0] == 13 and short[-1] == 1 and sorted(short, reverse=True) == short


def test_deep_supervision_weighs_the_levels() -> None:
    logits, target = batch(7)
    other, _ = batch(8)
    weight_B = torch.tensor([True, False, True])
    total = deep_supervision(dice, [logits, other], target, [1.0, 0.5], weight_B)
    assert total.item() == pytest.approx((dice(logits, target, weight_B) + dice(other, target, weight_B) / 2).item())
    assert deep_supervision(dice, [logits], target).item() == pytest.approx(dice(logits, target).item())
    with pytest.raises(UserError, match="level_weights has 3 numbers, the network 2 outputs"):
        deep_supervision(dice, [logits, other], target, [1, 1, 1])


def test_names() -> None:
    logits, target = batch(9)
    both = dice(logits, target) + boundary_dice(logits, target, kernel=11)
    assert make_loss("dice-boundary", epoch=9, epochs=69)(logits, target).item() == pytest.approx(both.item())
    soft = logits.flip(0).sigmoid()
    assert make_loss("dice", epoch=0, epochs=1)(logits, soft).item() == pytest.approx(dice(logits, soft).item())
    assert make_loss("bce", epoch=0, epochs=1)(logits, soft).item() == pytest.approx(bce(logits, soft).item())
    with pytest.raises(UserError, match="unknown loss 'mse'"):
        make_loss("mse", epoch=0, epochs=1)
    with pytest.raises(
        ValueError,
        match="unknown loss 'balanced-bce'; choose one of: bce-iou, bce, weighted-bce-iou, structure, bce-ssim-iou, d",
    ):
        check_soft_loss("balanced-bce")


@pytest.mark.parametrize("name", REGISTERED)
def test_every_registered_loss_is_there_and_says_what_it_is(name: str) -> None:
    logits, target = batch(2)
    assert make_loss(name, epoch=3, epochs=10)(logits, target, torch.ones(3)).ndim == 0
    assert REGISTERED[name].summary


def test_targets_may_differ_from_level_to_level() -> None:
    (logits, target), (small, half) = batch(7), batch(8, size=(8, 8))
    total = deep_supervision(dice, [logits, small], [target, half])
    assert total.item() == pytest.approx((dice(logits, target) + dice(small, half)).item())
    with pytest.raises(UserError, match="there are 1 targets for the network's 2 outputs"):
        deep_supervision(dice, [logits, small], [target])


# ---------------------------------------------------------------------------------------------------------- void pixels
@pytest.mark.parametrize("loss", [bce, soft_iou, bce_iou])
def test_only_valid_pixels_count(loss):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 1, 8, 8, generator=generator)
    target = (torch.rand(2, 1, 8, 8, generator=generator) > 0.5).float()
    valid = torch.zeros(2, 1, 8, 8, dtype=torch.bool)
    valid[..., :5] = True
    expected = loss(logits[..., :5], target[..., :5])
    torch.testing.assert_close(loss(logits, target, None, valid), expected)
    torch.testing.assert_close(loss(torch.where(valid, logits, 50.0), target, None, valid), expected)
    assert loss(logits, target, None, torch.zeros_like(valid)).isfinite()
    torch.testing.assert_close(loss(logits, target, None, torch.ones_like(valid)), loss(logits, target))
