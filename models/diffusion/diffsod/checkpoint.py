"""The authors' files: a folder with a UNet as diffusers writes it, and a .pth file of the condition branch."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from limelight.foundation.errors import UserError
from limelight.foundation.files import check_sha256
from limelight.models.card import Card
from limelight.models.diffusion.configs import PUBLISHED_STEPS
from limelight.models.diffusion.folder import read_configs, read_unet, read_unet_config, read_vae
from limelight.models.diffusion.hub import named_folder
from limelight.models.empty import empty_parameters
from limelight.models.importers.files import Files
from limelight.models.importers.torch_checkpoint import read_pth
from limelight.models.registry import create_model
from limelight.models.state import load_strict
from limelight.models.weights import save_weights

LICENCE = "openrail++"
"""Stable Diffusion 2's licence, whose conditions of use carry over to derived weights."""

_BACKBONE, _TWIN = "backbone_original.", "backbone_x."
_STREAM = {"original": "image", "x": "companion"}
_CONV, _DECODER_PART = {"0": "0.conv", "1": "0.bn", "3": "1.conv", "4": "1.bn"}, {"0": "conv", "1": "bn"}
_DECODER = {
    "conv_upsample1": "coarse_to_middle",
    "conv_upsample2": "coarse_to_fine",
    "conv_upsample3": "middle_to_fine",
    "conv_upsample4": "coarse_up",
    "conv_upsample5": "joined_up",
    "conv_concat2": "join_middle",
    "conv_concat3": "join_fine",
    "conv_last": "out",
}
_FUSION = {
    "layer_scale_1": "scale_attention",
    "layer_scale_2": "scale_mlp",
    "attn.norm": "attention.norm_image",
    "attn.norm_e": "attention.norm_companion",
    "attn.l": "attention.gate",
    "attn.q": "attention.local_query",
    "attn.conv": "attention.local_conv",
    "attn.a": "attention.local_out",
    "attn.short_cut_linear": "attention.global_query",
    "attn.kv": "attention.key_value",
    "attn.q_cut": "attention.cross_query",
    "attn.e_fore": "attention.cross_in",
    "attn.e_conv": "attention.cross_conv",
    "attn.e_back": "attention.cross_out",
    "attn.proj": "attention.project",
    "mlp.norm": "mlp.norm",
    "mlp.fc1": "mlp.expand",
    "mlp.pos": "mlp.position",
    "mlp.fc2": "mlp.contract",
}


def import_published(
    name: str, folder: Path | str, files: Files, *, licence: str = LICENCE, trained_on: Sequence[str] = ()
) -> Card:
    """Combine the authors' files into a weights folder of a `legacy` diffSOD.

    Args:
        name: the diffSOD whose branch has these sizes.
        files: `checkpoint`, their .pth file of the condition branch ("Res2Net backbone"); `unet`, in safetensors;
            `base`, for autoencoder and schedule, which they leave as they are.

    Args, returns, raises: as `limelight.models.importers.import_published`.
    """
    unet, branch = files.required_unet(name), files.checkpoint
    if branch is None:
        raise UserError(f"{name} also needs the file of its condition branch; give that .pth file")
    digest, base = check_sha256(branch, files.sha256), named_folder(files.base)
    configs = read_configs(base)
    options = {"unet": read_unet_config(unet, wide=True), "vae": configs.vae, "scheduler": configs.scheduler}
    with empty_parameters():
        model: Any = create_model(name, **options, legacy=True)
    load_strict(model.condition.branch, from_published(read_pth(branch)), str(branch), assign=True)
    model.unet, model.vae = read_unet(unet), read_vae(base)
    return save_weights(
        folder,
        model,
        name=name,
        licence=licence,
        denoise_steps=PUBLISHED_STEPS,
        prepare={"filter": "bicubic", "companions": "stored"},
        finish={"filter": "bicubic", "full_contrast": True},
        source=f"imported from {Path(branch).name}, sha256 {digest}, and {Path(unet).name}/unet",
        trained_on=tuple(trained_on),
    )


def from_published(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of a published condition branch to those of `Branch`.

    The file holds the one shared backbone twice, and its ImageNet classifier; both are dropped.

    Args:
        state: 2 300 tensors under the authors' names.

    Returns:
        1 264 tensors; names that no rule knows are kept, so that strict loading reports them.

    Raises:
        UserError: the two copies of the backbone differ, so that it is not shared and this is not a published file.
    """
    twins = {key: value for key, value in state.items() if key.startswith(_TWIN)}
    for key, value in twins.items():
        original = state.get(_BACKBONE + key.removeprefix(_TWIN))
        if original is None or not torch.equal(original, value):
            raise UserError(
                f"the file's two backbones differ ({key}), but diffSOD's are equal; give a diffSOD checkpoint"
            )
    kept = state.keys() - twins.keys() - {f"{_BACKBONE}fc.weight", f"{_BACKBONE}fc.bias"}
    return {_rename(key): value for key, value in state.items() if key in kept}


def _rename(key: str) -> str:
    if key.startswith(_BACKBONE):
        return "backbone.network." + key.removeprefix(_BACKBONE)
    head = re.fullmatch(r"(original|x)_rfb([123])\.ff\.([0134])\.(\w+)", key)
    if head:
        return f"{_STREAM[head[1]]}_heads.{int(head[2]) - 1}.{_CONV[head[3]]}.{head[4]}"
    decoder = re.fullmatch(r"agg_(original|x)\.(\w+)\.([01])\.(\w+)", key)
    if decoder and decoder[2] in _DECODER:
        return f"{_STREAM[decoder[1]]}_decoder.{_DECODER[decoder[2]]}.{_DECODER_PART[decoder[3]]}.{decoder[4]}"
    fusion = re.fullmatch(r"afim\.(.+?)(\.weight|\.bias|)", key)
    if fusion and fusion[1] in _FUSION:
        return f"fusion.{_FUSION[fusion[1]]}{fusion[2]}"
    return key
