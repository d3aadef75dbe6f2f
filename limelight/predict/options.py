"""The options of `limelight predict`, and what both its pictures and its videos make of them."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limelight.champions.record import champions
from limelight.foundation.errors import UserError
from limelight.imaging.encoding import JPEG
from limelight.imaging.extensions import EXTENSIONS
from limelight.imaging.header import MAX_PIXELS
from limelight.inference.loading import load
from limelight.inference.open_vocabulary import OpenVocabularyPredictor
from limelight.inference.plan import Device, Request
from limelight.inference.saliency import SaliencyPredictor
from limelight.inference.sampling import Sampling
from limelight.inference.segment import BACKGROUND
from limelight.media.sources import check_link
from limelight.media.suffixes import UNSUPPORTED
from limelight.media.video.formats import is_video
from limelight.models.card import Card, Policy
from limelight.models.class_names import checked_classes
from limelight.predict.styles import LABEL_KINDS, LabelStyle, Style
from limelight.predict.weights import choose_weights

STREAM = "-"
"""Standard input, or standard output."""
INTERRUPTED = 130
"""Exit status after Ctrl-C."""
AnyPredictor = SaliencyPredictor | OpenVocabularyPredictor


@dataclass(frozen=True)
class PredictOptions:
    """The options of `limelight predict`, under their own names."""

    sources: list[str]
    webcam: str | None
    seconds: float | None
    video: bool
    rate: str | None
    model: Path | None
    output: str | None
    kind: str | None
    depth: Path | None
    thermal: Path | None
    classes: str | None
    template: str | None
    background: float | None
    denoise_steps: int | None
    ensemble_size: int
    seed: int | None
    uncertainty: bool
    runtime: str
    device: Device
    threads: int | None
    half_precision: bool
    calibrated: bool
    high_resolution: bool
    guided: int | None
    flip: bool
    vae: Path | None
    size: int | None
    processing_res: int | None
    policy: Policy | None
    output_processing_res: bool
    batch_size: int
    smoothing: float
    look_ahead: int | None
    threshold: float | None
    reverse: bool
    format: str | None
    quality: int | None
    max_pixels: int | None
    overwrite: bool
    quiet: bool


def check_sources(sources: Sequence[str]) -> None:
    """Refuse what does not exist, before seconds are spent on loading."""
    if "" in sources:
        raise UserError("a source is empty; name a picture, a video or a folder of them ('.' is this one)")
    for source in sources:
        if source == STREAM:
            continue
        check_link(path := Path(source))
        with suppress(PermissionError):  # said when it is read
            if not path.exists() and "://" in source:
                raise UserError(f"{source}: addresses are not fetched; download it first")
            if not path.exists():
                raise UserError(f"{path} does not exist; give a picture, a video or a folder of them")


def is_folder(target: str) -> bool:
    """Whether results go into a folder of this name: it says so, or there is one."""
    return target.endswith("/") or os.path.isdir(target)  # noqa: PTH112 - Path raises for names that are too long


def names_file(target: str) -> bool:
    """Whether a target is no folder, and has a suffix of pictures, videos or arrays, written here or not."""
    suffixes = {*EXTENSIONS, *UNSUPPORTED, ".npy"}
    return not is_folder(target) and (is_video(target) or Path(target).suffix.lower() in suffixes)


def result_suffix(options: PredictOptions, named: str | None) -> str | None:
    """The suffix of results: that of the single result's name, else that of --format; None without either.

    Raises:
        UserError: the two differ.
    """
    requested = None if options.format is None else f".{options.format.lower().removeprefix('.')}"
    if requested and named and requested != named and not {requested, named} <= set(JPEG):
        raise UserError(
            f"--format {options.format} makes {requested} files, but --output is {options.output}; leave out one"
        )
    return named or requested


def check_task(predictor: AnyPredictor, style: Style, options: PredictOptions) -> None:
    """Refuse classes or their absence where the weights' task does not fit, and prompts that are too long."""
    model = predictor.card.architecture.model
    if isinstance(predictor, OpenVocabularyPredictor):
        if not isinstance(style, LabelStyle):
            raise UserError(f"{model} needs text prompts; name classes (--classes)")
        predictor.prompts_for(style.classes, options.template)
    elif isinstance(style, LabelStyle) or options.template is not None:
        given = "--classes" if isinstance(style, LabelStyle) else "--template"
        raise UserError(f"{model} takes no text prompts; leave {given} out, or choose another model")


def read_classes(text: str) -> tuple[str, ...]:
    """Parse class names: 'dog, grass', or '@names.txt' for a file with one per line.

    Raises:
        UserError: there is none, one is empty or given twice, or the file cannot be read.
    """
    if not text.startswith("@"):
        return checked_classes(text.split(",") if text.strip() else [])
    try:
        lines = Path(text[1:]).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UserError(
            f"cannot read classes from {text[1:]}: {reason}; give a UTF-8 file, one class a line"
        ) from error
    return checked_classes([line for line in lines if line.strip()])


def style_of(options: PredictOptions, file_type: str) -> Style:
    if options.uncertainty and options.ensemble_size < 2:
        raise UserError("--uncertainty needs an ensemble; ask for --ensemble-size 2 or more")
    common: dict[str, Any] = {
        "threshold": options.threshold,
        "reverse": options.reverse,
        "uncertainty": options.uncertainty,
        "file_type": file_type,
        "quality": options.quality,
        "max_pixels": options.max_pixels or MAX_PIXELS,
    }
    if options.classes is not None:
        if options.background is not None and options.kind not in (None, *LABEL_KINDS):
            raise UserError(
                f"--background is for {' and '.join(LABEL_KINDS)}, not for kind {options.kind}; leave it out"
            )
        return LabelStyle(
            "labels" if options.kind is None else options.kind,
            **common,
            classes=read_classes(options.classes),
            template=options.template,
            background=BACKGROUND if options.background is None else options.background,
        )
    if options.background is not None or options.kind == "labels":
        option = "--kind labels" if options.background is None else "--background"
        raise UserError(f"{option} needs classes; name some (--classes)")
    return Style("map" if options.kind is None else options.kind, **common)


def load_predictor(options: PredictOptions) -> AnyPredictor:
    if options.high_resolution and options.output_processing_res:
        raise UserError("--high-resolution and --output-processing-res ask for two sizes of results; leave one out")
    request = Request(
        runtime=options.runtime,
        device=options.device,
        threads=options.threads,
        size=options.size,
        processing_res=options.processing_res,
        policy=options.policy,
        sampling=Sampling(options.denoise_steps, options.ensemble_size, options.seed or 0),
        half_precision=options.half_precision,
        calibrated=options.calibrated,
        high_resolution=options.high_resolution,
        guided=options.guided,
        flip=options.flip,
        vae=options.vae,
    )
    task = "saliency" if options.classes is None else "open-vocabulary"
    if options.model is None and task == "open-vocabulary" and task not in champions():
        raise UserError(
            "--classes needs an open-vocabulary network (--model); none comes with Limelight, see docs/diffusion.md"
        )
    predictor = load(*choose_weights(options.model, request, task, runtime_is_open=options.runtime == "auto"))
    if options.seed is not None and predictor.plan.sampling.steps is None:
        raise UserError(f"{predictor.card.architecture.model} draws no noise here; leave --seed out")
    return predictor


def print_description(options: PredictOptions, predictor: AnyPredictor) -> None:
    """Say what is used, and which of the options may not do what is meant."""
    print(predictor.description, file=sys.stderr)
    for text in _notes(options, predictor.card):
        print(f"note: {text}", file=sys.stderr)


def _notes(options: PredictOptions, card: Card) -> Iterator[str]:
    if options.size is not None and options.size not in card.prepare.size:
        yield f"{options.size} pixels are rounded to {max(card.prepare.size)}, which this network can take"
    if options.denoise_steps and card.use.denoise_steps is None:
        yield "these weights were trained for a single step without noise; several steps give worse results"
    if card.use.caution:
        yield card.use.caution
