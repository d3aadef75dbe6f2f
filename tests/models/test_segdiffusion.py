"""Seg-diffusion as a network: one mask per prompt, whatever the prompts are."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from transformers import CLIPTokenizer

from limelight.foundation.errors import UserError
from limelight.models.diffusion.configs import SCHEDULER_SD2, UNETS, VAES
from limelight.models.diffusion.parts import UNet2DConditionModel, build_scheduler, build_vae
from limelight.models.diffusion.segdiffusion.configs import TEXTS
from limelight.models.diffusion.segdiffusion.network import SegDiffusion
from limelight.models.diffusion.segdiffusion.text import build_text
from limelight.models.diffusion.segdiffusion.tokenizer import WORDS, learn_merges, word_tokenizer
from limelight.models.registry import create_model
from limelight.models.weights import load_weights, save_weights
from tests.models.diffusers_folder import write_folder
from tests.tolerance import assert_agree

PROMPTS = ["a photo of a bird", "a photo of a boat", "a photo of a lamp"]


@pytest.fixture(scope="module")
def model() -> SegDiffusion:
    """Tiny, as initialised, in evaluation mode. Not to be changed."""
    torch.manual_seed(0)
    return create_model("segdiffusion-tiny").eval()


def pictures(batch: int, height: int = 64, width: int = 64) -> Tensor:
    """Images in [-1, 1]."""
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(0)) * 2 - 1


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: value for name, value in model.named_parameters() if value.requires_grad}


def close(actual: Tensor, expected: Tensor, steps: int = 1) -> None:
    assert_agree(actual, expected, "segdiffusion-tiny", steps=steps)


# -------------------------------------------------------------------------------------------------------------- prompts
def test_prompts_become_rows_of_tokens(model: SegDiffusion) -> None:
    with torch.inference_mode():
        prompt = model.encode_prompts(PROMPTS)
        assert prompt.shape == (3, 32, 32) and prompt.isfinite().all()
        close(model.encode_prompts(PROMPTS[::-1]), prompt.flip(0))
        assert torch.equal(model.encode_prompts([PROMPTS[1]] * 2), prompt[[1, 1]])
        assert (prompt[0] - prompt[1]).abs().max() > 1e-3


def test_places_after_the_prompt_are_empty_where_it_is_not_padded(model: SegDiffusion) -> None:
    with torch.inference_mode():
        (prompt,) = model.encode_prompts(["a bird"])
    assert (prompt[:4] != 0).all() and not prompt[4:].any(), "the mark at the start, two words, the mark at the end"


@pytest.mark.parametrize("text", ["кошка", "猫", "naïve café", "🐱 x\x00y", "ปลา", "<|endoftext|>", ""])
def test_any_text_becomes_tokens(model: SegDiffusion, text: str) -> None:
    (ids,) = model.text.ids([text])
    assert len(ids) == 32
    with torch.inference_mode():
        assert model.encode_prompts([text]).isfinite().all()


def test_bytes_give_the_text_back() -> None:
    tokenizer = word_tokenizer()
    for text in ("猫 кошка ปลา", "a photo of a bicycle"):
        assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text


def test_every_word_of_ours_is_one_token() -> None:
    tokenizer = word_tokenizer()
    words = WORDS.split()
    assert len(set(words)) == len(words)
    assert all(len(tokenizer(word)["input_ids"]) == 3 for word in words)
    assert len(tokenizer) == 840 <= TEXTS["tiny"]["vocab_size"]


def test_merges_follow_the_words_alone() -> None:
    assert learn_merges(["low", "lot"]) == [("l", "o"), ("lo", "t</w>"), ("lo", "w</w>")]
    assert learn_merges(["aaa"]) == [("a", "a"), ("aa", "a</w>")]
    assert learn_merges(["a"]) == []


def test_the_words_never_change() -> None:
    """Weights have learnt these numbers."""
    ids = word_tokenizer()("a photo of a boat")["input_ids"]
    assert ids == [838, 320, 794, 776, 320, 635, 839]


def test_a_prompt_that_is_too_long_is_named(model: SegDiffusion) -> None:
    fits, too_long = " ".join(["bird"] * 30), " ".join(["bird"] * 31)
    assert len(model.text.ids([fits])[0]) == 32
    with pytest.raises(
        UserError, match=r"the prompt 'bird bird .*\.\.\.' has 33 tokens .* takes at most 32.*; shorten it"
    ):
        model.encode_prompts(["a photo of a bird", too_long])


def test_no_prompts_are_refused(model: SegDiffusion) -> None:
    with pytest.raises(UserError, match="no prompts"):
        model.encode_prompts([])


def test_a_prompt_is_computed_once_until_the_weights_may_change() -> None:
    model = create_model("segdiffusion-tiny").eval()
    seen = []
    model.text.model.register_forward_hook(lambda module, inputs, output: seen.append(output.last_hidden_state.shape))
    with torch.inference_mode():
        model.encode_prompts(PROMPTS[:2])
        before = model.encode_prompts(PROMPTS)
        assert [len(shape) and shape[0] for shape in seen] == [2, 1]
    model.train()
    nn.init.normal_(model.text.model.embeddings.token_embedding.weight)
    model.eval()
    with torch.inference_mode():
        assert (model.encode_prompts(PROMPTS) - before).abs().max() > 1e-3


def test_many_prompts_are_encoded_in_pieces(model: SegDiffusion) -> None:
    prompts, seen = [f"a photo of {number} birds" for number in range(130)], []
    hook = model.text.model.register_forward_hook(
        lambda module, inputs, output: seen.append(len(output.last_hidden_state))
    )
    with hook, torch.inference_mode():
        tokens = model.encode_prompts(prompts)
    assert seen == [64, 64, 2]
    model.eval()  # forgets what was encoded
    with torch.inference_mode():
        close(tokens[100:101], model.encode_prompts(prompts[100:101]))


def test_kept_prompts_serve_gradients_too() -> None:
    """Those of a frozen encoder that were computed in inference mode."""
    model = create_model("segdiffusion-tiny", train_text=False).eval()
    with torch.inference_mode():
        model.encode_prompts(PROMPTS)
    model(pictures(1), model.encode_prompts(PROMPTS))[0].mean().backward()
    assert model.unet.conv_in.weight.grad.any()


# ---------------------------------------------------------------------------------------------------- the one-step form
@pytest.mark.parametrize(("height", "width"), [(64, 64), (72, 40)])
def test_each_prompt_has_a_map_at_the_image_s_size(model: SegDiffusion, height: int, width: int) -> None:
    with torch.inference_mode():
        (logits,) = model(pictures(2, height, width), model.encode_prompts(PROMPTS))
    assert logits.shape == (2, 3, height, width)
    assert logits.isfinite().all() and logits.std() > 0
    assert (logits[:, 0] - logits[:, 1]).abs().max() > 1e-4


def test_a_prompt_s_map_does_not_depend_on_the_others_nor_on_the_chunks(model: SegDiffusion) -> None:
    image = pictures(2)
    with torch.inference_mode():
        prompt = model.encode_prompts(PROMPTS)
        together = model(image, prompt)[0]
        for row in range(2):
            for column in range(3):
                close(model(image[row : row + 1], prompt[column : column + 1])[0][0, 0], together[row, column])
        own = torch.stack([prompt, prompt.flip(0)])
        close(model(image, own)[0], torch.stack([together[0], together[1].flip(0)]))
        try:
            model.rows_per_chunk = 4
            close(model(image, prompt)[0], together)
        finally:
            model.rows_per_chunk = 16


def test_many_prompts_are_drawn_in_chunks_from_one_latent(model: SegDiffusion) -> None:
    calls = []
    handles = [
        part.register_forward_hook(lambda module, inputs, output, name=name: calls.append((name, len(inputs[0]))))
        for name, part in (("encoder", model.vae.encoder), ("unet", model.unet))
    ]
    with torch.inference_mode():
        prompt = model.encode_prompts([f"a photo of a thing {number}" for number in range(40)])
        assert model(pictures(1), prompt)[0].shape == (1, 40, 64, 64)
    for handle in handles:
        handle.remove()
    assert calls == [("encoder", 1), ("unet", 16), ("unet", 16), ("unet", 8)]


def test_one_step_is_the_start_that_the_last_timestep_s_velocity_predicts(model: SegDiffusion) -> None:
    image, timestep = pictures(2), torch.tensor([999, 999])
    with torch.inference_mode():
        latent, tokens = model.encode_image(image), model.encode_prompts(PROMPTS[:1])
        zero = torch.zeros_like(latent)
        velocity = model.predict_velocity(latent, zero, tokens.expand(2, -1, -1), timestep)
        # x_0 = sqrt(abar) x_t - sqrt(1 - abar) v, the rotation that gives the velocity of x_0 and noise, back.
        start = model.scheduler.get_velocity(velocity, zero, timestep)
        close(model(image, tokens)[0], 6 * model.decode_mask(start))


@pytest.mark.slow
def test_the_full_network_s_graph_is_sound() -> None:
    with torch.device("meta"):
        full = create_model("segdiffusion").eval()
        (logits,) = full(torch.empty(1, 3, 384, 384), torch.empty(3, 77, 1024))
    assert logits.shape == (1, 3, 384, 384)
    assert sum(value.numel() for value in full.text.parameters()) == 340_387_840
    assert sum(value.numel() for value in trainable(full).values()) == 865_922_244


def test_half_precision(model: SegDiffusion) -> None:
    half = create_model("segdiffusion-tiny")
    half.load_state_dict(model.state_dict())
    half.eval().to(torch.bfloat16)
    image = pictures(1)
    with torch.inference_mode():
        exact = model(image, model.encode_prompts(PROMPTS))[0]
        actual = half(image.to(torch.bfloat16), half.encode_prompts(PROMPTS))[0]
    assert actual.dtype == torch.float32
    assert (actual - exact).abs().mean() < 0.1 * exact.abs().mean()


# ------------------------------------------------------------------------------------------------------------- training
@pytest.mark.parametrize("train_text", [True, False])
def test_what_is_trained_gets_gradients_and_nothing_else_does(train_text: bool) -> None:
    torch.manual_seed(0)
    model = create_model("segdiffusion-tiny", train_text=train_text).train()
    model(pictures(1), model.encode_prompts(PROMPTS))[0].square().mean().backward()
    with_gradient = {name for name, value in model.named_parameters() if value.grad is not None}
    assert with_gradient == set(trainable(model))
    assert {name.partition(".")[0] for name in with_gradient} == ({"unet", "text"} if train_text else {"unet"})
    grouped = [id(value) for group in model.parameter_groups().values() for value in group]
    assert sorted(grouped) == sorted(id(value) for value in trainable(model).values())
    assert not model.vae.training and model.text.model.training == train_text


# ------------------------------------------------------------------------------------------------------------- sampling
def test_samples_follow_the_image_s_seed_alone(model: SegDiffusion) -> None:
    image, prompt = pictures(2), model.encode_prompts(PROMPTS[:2])
    probability, uncertainty = model.denoise(image, prompt, steps=2, ensemble_size=3, seeds=[5, 6])
    assert probability.shape == uncertainty.shape == (2, 2, 64, 64)
    assert probability.min() >= 0 and probability.max() <= 1 and uncertainty.max() > 0
    alone, _ = model.denoise(image[1:], prompt[1:], steps=2, ensemble_size=3, seeds=[6])
    close(alone[0, 0], probability[1, 1], steps=2)
    single, none = model.denoise(image[1:], prompt, steps=1)
    assert single.shape == (1, 2, 64, 64) and none is None
    with pytest.raises(UserError, match="1 seeds for 2 images"):
        model.denoise(image, prompt, seeds=[1])


def test_the_published_grey_map_knows_no_order(model: SegDiffusion) -> None:
    image, prompt = pictures(1), model.encode_prompts(PROMPTS)
    grey = model.legacy_grey(image, prompt, steps=2)
    assert grey.shape == (1, 1, 64, 64) and grey.min() >= 0 and grey.max() <= 1
    close(model.legacy_grey(image, prompt.flip(0), steps=2), grey, steps=2)
    mean = prompt.mean(0, keepdim=True)
    close(grey, model.denoise(image, mean, steps=2, spacing="leading")[0], steps=2)


# ---------------------------------------------------------------------------------------------------------------- files
@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny text-to-image model's folder, whose tokenizer pads with '!' as Stable Diffusion 2's does."""
    torch.manual_seed(0)
    words = word_tokenizer()
    own = CLIPTokenizer(vocab=words.get_vocab(), merges=learn_merges(WORDS.split()), pad_token="!")
    folder = tmp_path_factory.mktemp("base") / "sd"
    parts = {
        "unet": UNet2DConditionModel(**UNETS["tiny"] | {"in_channels": 8}),
        "vae": build_vae(VAES["tiny"]),
        "scheduler": build_scheduler(SCHEDULER_SD2),
        "text_encoder": build_text(TEXTS["tiny"]),
        "tokenizer": own,
    }
    write_folder(folder, parts)
    return folder


def test_weights_come_back(model: SegDiffusion, tmp_path: Path) -> None:
    card = save_weights(tmp_path / "weights", model, name="segdiffusion-tiny", input_size=(64, 64), mean=model.mean)
    loaded, read = load_weights(tmp_path / "weights")
    assert read == card and card.architecture.task == "open-vocabulary" and card.provenance.assets == {}
    assert {path.name for path in (tmp_path / "weights").iterdir()} == {"model.safetensors", "card.json"}
    with torch.inference_mode():
        expected = model(pictures(1), model.encode_prompts(PROMPTS))[0]
        assert torch.equal(loaded(pictures(1), loaded.encode_prompts(PROMPTS))[0], expected)


def test_a_tokenizer_from_files_travels_with_the_weights(base: Path, tmp_path: Path) -> None:
    model = create_model("segdiffusion-tiny", tokenizer="files", pretrained=str(base)).eval()
    ids = model.text.ids(PROMPTS)
    assert ids[0][-1] == model.text.tokenizer.convert_tokens_to_ids("!")
    folder = tmp_path / "weights"
    card = save_weights(folder, model, name="segdiffusion-tiny", input_size=(64, 64))
    assert "pretrained" not in card.architecture.options and "assets" not in card.architecture.options
    assert "tokenizer/tokenizer.json" in card.provenance.assets
    base.rename(tmp_path / "gone")
    try:
        loaded, _ = load_weights(folder)
        assert loaded.text.ids(PROMPTS) == ids
        with torch.inference_mode():
            assert torch.equal(loaded.encode_prompts(PROMPTS), model.encode_prompts(PROMPTS))
        again = save_weights(tmp_path / "again", loaded, name="segdiffusion-tiny", input_size=(64, 64))
        assert again.provenance.assets == card.provenance.assets
    finally:
        (tmp_path / "gone").rename(base)
    tokenizer = folder / "assets/tokenizer/tokenizer.json"
    tokenizer.write_text(tokenizer.read_text() + " ")
    with pytest.raises(UserError, match=r"assets does not match its card: tokenizer/tokenizer\.json; restore"):
        load_weights(folder)


def test_a_base_folder_must_be_what_the_options_say(base: Path) -> None:
    text = TEXTS["tiny"] | {"num_hidden_layers": 3}
    with pytest.raises(UserError, match="text_encoder has num_hidden_layers 2, the network's options say 3"):
        create_model("segdiffusion-tiny", text=text, pretrained=str(base))


def test_a_network_without_a_tokenizer_says_so() -> None:
    model = create_model("segdiffusion-tiny", tokenizer="files")
    with pytest.raises(UserError, match="has no tokenizer"):
        model.encode_prompts(PROMPTS)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"text": "clip"}, "unknown text encoder 'clip'; choose one of sd2, tiny"),
        ({"tokenizer": "bytes"}, "unknown tokenizer 'bytes'"),
        ({"text": "sd2"}, "tokens of 32 channels, the text encoder makes tokens of 1024"),
        ({"text": TEXTS["tiny"] | {"vocab_size": 500}}, "the tokenizer knows 840 tokens, the text encoder 500"),
    ],
)
def test_parts_that_do_not_fit_are_refused(options: dict[str, object], problem: str) -> None:
    with torch.device("meta"), pytest.raises(UserError, match=problem):
        create_model("segdiffusion-tiny", **options)


def test_settings_are_json() -> None:
    assert json.loads(json.dumps(TEXTS)) == TEXTS
