"""diffSOD as a network: what reaches what, and what depends on what."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limelight.foundation.errors import UserError
from limelight.models.diffusion.diffsod.network import DiffSOD
from limelight.models.registry import create_model
from limelight.models.weights import load_weights, save_weights
from tests.tolerance import assert_agree

RGB, RGBD, RGBT = 0, 1, 2


@pytest.fixture(scope="module")
def model() -> DiffSOD:
    """Tiny, in evaluation mode, as if trained: modalities differ, and companions count. Not to be changed."""
    torch.manual_seed(0)
    model = create_model("diffsod-tiny").train()
    nn.init.normal_(model.condition.modality.weight)
    nn.init.constant_(model.condition.branch.fusion.scale_attention, 0.5)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        model(*pictures(8, seed=9), torch.full((8,), RGBD))
    return model.eval()


@pytest.fixture(scope="module")
def legacy() -> DiffSOD:
    torch.manual_seed(0)
    return create_model("diffsod-tiny", legacy=True).eval()


def pictures(batch: int, seed: int = 0, height: int = 64, width: int = 64) -> tuple[Tensor, Tensor]:
    """Images in [-1, 1] and companions in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    image_B3HW = torch.rand(batch, 3, height, width, generator=generator) * 2 - 1
    return image_B3HW, torch.rand(batch, 1, height, width, generator=generator)


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: value for name, value in model.named_parameters() if value.requires_grad}


def close(actual: Tensor, expected: Tensor, steps: int = 1) -> None:
    assert_agree(actual, expected, "diffsod-tiny", steps=steps)


# ---------------------------------------------------------------------------------------------------- the one-step form
@pytest.mark.parametrize(("height", "width"), [(64, 64), (32, 96)])
def test_maps_come_at_the_image_s_size(model: DiffSOD, height: int, width: int) -> None:
    image, companion = pictures(2, height=height, width=width)
    with torch.inference_mode():
        (logits,) = model(image, companion, torch.tensor([RGB, RGBT]))
        assert model.condition(image).shape == (2, height * width // 64, 32)
    assert logits.shape == (2, 1, height, width)
    assert logits.isfinite().all() and logits.std() > 0


@pytest.mark.slow
def test_the_full_network_s_graph_is_sound() -> None:
    with torch.device("meta"):
        full = create_model("diffsod").eval()
        (logits,) = full(torch.empty(1, 3, 384, 384))
    assert logits.shape == (1, 1, 384, 384)
    # UNet, branch, stand-in and three modalities, hints.
    ours = 4 * 1024 + 8 * (1024 + 1)
    assert sum(value.numel() for value in trainable(full).values()) == 865_922_244 + 349_858_264 + ours


def test_one_step_is_the_start_that_the_last_timestep_s_velocity_predicts(model: DiffSOD) -> None:
    image, companion = pictures(2)
    modality, timestep = torch.tensor([RGBD, RGBT]), torch.tensor([999, 999])
    with torch.inference_mode():
        latent, tokens = model.encode_image(image), model.condition(image, companion, modality)
        zero = torch.zeros_like(latent)
        velocity = model.predict_velocity(latent, zero, tokens, timestep)
        # x_0 = sqrt(abar) x_t - sqrt(1 - abar) v, the rotation that gives the velocity of x_0 and noise, back.
        start = model.scheduler.get_velocity(velocity, zero, timestep)
        close(model(image, companion, modality)[0], 6 * model.decode_mask(start))


def test_the_image_s_latent_comes_before_the_mask_s(model: DiffSOD) -> None:
    seen = []
    with torch.inference_mode():
        handle = model.unet.conv_in.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
        image = pictures(1)[0]
        model(image)
        handle.remove()
        first, second = seen[0].chunk(2, dim=1)
        close(first, model.encode_image(image))
    assert not second.any()


# ----------------------------------------------------------------------------------------------------------- companions
def test_an_rgb_image_s_map_does_not_depend_on_its_companion(model: DiffSOD) -> None:
    image, companion = pictures(2)
    rgb = torch.tensor([RGB, RGB])
    with torch.inference_mode():
        alone = model(image)[0]
        close(model(image, companion, rgb)[0], alone)
        close(model(image, torch.full_like(companion, torch.nan), rgb)[0], alone)


def test_companion_and_modality_matter_to_the_others(model: DiffSOD) -> None:
    image, companion = pictures(1)
    with torch.inference_mode():
        maps = [
            model(image)[0],
            model(image, companion, torch.tensor([RGBD]))[0],
            model(image, 1 - companion, torch.tensor([RGBD]))[0],
            model(image, companion, torch.tensor([RGBT]))[0],
        ]
    assert all((first - second).abs().max() > 1e-4 for i, first in enumerate(maps) for second in maps[:i])


def test_a_mixed_batch_equals_its_pictures_one_by_one(model: DiffSOD) -> None:
    image, companion = pictures(3)
    modality = torch.tensor([RGBT, RGB, RGBD])
    with torch.inference_mode():
        together = model(image, companion, modality)[0]
        for row in range(3):
            one = slice(row, row + 1)
            close(together[one], model(image[one], companion[one], modality[one])[0])


@pytest.mark.parametrize("method", ["forward", "denoise"])
def test_a_companion_of_unknown_kind_is_refused(model: DiffSOD, method: str) -> None:
    with pytest.raises(UserError, match="say which with modality_B"):
        getattr(model, method)(*pictures(1))


def test_rgb_rows_leave_the_companions_statistics_alone() -> None:
    """In training only companions go through their batch norms; in evaluation every row does, for a fixed graph."""
    torch.manual_seed(0)
    model = create_model("diffsod-tiny").train()
    seen = []
    model.condition.branch.companion_decoder.out.register_forward_hook(
        lambda module, inputs, output: seen.append(len(output))
    )
    image, companion = pictures(3)
    model(image, companion, torch.tensor([RGBD, RGB, RGBT]))
    model(image, companion, torch.tensor([RGB, RGB, RGB]))
    model.eval()(image, companion, torch.tensor([RGB, RGB, RGB]))
    assert seen == [2, 3]


def test_hints_are_added_where_their_token_stands(model: DiffSOD) -> None:
    """Zero at first; afterwards, one token's hint moves the denoiser's input at one place."""
    image = pictures(1)[0]
    seen = []
    handle = model.unet.conv_in.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    with torch.inference_mode():
        latent, tokens = model.encode_image(image), model.condition(image)
        timestep = torch.tensor([999])
        for bias in (0.0, 1.0):
            changed = tokens.clone()
            changed[:, 8 * 3 + 5] += bias
            model.hint.weight.fill_(0.5 * bias)
            model.predict_velocity(latent, latent, changed, timestep)
        model.hint.weight.zero_()
    handle.remove()
    assert torch.equal(seen[0], torch.cat([latent, latent], 1))
    hint = 0.5 * tokens.sum(-1).view(1, 1, 8, 8)
    hint[..., 3, 5] += 0.5 * 32
    close(seen[1] - seen[0], F.interpolate(hint, scale_factor=2, mode="bilinear").expand_as(seen[0]))


def test_dropped_companions_are_none_at_all() -> None:
    torch.manual_seed(0)
    model = create_model("diffsod-tiny", companion_dropout=1.0).train()
    image, companion = pictures(2)
    close(model(image, companion, torch.tensor([RGBD, RGBT]))[0], model(image)[0])
    model.eval()
    with torch.inference_mode():
        kept = model(image, companion, torch.tensor([RGBD, RGBT]))[0]
        assert (kept - model(image)[0]).abs().max() > 1e-4


def test_companion_dropout_follows_the_seed() -> None:
    torch.manual_seed(0)
    model = create_model("diffsod-tiny", companion_dropout=0.5).train()
    image, companion = pictures(4)
    maps = []
    for seed in (1, 1, 2, 3):
        torch.manual_seed(seed)
        maps.append(model(image, companion, torch.tensor([RGBD, RGBD, RGBT, RGBT]))[0])
    assert torch.equal(maps[0], maps[1])
    assert not torch.equal(maps[0], maps[2]) or not torch.equal(maps[0], maps[3])


# ------------------------------------------------------------------------------------------------------------- training
@pytest.mark.parametrize("modality", [[RGBD, RGB], [RGB, RGB], [RGBT, RGBD], None])
def test_every_trainable_parameter_gets_a_gradient_from_every_batch(modality: list[int] | None) -> None:
    torch.manual_seed(0)
    model = create_model("diffsod-tiny").train()
    image, companion = pictures(2)
    given = () if modality is None else (companion, torch.tensor(modality))
    model(image, *given)[0].square().mean().backward()
    assert [name for name, value in trainable(model).items() if value.grad is None] == []
    assert all(value.grad is None for value in model.vae.parameters())
    embedding = model.condition.modality.weight.grad.abs().sum(1) > 0
    assert embedding.tolist() == [kind in (modality or [RGB]) for kind in (RGB, RGBD, RGBT)]
    companions = modality is not None and any(modality)
    assert bool(model.condition.branch.companion_decoder.out.conv.weight.grad.any()) == companions
    assert bool(model.condition.stand_in_C.grad.any()) == (modality is None or RGB in modality)
    assert model.unet.conv_in.weight.grad.any() and model.condition.branch.backbone.network.conv1[0].weight.grad.any()


def test_parameter_groups_hold_what_is_trained_once() -> None:
    for legacy in (False, True):
        model = create_model("diffsod-tiny", legacy=legacy)
        groups = model.parameter_groups()
        grouped = [id(value) for group in groups.values() for value in group]
        assert sorted(grouped) == sorted(id(value) for value in trainable(model).values())
        assert set(groups) == {"unet", "backbone", "branch"}
        assert not any(name.startswith("vae.") for name in trainable(model))


def test_the_autoencoder_stays_in_evaluation_mode(model: DiffSOD) -> None:
    fresh = create_model("diffsod-tiny")
    assert fresh.training and fresh.unet.training and not fresh.vae.training
    fresh.eval().train()
    assert fresh.unet.training and not fresh.vae.training


def test_gradient_checkpointing_changes_no_gradient() -> None:
    computed = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        model = create_model("diffsod-tiny", gradient_checkpointing=checkpointing).train()
        model(pictures(2)[0])[0].square().mean().backward()
        computed.append(model.unet.conv_in.weight.grad)
        assert model.unet.is_gradient_checkpointing == model.vae.is_gradient_checkpointing == checkpointing
    close(computed[1], computed[0])


def test_latents_carry_no_gradient(model: DiffSOD) -> None:
    image, _ = pictures(1)
    assert not model.encode_image(image.requires_grad_()).requires_grad
    assert not model.encode_mask(image[:, :1]).requires_grad


# ------------------------------------------------------------------------------------------------------------- sampling
def test_an_image_s_samples_depend_on_its_seed_and_not_on_its_batch(model: DiffSOD) -> None:
    image, companion = pictures(3)
    modality, seeds = torch.tensor([RGBD, RGB, RGBT]), [11, 22, 33]
    options = {"steps": 2, "ensemble_size": 3}
    probability, uncertainty = model.denoise(image, companion, modality, seeds=seeds, **options)
    assert probability.shape == uncertainty.shape == (3, 1, 64, 64)
    assert probability.min() >= 0 and probability.max() <= 1 and uncertainty.max() > 0
    order = [2, 0, 1]
    turned = model.denoise(
        image[order], companion[order], modality[order], seeds=[seeds[row] for row in order], **options
    )
    close(torch.stack(turned), torch.stack([probability[order], uncertainty[order]]), steps=2)
    alone = model.denoise(image[1:2], seeds=[22], **options)
    close(alone[0], probability[1:2], steps=2)
    other = model.denoise(image[1:2], seeds=[23], **options)
    assert (other[0] - probability[1:2]).abs().max() > 1e-3


def test_an_ensemble_s_median_is_that_of_its_members(model: DiffSOD) -> None:
    image = pictures(2)[0]
    members = []
    handle = model.vae.decoder.register_forward_hook(lambda module, inputs, output: members.append(output))
    probability, uncertainty = model.denoise(image, steps=1, ensemble_size=3, seeds=[1, 2])
    single, none = model.denoise(image, steps=1, seeds=[1, 2])
    handle.remove()
    assert none is None
    maps = ((members[0].mean(1, keepdim=True) + 1) / 2).clamp(0, 1).view(2, 3, 1, 64, 64)
    close(probability, maps.median(1).values)
    close(uncertainty, (maps - maps.median(1, keepdim=True).values).abs().median(1).values)
    close(single, maps[:, 0])


def test_sampling_encodes_an_image_once(model: DiffSOD) -> None:
    calls = []
    handles = [
        part.register_forward_hook(lambda module, inputs, output, name=name: calls.append((name, len(inputs[0]))))
        for name, part in (
            ("encoder", model.vae.encoder),
            ("branch", model.condition.branch.image_decoder),
            ("decoder", model.vae.decoder),
        )
    ]
    handles.append(
        model.unet.register_forward_hook(
            lambda module, inputs, output: calls.append(("unet", len(inputs[0]))),
        )
    )
    image = pictures(2)[0]
    model.denoise(image, steps=4, ensemble_size=3)
    for handle in handles:
        handle.remove()
    # The decoder's input of the branch is a list of three levels.
    assert calls == [("encoder", 2), ("branch", 3), *[("unet", 6)] * 4, ("decoder", 6)]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"steps": 3}, "take 2 or 4"),
        ({"spacing": "linspace"}, "unknown spacing"),
        ({"seeds": [1, 2]}, "2 seeds and an ensemble of 1 for 1 images"),
        ({"ensemble_size": 0}, "an ensemble of 0"),
    ],
)
def test_sampling_that_cannot_be_is_refused(model: DiffSOD, options: dict[str, object], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        model.denoise(pictures(1)[0], **options)


# ------------------------------------------------------------------------------------------------------- published form
def test_the_published_form_sees_images_from_zero_to_one(legacy: DiffSOD) -> None:
    image, companion = pictures(2)
    with torch.inference_mode():
        seen = (image + 1) / 2
        tokens = legacy.condition(image, companion, torch.tensor([RGBD, RGB]))
        stream = torch.stack([companion[0].expand(3, -1, -1), seen[1]])
        close(tokens, legacy.condition.branch(seen, stream).flatten(2).transpose(1, 2))
        latent = legacy.vae.encode(seen).latent_dist.mean * 0.18215
        close(legacy.encode_image(image), latent)
    assert {name.partition(".")[0] for name, _ in legacy.condition.named_parameters()} == {"branch"}


def test_the_published_form_evaluates_by_the_batch_s_own_statistics(legacy: DiffSOD) -> None:
    image = pictures(2)[0]
    before = {key: value.clone() for key, value in legacy.state_dict().items()}
    with torch.inference_mode():
        together = legacy.condition(image)
        assert (together[:1] - legacy.condition(image[:1])).abs().max() > 1e-3
        norm = legacy.condition.branch.image_decoder.out.bn
        seen = []
        handle = norm.register_forward_hook(lambda module, inputs, output: seen.append(output))
        legacy.condition(image)
        handle.remove()
    assert seen[0].mean((0, 2, 3)).abs().max() < 1e-4
    assert all(torch.equal(value, before[key]) for key, value in legacy.state_dict().items())


def test_the_published_form_trains_its_statistics() -> None:
    torch.manual_seed(0)
    model = create_model("diffsod-tiny", legacy=True).eval().train()
    norm = model.condition.branch.image_decoder.out.bn
    model(pictures(2)[0])
    assert norm.running_mean.any() and norm.num_batches_tracked == 1


# ---------------------------------------------------------------------------------------------------------------- files
def test_weights_come_back(model: DiffSOD, tmp_path: Path) -> None:
    card = save_weights(
        tmp_path / "weights", model, name="diffsod-tiny", input_size=(64, 64), mean=model.mean, std=model.std
    )
    loaded, read = load_weights(tmp_path / "weights")
    assert read == card and card.prepare.mean == card.prepare.std == (0.5, 0.5, 0.5)
    image, companion = pictures(2)
    modality = torch.tensor([RGBD, RGB])
    with torch.inference_mode():
        assert torch.equal(loaded(image, companion, modality)[0], model(image, companion, modality)[0])
    assert trainable(loaded).keys() == trainable(model).keys()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"unet": "sd3"}, "unknown UNet 'sd3'; choose one of sd2, tiny"),
        ({"vae": "sd3"}, "unknown autoencoder"),
        ({"branch": "large"}, "unknown branch"),
        ({"vae": {"_class_name": "VQModel"}}, "unknown autoencoder 'VQModel'"),
        ({"unet": {"in_channels": 4}}, "4 channels in and 4 out"),
    ],
)
def test_parts_that_will_not_do_are_refused(options: dict[str, object], problem: str) -> None:
    with torch.device("meta"), pytest.raises(UserError, match=problem):
        create_model("diffsod-tiny", **options)


def test_tokens_must_be_as_wide_as_the_unet_attends_to() -> None:
    with torch.device("meta"), pytest.raises(UserError, match="tokens of 1024 channels, the branch makes tokens of 32"):
        create_model("diffsod", branch="tiny")
