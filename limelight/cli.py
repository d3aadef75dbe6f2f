"""`limelight`: the command line. Heavy imports stand inside the commands, so that --help answers at once."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from limelight.cli_weights import base_weights, import_
from models.errors import UserError

if TYPE_CHECKING:
    from limelight.inference.predictor import Predictor
    from limelight.inference.tree import Style

app = typer.Typer(
    help="Find what is salient in pictures; train, compare and serve the networks that do.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

STREAM = "-"

Sources = Annotated[list[str], typer.Argument(help="pictures, folders (searched to their depths), or - for stdin")]
Model = Annotated[Path | None, typer.Option(help="a weights folder; default: the champion of the last pipeline run")]
Runtime = Annotated[str, typer.Option(help="auto, torch, torch-bf16, onnx-fp32, openvino-fp32, openvino-int8, ...")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda; cuda fails where there is none")]
Host = Annotated[str, typer.Option(help="0.0.0.0 lets other machines in: set LIMELIGHT_TOKEN first")]


def main() -> None:
    """Run the command line. A user's mistake is one line on standard error and exit status 2."""
    try:
        app()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


@app.command()
def predict(
    sources: Sources,
    model: Model = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="folder, file, or - for stdout [results/<kind>]")
    ] = None,
    kind: Annotated[
        str,
        typer.Option(help="map, map16, npy, rgba, green, white, blur, overlay, '#rrggbb', or a background picture"),
    ] = "map",
    depth: Annotated[
        Path | None, typer.Option(help="the picture's depth: a file, or a folder that mirrors the pictures'")
    ] = None,
    thermal: Annotated[Path | None, typer.Option(help="its thermal picture, likewise")] = None,
    runtime: Runtime = "auto",
    device: Device = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="of the runtime on the CPU")] = None,
    size: Annotated[int | None, typer.Option(min=1, help="feed the network this many pixels a side")] = None,
    batch_size: Annotated[int, typer.Option(min=1)] = 8,
    threshold: Annotated[float | None, typer.Option(min=0, max=1, help="make the map hard at this value")] = None,
    reverse: Annotated[bool, typer.Option("--reverse", help="keep the background instead of the object")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite/--skip-existing", help="redo what is there")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="say nothing but errors")] = False,
) -> None:
    """Find what is salient, and write maps, cut-outs or new backgrounds.

    Results mirror the tree of their pictures. An interrupted run is resumed by giving the same command again. Pictures
    that cannot be read, or whose depth or thermal picture cannot, are listed in failures.csv, and the exit status is 1.
    """
    from limelight.inference.champion import champion
    from limelight.inference.predictor import Predictor
    from limelight.inference.tree import Style
    from limelight.media.outputs import output as output_of

    style = Style(output_of(kind), threshold, reverse)
    target = output or (STREAM if sources == [STREAM] else str(Path("results") / style.output.name))
    if device not in ("auto", "cpu", "cuda"):
        raise UserError(f"unknown device {device!r}; choose auto, cpu or cuda")
    single = _single_target(sources, target, style)
    second = _second(depth, thermal)
    if model is None:
        model, won_with = champion()
        # The champion is the fastest of its kind on a CPU in this runtime; a GPU is PyTorch's.
        runtime = won_with if (runtime, device) == ("auto", "auto") else runtime
    predictor = Predictor.load(model, runtime=runtime, device=device, threads=threads, size=size)
    predictor.modality_for(second is not None, second and second[0])  # refused before any work is done
    if not quiet:
        print(predictor.description, file=sys.stderr)
    if single is not None:
        _predict_one(predictor, sources[0], single, style, second)
    else:
        _predict_many(
            predictor, sources, Path(target), style, second, batch_size=batch_size, overwrite=overwrite, quiet=quiet
        )


def _second(depth: Path | None, thermal: Path | None) -> tuple[str, Path] | None:
    """The modality that the second pictures make, and where they are."""
    given = [(modality, path) for modality, path in (("rgbd", depth), ("rgbt", thermal)) if path is not None]
    if len(given) > 1:
        raise UserError("a picture has depth or a thermal picture, not both; leave out --depth or --thermal")
    return given[0] if given else None


def _single_target(sources: list[str], target: str, style: "Style") -> str | None:
    """Where the one result goes if it has a place of its own: a file, or standard output. None: a folder."""
    if STREAM in sources and len(sources) > 1:
        raise UserError("- (standard input) stands alone; give it without other sources")
    one = len(sources) == 1 and not Path(sources[0]).is_dir()
    if target == STREAM or sources == [STREAM]:
        if not one:
            raise UserError("only one picture can go to standard output; give a folder (--output)")
        if target == STREAM and sys.stdout.isatty():
            raise UserError("standard output is a terminal; redirect it, or name a file (--output)")
        return target
    suffix = Path(target).suffix.lower()
    if not one or suffix not in (".png", ".npy") or Path(target).is_dir():
        return None
    if suffix != style.output.suffix:
        raise UserError(f"{target}: results of kind {style.output.name} are {style.output.suffix} files; rename it")
    return target


def _predict_one(
    predictor: "Predictor", source: str, target: str, style: "Style", second: tuple[str, Path] | None
) -> None:
    from limelight.inference.pictures import read_picture
    from limelight.media.outputs import encode, write_output

    modality, where = second or ("rgb", None)
    companion = where and _companion_of(source, where)
    if target != STREAM and Path(target).resolve() in (Path(source).resolve(), companion and companion.resolve()):
        raise UserError(f"{target} is the picture itself, or its companion; choose another --output")
    picture = read_picture(sys.stdin.buffer.read() if source == STREAM else Path(source), companion, modality)
    (found,) = predictor.predict([picture.image_HW3], [picture.companion_HW], modality=modality)
    result = style.render(picture.image_HW3, found.saliency_HW)
    if target == STREAM:
        sys.stdout.buffer.write(encode(result))
        sys.stdout.buffer.flush()
    else:
        write_output(target, result)


def _companion_of(source: str, where: Path) -> Path:
    """The companion of a single picture: the file itself, or the one that its name finds in a folder."""
    from limelight.media.sources import find_companions, find_sources

    if source == STREAM or not where.is_dir():
        return where
    (found,) = find_companions(find_sources([Path(source)]), where).values()
    if isinstance(found, UserError):
        raise found
    return found


def _predict_many(
    predictor: "Predictor",
    sources: list[str],
    folder: Path,
    style: "Style",
    second: tuple[str, Path] | None,
    *,
    batch_size: int,
    overwrite: bool,
    quiet: bool,
) -> None:
    from limelight.inference.tree import FAILURES, Companions, predict_tree
    from limelight.media.sources import find_companions, find_sources

    arguments, skip, companions = [Path(source) for source in sources], [folder], None
    if second is not None and any(second[1].resolve() == argument.resolve() for argument in arguments):
        raise UserError(f"{second[1]} holds the pictures themselves; give their companions a folder of their own")
    if second is not None and any(argument.resolve() in second[1].resolve().parents for argument in arguments):
        skip.append(second[1])  # what lies below the pictures' folder is no picture of theirs
    found = find_sources(arguments, skip=skip)
    if second is not None:
        companions = Companions(*second, find_companions(found, second[1]))
    report = predict_tree(
        predictor,
        found,
        folder,
        style,
        companions=companions,
        batch_size=batch_size,
        overwrite=overwrite,
        quiet=quiet,
    )
    summary = f"{report.written} written to {folder}, {report.skipped} already there, {len(report.failures)} failed"
    if report.failures:
        _, reason = report.failures[0]
        print(f"error: {summary}; see {folder / FAILURES}. The first: {reason}", file=sys.stderr)
        raise typer.Exit(1)
    if not quiet:
        print(summary, file=sys.stderr)


@app.command()
def models(
    pattern: Annotated[str, typer.Argument(help="shell pattern of names")] = "*",
    artifacts: Annotated[Path, typer.Option(help="where weights folders are looked for")] = Path("artifacts"),
) -> None:
    """List the networks, and the weights that are here."""
    from limelight.listing import model_lines

    for line in model_lines(pattern, artifacts):
        print(line)


@app.command()
def data() -> None:
    """List the datasets of the catalogue, and whether they are here."""
    from limelight.listing import data_lines

    for line in data_lines():
        print(line)


@app.command()
def doctor(as_json: Annotated[bool, typer.Option("--json", help="one JSON list")] = False) -> None:
    """Look over this machine and folder: what works, what is missing, what to do. Exit 1 if something is broken."""
    from limelight.doctor import examine, render

    findings = examine()
    print(render(findings, as_json=as_json))
    if any(finding.state == "broken" for finding in findings):
        raise typer.Exit(1)


app.command("import")(import_)
app.command("base-weights")(base_weights)


@app.command()
def train(name: Annotated[str, typer.Argument(help="a run of params.yaml")]) -> None:
    """Train one run outside of dvc; `dvc repro` does the same, and knows when nothing changed."""
    _become("-m", "stages.train", name)


@app.command()
def evaluate(name: Annotated[str, typer.Argument(help="a folder below artifacts/")]) -> None:
    """Score one set of weights outside of dvc."""
    _become("-m", "stages.evaluate", name)


@app.command()
def serve(
    model: Annotated[Path | None, typer.Option(help="serve this weights folder")] = None,
    bento: Annotated[Path | None, typer.Option(help="serve this exported bento")] = None,
    words: Annotated[bool, typer.Option("--words", help="what finds words, where both kinds are packaged")] = False,
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 3000,
) -> None:
    """Serve predictions over HTTP, with a page to try them at /.

    Without --model or --bento: the packaged bento, or the champion where none is packaged yet.
    """
    from limelight.inference.champion import SALIENCY, WORDS, champion, champions
    from limelight.packaging import SERVICES, service_of, unpack
    from models.weights import read_card

    os.environ["BENTOML_DO_NOT_TRACK"] = "True"
    task = WORDS if words or list(champions()) == [WORDS] else SALIENCY
    if model is None and bento is None and SERVICES[task].bento.is_file():
        bento = SERVICES[task].bento
    if bento is not None:
        what = str(unpack(bento, Path("work/serve")))
    else:
        folder, runtime = (model, "auto") if model else champion(task)
        what = service_of(read_card(folder)).entry
        os.environ["LIMELIGHT_MODEL"] = str(folder.resolve())
        os.environ.setdefault("LIMELIGHT_RUNTIME", runtime)
    _become("-m", "bentoml", "serve", what, "--host", host, "--port", str(port))


def _become(*arguments: str) -> None:
    """Replace this process by another Python, which then gets the signals meant for this one."""
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *arguments])


if __name__ == "__main__":
    main()
