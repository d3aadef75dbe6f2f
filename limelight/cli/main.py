"""`limelight`: the command line. Heavy imports stand inside the commands, so that --help answers at once."""

import warnings
from pathlib import Path
from typing import Annotated

import typer

from limelight.cli.weights import base_weights, export, import_, weights
from limelight.foundation.artifacts import ARTIFACTS
from limelight.foundation.one_line import mistakes_in_one_line
from limelight.foundation.this_process import replace_process
from limelight.foundation.version import __version__

app = typer.Typer(
    help="Find what is salient in pictures; train, compare and serve the networks that do.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


Sources = Annotated[
    list[str] | None,
    typer.Argument(help="pictures, videos, folders (searched recursively), or - for stdin"),
]
Model = Annotated[
    Path | None,
    typer.Option(
        help="a weights folder or a name (limelight models, limelight weights) [the last pipeline run's champion, else "
        "limelight-base]"
    ),
]
Runtime = Annotated[str, typer.Option(help="auto, torch, torch-bf16, onnx-fp32, openvino-fp32, openvino-int8, ...")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda; cuda fails if there is no GPU")]


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"limelight {__version__}")
        raise typer.Exit


@app.callback()
def _limelight(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line. A user's mistake is reported in one line on standard error, with exit status 2."""
    warnings.filterwarnings("ignore", module=r"PIL\.")  # about damaged tags, which nothing here uses
    with mistakes_in_one_line():
        app()


@app.command()
def predict(
    sources: Sources = None,
    model: Model = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="folder, file, or - for stdout [results/<kind>]")
    ] = None,
    webcam: Annotated[
        str | None,
        typer.Option(
            help="predict a webcam, by index or device, into a window [unless there is --output], until Ctrl-C"
        ),
    ] = None,
    seconds: Annotated[float | None, typer.Option(min=0.001, max=1e9, help="of a webcam: stop after this time")] = None,
    video: Annotated[
        bool, typer.Option("--video", help="each folder that holds pictures is a clip, and they are its frames")
    ] = False,
    rate: Annotated[
        str | None, typer.Option(help="of folders of frames: frames per second, such as 29.97 or 30000/1001 [25]")
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            help="map, map16, npy, rgba, green, white, blur, overlay, '#rrggbb', or a background picture or video; "
            "with classes also labels [map; with classes labels]"
        ),
    ] = None,
    depth: Annotated[
        Path | None, typer.Option(help="the picture's depth: a file, or a folder that mirrors the pictures'")
    ] = None,
    thermal: Annotated[Path | None, typer.Option(help="the picture's thermal picture: as for --depth")] = None,
    classes: Annotated[
        str | None,
        typer.Option(help="names for an open-vocabulary network to find: 'dog, grass', or @file with one per line"),
    ] = None,
    template: Annotated[
        str | None, typer.Option(help="the text prompt of a class, with {} for its name ['a photo of a {}']")
    ] = None,
    background: Annotated[
        float | None, typer.Option(min=0, max=1, help="a pixel whose classes are all less probable gets none [0.5]")
    ] = None,
    denoise_steps: Annotated[
        int | None, typer.Option(min=1, help="sample from noise in this many steps [as the weights were trained]")
    ] = None,
    ensemble_size: Annotated[
        int, typer.Option(min=1, max=1000, help="sample this many times, and take the median")
    ] = 1,
    seed: Annotated[int | None, typer.Option(help="seed of the noise [0]")] = None,
    uncertainty: Annotated[
        bool, typer.Option("--uncertainty", help="also write how much the ensemble's members differ")
    ] = False,
    runtime: Runtime = "auto",
    device: Device = "auto",
    threads: Annotated[int | None, typer.Option(min=1, max=1024, help="CPU threads of the runtime")] = None,
    half_precision: Annotated[bool, typer.Option("--half-precision", help="compute in bf16")] = False,
    calibrated: Annotated[
        bool, typer.Option("--calibrated", help="maps whose probabilities are right, by the card's temperature")
    ] = False,
    high_resolution: Annotated[
        bool, typer.Option("--high-resolution", help="refine the map by tiles, up to the picture's own resolution")
    ] = False,
    guided: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=32,
            help="draw borders where the picture has edges: radius of the guided filter in pixels of the network's "
            "map, 0 = leave them [as the weights' card says]",
        ),
    ] = None,
    flip: Annotated[
        bool, typer.Option("--flip", help="average each map with that of the mirror image, for twice the time")
    ] = False,
    vae: Annotated[
        Path | None, typer.Option(help="for diffusion networks: a folder with another autoencoder, such as TAESD")
    ] = None,
    size: Annotated[
        int | None, typer.Option(min=1, help="stretch pictures to a square of this side in pixels [as in training]")
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            help="stretch; shorter or longest: keep proportions, that side at most --size; native: each picture's own "
            "size [as the weights' card says]"
        ),
    ] = None,
    processing_res: Annotated[
        int | None,
        typer.Option(min=0, help="instead of --size, keep proportions: pixels of the longer side, 0 = unchanged"),
    ] = None,
    output_processing_res: Annotated[
        bool, typer.Option("--output-processing-res", help="write results at the size they were computed at")
    ] = False,
    batch_size: Annotated[int, typer.Option(min=0, help="pictures at once; 0 = as memory allows")] = 8,
    smoothing: Annotated[
        float, typer.Option(min=0, max=0.99, help="of videos: share of the frame before in each frame's map")
    ] = 0.0,
    look_ahead: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="of videos, for networks of clips: give each frame a window of its own, with this many later frames",
        ),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="make the map black and white, divided at this value")
    ] = None,
    reverse: Annotated[bool, typer.Option("--reverse", help="keep the background instead of the object")] = False,
    format: Annotated[
        str | None, typer.Option(help="png, webp or jpg, of videos mp4, mov, mkv or webm [by the suffix of --output]")
    ] = None,
    quality: Annotated[
        int | None,
        typer.Option(
            min=1, max=100, help="quality of webp and jpg files; webp is lossless at 100 [90; with transparency 100]"
        ),
    ] = None,
    max_pixels: Annotated[
        int | None, typer.Option(min=1, help="refuse pictures of more pixels, before decoding them [50000000]")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite/--skip-existing", help="make existing results again")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="print errors only")] = False,
) -> None:
    """Find what is salient, or named classes, and write results.

    These are maps, labels, cut-outs or new backgrounds. They mirror the folders of their pictures. To resume an
    interrupted run, give the same command again. A picture or video that cannot be read, a picture whose depth or
    thermal picture cannot be read, or that is too large for the memory is listed in failures.csv, and the exit status
    is 1.
    """
    options = locals() | {"sources": sources or []}
    from limelight.predict.command import run
    from limelight.predict.options import PredictOptions

    raise typer.Exit(run(PredictOptions(**options)))


@app.command()
def bench(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            help="weights folders, names of artifacts/ and of limelight weights, or networks of limelight models, "
            "which have random weights then [the weights that come with Limelight]"
        ),
    ] = None,
    runtime: Annotated[
        list[str] | None,
        typer.Option(help="torch, onnx-fp32, openvino-int8, ...; may be repeated [all that this machine has]"),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="a folder of pictures, or of a clip's frames [photos and a drawn clip of the package]"),
    ] = None,
    protocol: Annotated[
        str,
        typer.Option(
            help="pictures: from pixels to map; authors: as SDNet's authors, random numbers through the network alone, "
            "320 pixels, of clips 8 frames of 256"
        ),
    ] = "pictures",
    size: Annotated[
        int | None, typer.Option(min=1, help="side of the network's input, pixels [as on the card; authors: theirs]")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, max=1024, help="of every runtime [one per core]")] = None,
    runs: Annotated[
        int | None, typer.Option(min=2, help="calls that are timed [50, of clips 10; authors: 110 and 11]")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda; exports run on the CPU alone")] = "cpu",
    json: Annotated[Path | None, typer.Option("--json", help="also write the figures here")] = None,
    plot: Annotated[Path | None, typer.Option(help="plot speed and accuracy: a .png, .svg or .pdf file")] = None,
    reports: Annotated[
        Path | None, typer.Option(help="take accuracy from here, such as reports/eval [from the weights' cards]")
    ] = None,
    metric: Annotated[
        str | None, typer.Option(help="of the plot, by its name on the cards or in the reports [MAE]")
    ] = None,
) -> None:
    """Compare models in every runtime and number format.

    Latency, throughput, memory, cost, and the gain over the training form, in one run, by turns. Exports that are not
    there are made first.
    """
    options = {**locals(), "models": models or (), "runtime": runtime or ()}
    from limelight.bench.command import BenchOptions, run

    raise typer.Exit(run(BenchOptions(**options)))


@app.command()
def models(
    pattern: Annotated[str, typer.Argument(help="shell pattern of names")] = "*",
    artifacts: Annotated[Path, typer.Option(help="the folder that holds weights folders")] = ARTIFACTS,
) -> None:
    """List the networks, and the weights that are here."""
    from limelight.cli.listing import model_lines

    for line in model_lines(pattern, artifacts):
        print(line)


@app.command()
def data() -> None:
    """List the datasets of the catalogue, and which are here."""
    from limelight.cli.listing import data_lines

    for line in data_lines():
        print(line)


@app.command()
def doctor(as_json: Annotated[bool, typer.Option("--json", help="print one JSON list")] = False) -> None:
    """Check what works here, what is missing, and what to do.

    The exit status is 1 if something is broken.
    """
    from limelight.cli.doctor import examine, render

    findings = examine()
    print(render(findings, as_json=as_json))
    if any(finding.state == "broken" for finding in findings):
        raise typer.Exit(1)


app.add_typer(weights, name="weights", short_help="List or fetch published weights by name.")
app.command("import")(import_)
app.command(short_help="Write weights for ONNX Runtime and OpenVINO.")(export)
app.command("base-weights", short_help="Fetch Stable Diffusion 2's weights once, and pin them.")(base_weights)


@app.command()
def train(name: Annotated[str, typer.Argument(help="a run of params.yaml")]) -> None:
    """Train one run of params.yaml without dvc.

    It learns from its teacher if it has one. `dvc repro` also skips what has not changed.
    """
    from limelight.config import load_params

    replace_process(
        "-m", "limelight.stages.distill" if name in load_params().teachers else "limelight.stages.train", name
    )


@app.command()
def evaluate(name: Annotated[str, typer.Argument(help="a folder below artifacts/")]) -> None:
    """Evaluate one weights folder without dvc."""
    replace_process("-m", "limelight.stages.evaluate", name)


@app.command(add_help_option=False, context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
def serve(context: typer.Context) -> None:
    """Serve predictions over HTTP, with a page to try them.

    `limelight serve --help` lists the options.
    """
    replace_process("-m", "limelight.services.launch", *context.args)


if __name__ == "__main__":
    main()
