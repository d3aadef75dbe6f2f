"""Folders in Stable Diffusion's layout: what is read from them, and what is refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from limelight.foundation.errors import UserError
from limelight.models.diffusion.configs import SCHEDULER_SD2, UNETS, VAES
from limelight.models.diffusion.folder import read_configs, read_text, read_unet, read_vae
from limelight.models.diffusion.latents import decode_mask, encode, encode_mask
from limelight.models.diffusion.parts import UNet2DConditionModel, build_scheduler, build_unet, build_vae, widen_conv_in
from limelight.models.diffusion.segdiffusion.text import read_same_text
from limelight.models.diffusion.segdiffusion.tokenizer import word_tokenizer
from limelight.models.registry import create_model
from tests.models.diffusers_folder import write_folder
from tests.tolerance import assert_agree

NARROW = UNETS["tiny"] | {"in_channels": 8}


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny text-to-image model's folder."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("base") / "sd"
    parts = {
        "unet": UNet2DConditionModel(**NARROW),
        "vae": build_vae(VAES["tiny"]),
        "scheduler": build_scheduler(SCHEDULER_SD2),
    }
    write_folder(folder, parts)
    return folder


@pytest.fixture
def copied(base: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(base, tmp_path / "sd"))


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


# ---------------------------------------------------------------------------------------------------------------- sizes
@pytest.mark.slow
def test_full_sizes_are_stable_diffusion_s() -> None:
    with torch.device("meta"):
        unet = build_unet(UNETS["sd2"])
        assert (count(unet), len(unet.state_dict())) == (865_922_244, 686)
        assert count(build_vae(VAES["sd2"])) == 83_653_863
        assert count(build_vae(VAES["taesd"])) == 2_445_063
        # Four more input channels of 320 kernels of 3 x 3.
        assert count(UNet2DConditionModel(**UNETS["sd2"] | {"in_channels": 4})) == 865_922_244 - 4 * 320 * 9


def test_tiny_sizes() -> None:
    assert count(build_unet(UNETS["tiny"])) == 1_487_688
    assert count(build_vae(VAES["tiny"])) == 177_427


def test_configs_are_json() -> None:
    for configs in (UNETS, VAES):
        assert json.loads(json.dumps(configs)) == configs


# -------------------------------------------------------------------------------------------------------------- conv_in
def test_a_widened_unet_takes_the_mean_of_its_two_inputs() -> None:
    torch.manual_seed(0)
    unet = UNet2DConditionModel(**NARROW).eval()
    image, tokens, timestep = noise(2, 8, 16, 16), noise(2, 5, 32), torch.tensor([3, 999])
    with torch.inference_mode():
        before = unet(image, timestep, encoder_hidden_states=tokens).sample
        narrow = unet.conv_in
        widen_conv_in(unet)
        twice = unet(torch.cat([image, image], 1), timestep, encoder_hidden_states=tokens).sample
        beside_zeros = unet.conv_in(torch.cat([image, torch.zeros_like(image)], 1))
        halved = (narrow(image) + narrow.bias[:, None, None]) / 2
    assert_agree(twice, before, unet)
    # Beside zeros an image counts for half; the bias is kept.
    assert_agree(beside_zeros, halved, 1)
    assert unet.config.in_channels == 16


def test_a_base_unet_is_widened_when_it_is_read(base: Path) -> None:
    state = load_file(base / "unet/diffusion_pytorch_model.safetensors")
    unet = read_unet(base)
    assert torch.equal(unet.conv_in.weight[:, :8], state["conv_in.weight"] / 2)
    assert torch.equal(unet.conv_in.weight[:, 8:], state["conv_in.weight"] / 2)
    assert all(torch.equal(value, state[key]) for key, value in unet.state_dict().items() if key != "conv_in.weight")
    assert read_configs(base).unet["in_channels"] == 16


def test_a_mask_unet_is_read_as_it_is(tmp_path: Path) -> None:
    torch.manual_seed(0)
    unet = build_unet(UNETS["tiny"])
    write_folder(tmp_path / "ours", {"unet": unet})
    read = read_unet(tmp_path / "ours").state_dict()
    assert all(torch.equal(value, read[key]) for key, value in unet.state_dict().items())


# ------------------------------------------------------------------------------------------------------- whole networks
def test_a_network_starts_from_a_folder(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(1)
    model = create_model("diffsod-tiny", pretrained=str(base))
    state = load_file(base / "vae/diffusion_pytorch_model.safetensors")
    assert all(torch.equal(value, state[key]) for key, value in model.vae.state_dict().items())
    assert not any(parameter.requires_grad for parameter in model.vae.parameters())
    assert model.unet.config.in_channels == 16
    assert "pretrained" not in model.build_options
    assert "starts from random weights" in capsys.readouterr().err


def test_the_folder_s_settings_can_be_a_network_s_options(base: Path) -> None:
    options = json.loads(json.dumps(read_configs(base)._asdict()))
    model = create_model("diffsod-tiny", **options, pretrained=str(base))
    assert model.build_options["unet"]["block_out_channels"] == [32, 64, 64]
    again = create_model("diffsod-tiny", **model.build_options)
    again.load_state_dict(model.state_dict())


def test_settings_of_a_later_diffusers_are_left_out(copied: Path) -> None:
    for part in ("unet", "vae"):
        edit(copied / part / "config.json", from_the_future=1)
    configs = read_configs(copied)
    create_model("diffsod-tiny", unet=configs.unet, vae=configs.vae, pretrained=str(copied))


def test_a_folder_of_other_sizes_is_refused(base: Path) -> None:
    other = UNETS["tiny"] | {"block_out_channels": [32, 64, 96]}
    with pytest.raises(UserError, match=r"block_out_channels \[32, 64, 64\], the network's options say \[32, 64, 96\]"):
        create_model("diffsod-tiny", unet=other, pretrained=str(base))
    with pytest.raises(UserError, match="vae is an AutoencoderKL, the network's options ask for an AutoencoderTiny"):
        create_model("diffsod-tiny", vae="taesd", pretrained=str(base))


def test_settings_that_the_options_leave_to_their_defaults_must_match_too(copied: Path) -> None:
    """Read again from its card, a network would have the defaults, and the weights compute something else."""
    edit(copied / "unet/config.json", upcast_attention=True)
    edit(copied / "vae/config.json", force_upcast=False)
    create_model("diffsod-tiny", pretrained=str(copied))
    edit(copied / "vae/config.json", act_fn="gelu")
    with pytest.raises(UserError, match="vae has act_fn gelu, the network's options say silu; give the settings of"):
        create_model("diffsod-tiny", pretrained=str(copied))
    edit(copied / "vae/config.json", act_fn="silu")
    edit(copied / "unet/config.json", act_fn="gelu")
    with pytest.raises(UserError, match="unet has act_fn gelu, the network's options say silu; give the settings of"):
        create_model("diffsod-tiny", pretrained=str(copied))
    model = create_model("diffsod-tiny", unet=read_configs(copied).unet, pretrained=str(copied))
    assert create_model("diffsod-tiny", **model.build_options).unet.config.act_fn == "gelu"


def test_a_text_encoder_is_compared_with_the_defaults_too(tmp_path: Path) -> None:
    tokenizer = word_tokenizer()
    folder = write_text_parts(tmp_path / "text", tokenizer)
    options = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    options |= {"vocab_size": len(tokenizer)}
    config = folder / "text_encoder/config.json"
    edit(config, bos_token_id=0, eos_token_id=2)  # Stable Diffusion 2's own, which its tokens do not depend on
    read_same_text(folder, options)
    edit(config, layer_norm_eps=1e-3)
    with pytest.raises(UserError, match=r"text_encoder has layer_norm_eps 0\.001, the network's options say 1e-05"):
        read_same_text(folder, options)


def test_a_schedule_has_stable_diffusion_s_values_where_its_file_has_none(copied: Path) -> None:
    file = copied / "scheduler/scheduler_config.json"
    left_out = ("clip_sample", "set_alpha_to_one", "steps_offset")
    file.write_text(json.dumps({key: value for key, value in SCHEDULER_SD2.items() if key not in left_out}))
    assert read_configs(copied).scheduler == SCHEDULER_SD2
    create_model("diffsod-tiny", pretrained=str(copied))


@pytest.mark.parametrize("key", ["num_train_timesteps", "beta_start", "beta_end", "beta_schedule"])
def test_a_schedule_without_its_noise_is_refused(key: str, copied: Path) -> None:
    file = copied / "scheduler/scheduler_config.json"
    file.write_text(json.dumps({name: value for name, value in SCHEDULER_SD2.items() if name != key}))
    with pytest.raises(UserError, match=f"scheduler_config.json has no {key}, without which"):
        read_configs(copied)


def test_an_autoencoder_of_other_latents_is_refused(copied: Path) -> None:
    """Stable Diffusion XL's has the same channels and sizes as Stable Diffusion 2's, and other latents."""
    model = create_model("diffsod-tiny")
    model.take_autoencoder(copied / "vae")
    edit(copied / "vae/config.json", scaling_factor=0.13025)
    with pytest.raises(UserError, match=r"scales its latents by 0\.13025, this network's autoencoder by 0\.18215"):
        model.take_autoencoder(copied / "vae")


# -------------------------------------------------------------------------------------------------------- what is wrong
@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda folder: shutil.rmtree(folder), "is not a folder; give a folder in the layout"),
        (lambda folder: shutil.rmtree(folder / "vae"), "has no vae/config.json"),
        (lambda folder: shutil.rmtree(folder / "scheduler"), "has no scheduler/scheduler_config.json"),
        (lambda folder: edit(folder / "scheduler/scheduler_config.json", prediction_type="epsilon"), "is 'epsilon'"),
        (lambda folder: edit(folder / "unet/config.json", in_channels=9), "takes 9 channels"),
        (lambda folder: edit(folder / "unet/config.json", _class_name="UNet3D"), "is for 'UNet3D'"),
        (lambda folder: (folder / "unet/config.json").write_text("{"), "is not valid JSON"),
    ],
)
def test_settings_that_will_not_do_are_refused(copied: Path, spoil: Callable[[Path], object], problem: str) -> None:
    spoil(copied)
    with pytest.raises(UserError, match=problem):
        read_configs(copied)


def test_pickled_weights_are_refused(copied: Path) -> None:
    weights = copied / "unet/diffusion_pytorch_model.safetensors"
    torch.save(load_file(weights), weights.with_suffix(".bin"))
    weights.unlink()
    with pytest.raises(UserError, match=r"found: diffusion_pytorch_model.bin\); pickles \(.bin\) are not read"):
        read_unet(copied)


def test_damaged_or_missing_weights_are_refused(copied: Path) -> None:
    weights = copied / "vae/diffusion_pytorch_model.safetensors"
    state = load_file(weights)
    del state["quant_conv.bias"]
    save_file(state, weights)
    with pytest.raises(UserError, match=r"1 missing: quant_conv\.bias"):
        read_vae(copied)
    weights.write_bytes(b"not weights")
    with pytest.raises(UserError, match="vae cannot be read"):
        read_vae(copied)


def test_an_autoencoder_under_its_old_names_is_read(copied: Path) -> None:
    """Stable Diffusion 2's own file calls the attention's layers query, key, value and proj_attn."""
    weights = copied / "vae/diffusion_pytorch_model.safetensors"
    state, old = load_file(weights), {}
    for key, value in state.items():
        for new, name in (("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")):
            key = key.replace(f".attentions.0.{new}.", f".attentions.0.{name}.")
        old[key] = value
    assert len(old.keys() - state.keys()) == 16
    save_file(old, weights)
    read = read_vae(copied).state_dict()
    assert all(torch.equal(value, read[key]) for key, value in state.items())


# -------------------------------------------------------------------------------------------------------------- latents
@pytest.mark.parametrize("name", ["tiny", "small taesd"])
def test_latents_are_scaled_by_the_autoencoder_s_own_factor(name: str) -> None:
    torch.manual_seed(0)
    small = {"encoder_block_out_channels": [8] * 4, "decoder_block_out_channels": [8] * 4}
    vae = build_vae(VAES["tiny"] if name == "tiny" else VAES["taesd"] | small).eval()
    picture = noise(2, 3, 64, 32).clamp(-1, 1)
    with torch.inference_mode():
        latent = encode(vae, picture)
        mask = decode_mask(vae, latent)
        if name == "tiny":
            unscaled = vae.quant_conv(vae.encoder(picture))[:, :8]
            assert_agree(latent, 0.18215 * unscaled, vae)
        else:
            unscaled = vae.encoder(picture)
            assert_agree(latent, unscaled, vae)
        assert_agree(mask, vae.decode(unscaled).sample.mean(1, keepdim=True), vae)
    assert latent.shape == ((2, 8, 16, 8) if name == "tiny" else (2, 4, 8, 4))
    assert mask.shape == (2, 1, 64, 32)


def test_a_mask_in_bf16_is_averaged_in_float32() -> None:
    torch.manual_seed(0)
    vae = build_vae(VAES["tiny"]).eval().to(torch.bfloat16)
    latent = noise(1, 8, 8, 8).to(torch.bfloat16)
    with torch.inference_mode():
        decoded = vae.decode(latent / vae.config.scaling_factor).sample
        assert torch.equal(decode_mask(vae, latent), decoded.float().mean(1, keepdim=True))


def test_a_mask_is_shown_as_a_grey_picture() -> None:
    torch.manual_seed(0)
    vae = build_vae(VAES["tiny"]).eval()
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., :16] = 1
    picture = torch.where(mask > 0, 1.0, -1.0).repeat(1, 3, 1, 1)
    with torch.inference_mode():
        assert_agree(encode_mask(vae, mask), encode(vae, picture), vae)


# ----------------------------------------------------------------------------------------------------------------- text
def test_a_text_encoder_and_its_tokenizer_come_back(tmp_path: Path) -> None:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    characters = [chr(code) for code in range(33, 127)]
    words = [*characters, *(f"{character}</w>" for character in characters), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=[], pad_token="!", model_max_length=77)
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    ends = {"bos_token_id": len(words) - 2, "eos_token_id": len(words) - 1}
    encoder = CLIPTextModel(CLIPTextConfig(vocab_size=len(words), **sizes, **ends)).eval()
    write_folder(tmp_path / "text", {"text_encoder": encoder, "tokenizer": tokenizer})

    read, reader = read_text(tmp_path / "text")
    ids = reader("a photo of a cat", padding="max_length", truncation=True, return_tensors="pt").input_ids
    assert ids.shape == (1, 77)
    assert ids[0, 0] == len(words) - 2 and ids[0, -1] == vocabulary["!"]
    with torch.inference_mode():
        assert torch.equal(read.eval()(ids).last_hidden_state, encoder(ids).last_hidden_state)


def test_a_tokenizer_that_lost_its_words_is_refused(tmp_path: Path) -> None:
    """transformers makes one of three tokens from what is left, to which all prompts are the same."""
    words = word_tokenizer()
    folder = write_text_parts(tmp_path / "text", words)
    whole, tokenizer = (folder / "tokenizer/tokenizer.json").read_text(), folder / "tokenizer"
    (tokenizer / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"no tokenizer\.json, nor merges\.txt and special_tokens_map\.json and vocab"):
        read_text(folder)
    state = json.loads(whole)["model"]
    (tokenizer / "vocab.json").write_text(json.dumps(state["vocab"]))
    (tokenizer / "merges.txt").write_text("".join(f"{' '.join(pair)}\n" for pair in state["merges"]))
    with pytest.raises(UserError, match=r"no tokenizer\.json, nor special_tokens_map\.json in its place"):
        read_text(folder)
    (tokenizer / "special_tokens_map.json").write_text('{"pad_token": "!"}')
    assert read_text(folder)[1]("red mug").input_ids == words("red mug").input_ids
    (tokenizer / "vocab.json").write_text('{"<|startoftext|>": 0, "<|endoftext|>": 1}')
    (tokenizer / "merges.txt").write_text("")
    with pytest.raises(UserError, match="gives all words the same token"):
        read_text(folder)
    shutil.rmtree(tokenizer)
    with pytest.raises(UserError, match="has no tokenizer/"):
        read_text(folder)


def write_text_parts(folder: Path, tokenizer: Any) -> Path:
    from transformers import CLIPTextConfig, CLIPTextModel

    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    encoder = CLIPTextModel(CLIPTextConfig(vocab_size=len(tokenizer), **sizes))
    write_folder(folder, {"text_encoder": encoder, "tokenizer": tokenizer})
    return folder


@pytest.mark.parametrize(
    ("part", "content", "message"),
    [
        ("unet/config.json", "[]", "unet/config.json holds a list, not a mapping of settings"),
        ("scheduler/scheduler_config.json", json.dumps(SCHEDULER_SD2 | {"beta_schedule": "foo"}), "foo"),
        (
            "scheduler/scheduler_config.json",
            json.dumps(SCHEDULER_SD2 | {"num_train_timesteps": "1000"}),
            "the scheduler's settings cannot be used",
        ),
    ],
)
def test_settings_that_mean_nothing(copied: Path, part: str, content: str, message: str) -> None:
    (copied / part).write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        read_configs(copied)
    assert "\n" not in str(caught.value)
