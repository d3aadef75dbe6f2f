"""A TAESD in place of Stable Diffusion's autoencoder: other classes, no posterior, another scale."""

from pathlib import Path

import pytest
import torch

from limelight.models.diffusion.configs import UNETS
from limelight.models.diffusion.latents import decode_mask, encode
from limelight.models.diffusion.parts import build_vae
from limelight.models.registry import create_model
from limelight.models.weights import load_weights, save_weights
from tests.tolerance import assert_agree

TINY = {
    "_class_name": "AutoencoderTiny",
    "encoder_block_out_channels": [8, 8, 8, 8],
    "decoder_block_out_channels": [8, 8, 8, 8],
    "num_encoder_blocks": [1, 1, 1, 1],
    "num_decoder_blocks": [1, 1, 1, 1],
}
"""TAESD's own shape, narrow and shallow."""
UNET = {**UNETS["tiny"], "in_channels": 8, "out_channels": 4}
IMAGE = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_diffsod_trains_answers_and_samples_with_it(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = create_model("diffsod-tiny", vae=TINY, unet=UNET)
    (logits,) = network(IMAGE)
    assert logits.shape == (2, 1, 64, 96)
    logits.square().mean().backward()
    assert network.unet.conv_out.weight.grad.abs().max() > 0
    assert all(parameter.grad is None for parameter in network.vae.parameters())

    network.eval()
    probability, uncertainty = network.denoise(IMAGE, steps=2, ensemble_size=2, seeds=[1, 2])
    assert probability.shape == uncertainty.shape == (2, 1, 64, 96)
    assert probability.min() >= 0 and probability.max() <= 1

    save_weights(tmp_path / "taesd", network, name="diffsod-tiny", input_size=(64, 64))
    loaded, _ = load_weights(tmp_path / "taesd")
    with torch.no_grad():
        assert_agree(loaded(IMAGE)[0], network(IMAGE)[0], network)


@pytest.mark.parametrize("scale", [None, 2.0])
def test_the_scale_is_its_own(scale: float | None) -> None:
    torch.manual_seed(0)
    vae = build_vae(TINY if scale is None else {**TINY, "scaling_factor": scale}).eval()
    with torch.no_grad():
        plain = vae.encode(IMAGE).latents
        assert_agree(encode(vae, IMAGE), (scale or 1.0) * plain, vae)
        expected = vae.decode(plain).sample.mean(1, keepdim=True)
        assert_agree(decode_mask(vae, encode(vae, IMAGE)), expected, vae)
    assert vae.config.scaling_factor == (scale or 1.0), "not Stable Diffusion's 0.18215"
