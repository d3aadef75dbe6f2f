"""The implementation of `limelight predict`, after option parsing."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from limelight.champions.record import champion
from limelight.class_names import checked_classes
from limelight.deploy.first_use import with_export
from limelight.foundation.errors import UserError
from limelight.foundation.files import write_bytes, write_json
from limelight.imaging.header import EXTENSIONS, MAX_PIXELS
from limelight.imaging.images import FILE_TYPES, JPEG, read_picture
from limelight.inference.plan import Device
from limelight.inference.plan import Request as LoadRequest
from limelight.inference.predictor import OpenVocabularyPredictor, SaliencyPredictor, load
from limelight.inference.sampling import Sampling
from limelight.inference.segment import BACKGROUND
from limelight.media.sources import RECORD, check_link, find_companions, find_sources, scan
from limelight.media.suffixes import check_is_read
from limelight.media.walk import Walk
from limelight.models.card import Policy
from limelight.predict.styles import EXACT, Job, LabelStyle, Style
from limelight.predict.tree import FAILURES, LEGEND, Companions, predict_tree
from limelight.predict.video import find_videos, predict_video, say, video_suffix

STREAM = "-"
INTERRUPTED = 130
"""Exit status after Ctrl-C."""
_NOTES = 5
"""Number of notes printed."""
AnyPredictor = SaliencyPredictor | OpenVocabularyPredictor
Second = tuple[str, Path] | None
"""Modality and path of the companions, if any."""


@dataclass(frozen=True)
class Request:
    """The options of `limelight predict`, under their own names."""

    sources: list[str]
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
    seed: int
    uncertainty: bool
    runtime: str
    device: Device
    threads: int | None
    half_precision: bool
    calibrated: bool
    high_resolution: bool
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


def run(request: Request) -> int:
    """Predict, and write the requested results.

    Returns:
        The exit status: 1 where some pictures failed and are listed, or a video; 130 after Ctrl-C in a video.

    Raises:
        UserError: an error found before work begins, or in a single picture or video.
    """
    _check_sources(request.sources)
    paths = [Path(source) for source in request.sources if source != STREAM]
    videos = find_videos(paths, Path(request.output or "results"))
    for_videos = {"--smoothing": request.smoothing > 0, "--look-ahead": request.look_ahead is not None}
    if not videos and (given := [name for name, is_given in for_videos.items() if is_given]):
        raise UserError(f"{given[0]} is for videos, and there is none; leave it out")
    if not videos:
        return _run_pictures(request)
    status = run_videos(request, videos)
    others = [path for path in paths if path not in videos]
    folders = [path.resolve() for path in others if path.is_dir()]
    if status == INTERRUPTED or (len(folders) == len(others) and not Walk(folders, marker=RECORD).pictures):
        return status
    return max(status, _run_pictures(replace(request, sources=[str(path) for path in others])))


def run_videos(request: Request, videos: Mapping[Path, Path]) -> int:
    """Predict videos, and write the results.

    Args:
        videos: see `find_videos`.
    """
    only_pictures = {
        "--depth": request.depth,
        "--thermal": request.thermal,
        "--output-processing-res": request.output_processing_res or None,
    }
    if given := [name for name, value in only_pictures.items() if value is not None]:
        raise UserError(f"{' and '.join(given)} cannot be given with videos; leave it out")
    requested = None if request.format is None else f".{request.format.lower().removeprefix('.')}"
    output = request.output or ""
    named = Path(output).suffix.lower()
    one = len(videos) == len(request.sources) == 1 and Path(request.sources[0]) in videos
    single = one and named != "" and not output.endswith("/") and not Path(output).is_dir()
    style = _style(request, ".png")
    suffix = video_suffix(style, named if single else requested)
    predictor = _load(request)
    _check_task(predictor, style, request)
    assert isinstance(predictor, SaliencyPredictor), "see _check_task"
    if not request.quiet:
        print(predictor.description, file=sys.stderr)
    status = 0
    for video, place in videos.items():
        target = Path(output) if single else Path(output or f"results/{style.name}", place).with_suffix(suffix)
        if not single and target.exists() and not request.overwrite:
            print(f"{target} is already there (--overwrite makes it again)", file=sys.stderr)
            continue
        try:
            report = predict_video(
                predictor,
                style,
                video,
                target,
                smoothing=request.smoothing,
                look_ahead=request.look_ahead,
                quiet=request.quiet,
            )
        except UserError as error:
            if len(videos) == 1:
                raise
            print(f"error: {error}", file=sys.stderr)
            status = 1
            continue
        say(report, video)
        if report.interrupted:
            return INTERRUPTED
    return status


def _run_pictures(request: Request) -> int:
    file_type = _file_type(request)
    style, second = _style(request, file_type), _second(request)
    target = request.output or (STREAM if request.sources == [STREAM] else f"results/{style.name}/")
    single = _single_target(request.sources, target, style)
    predictor = _load(request)
    _check_task(predictor, style, request)  # fail before any work is done
    predictor.modality_for(second is not None, second and second[0])
    if not request.quiet:
        print(predictor.description, file=sys.stderr)
        for text in _notes(request, predictor):
            print(f"note: {text}", file=sys.stderr)
    job = Job(predictor, style, second and second[0], request.batch_size, request.output_processing_res)
    if single is not None:
        return _predict_one(job, request, single, second)
    return _predict_many(job, request, Path(target), second)


def _check_sources(sources: Sequence[str]) -> None:
    """Refuse what does not exist, before seconds are spent on loading."""
    for path in (Path(source) for source in sources if source != STREAM):
        check_link(path)
        with suppress(PermissionError):  # said when it is read
            if not path.exists():
                raise UserError(f"{path} does not exist; give a picture or a folder of pictures")


def _check_task(predictor: AnyPredictor, style: Style, request: Request) -> None:
    """Refuse classes or their absence where the weights' task does not fit, and prompts that are too long."""
    model = predictor.card.architecture.model
    if isinstance(predictor, OpenVocabularyPredictor):
        if not isinstance(style, LabelStyle):
            raise UserError(f"{model} needs text prompts; name classes (--classes)")
        predictor.prompts_for(style.classes, request.template)
    elif isinstance(style, LabelStyle) or request.template is not None:
        raise UserError(f"{model} takes no text prompts; leave the classes out, or choose another model")


def _notes(request: Request, predictor: AnyPredictor) -> Iterator[str]:
    """Yield warnings about settings that work, but give worse results than the weights' own."""
    use = predictor.card.use
    if request.denoise_steps and use.denoise_steps is None:
        yield "these weights were trained for a single step without noise; several steps give worse results"
    if use.caution:
        yield use.caution


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
        raise UserError(f"cannot read classes from {text[1:]}: {error}; give a UTF-8 file, one class a line") from error
    return checked_classes([line for line in lines if line.strip()])


def _file_type(request: Request) -> str:
    """Return the suffix of 8-bit results: as requested, or that of the single result's name."""
    requested = None if request.format is None else f".{request.format.lower().removeprefix('.')}"
    output = request.output or ""
    suffix = Path(output).suffix.lower()
    is_file = suffix in FILE_TYPES and not output.endswith("/") and not Path(output).is_dir()
    named = suffix if is_file else None
    if requested and named and requested != named and not {requested, named} <= set(JPEG):
        raise UserError(f"--format {request.format} makes {requested} files, but --output is {output}; leave out one")
    return named or requested or ".png"


def _style(request: Request, file_type: str) -> Style:
    if request.uncertainty and request.ensemble_size < 2:
        raise UserError("--uncertainty needs an ensemble; ask for --ensemble-size 2 or more")
    if request.classes is not None:
        return LabelStyle(
            request.kind or "labels",
            threshold=request.threshold,
            reverse=request.reverse,
            uncertainty=request.uncertainty,
            file_type=file_type,
            quality=request.quality,
            max_pixels=request.max_pixels or MAX_PIXELS,
            classes=read_classes(request.classes),
            template=request.template,
            background=BACKGROUND if request.background is None else request.background,
        )
    if request.background is not None or request.kind == "labels":
        raise UserError("--background and --kind labels need classes; name some (--classes)")
    return Style(
        request.kind or "map",
        threshold=request.threshold,
        reverse=request.reverse,
        uncertainty=request.uncertainty,
        file_type=file_type,
        quality=request.quality,
        max_pixels=request.max_pixels or MAX_PIXELS,
    )


def _load(request: Request) -> AnyPredictor:
    model, runtime, won_with = request.model, request.runtime, None
    if model is None:
        model, won_with = champion("saliency" if request.classes is None else "open-vocabulary")
    # The champion is the fastest of its kind on a CPU in its runtime; GPU and sampling require PyTorch.
    if won_with and (runtime, request.device, request.denoise_steps, request.vae) == ("auto", "auto", None, None):
        runtime = won_with
    load_request = LoadRequest(
        runtime=runtime,
        device=request.device,
        threads=request.threads,
        size=request.size,
        processing_res=request.processing_res,
        policy=request.policy,
        sampling=Sampling(request.denoise_steps, request.ensemble_size, request.seed),
        half_precision=request.half_precision,
        calibrated=request.calibrated,
        high_resolution=request.high_resolution,
        vae=request.vae,
    )
    return load(with_export(model, runtime), load_request)


def _second(request: Request) -> Second:
    pairs = (("rgbd", request.depth), ("rgbt", request.thermal))
    given = [(modality, path) for modality, path in pairs if path is not None]
    if len(given) > 1:
        raise UserError("a picture has depth or a thermal picture, not both; leave out --depth or --thermal")
    return given[0] if given else None


def _single_target(sources: list[str], target: str, style: Style) -> str | None:
    """Return the target of the single picture's result if it is a file or standard output; None for a folder.

    Raises:
        UserError: the target is neither, or does not fit these sources.
    """
    if STREAM in sources and len(sources) > 1:
        raise UserError("- (standard input) cannot be combined with other sources; give it alone")
    one = len(sources) == 1 and not os.path.isdir(sources[0])  # noqa: PTH112 - Path raises in a folder without access
    suffix, made = Path(target).suffix.lower(), Path(style.endings[0]).suffix or style.endings[0]
    folder = target.endswith("/") or Path(target).is_dir()
    if target == STREAM or sources == [STREAM]:
        if not one:
            raise UserError("only one picture can go to standard output; give a folder (--output)")
        if target == STREAM and len(style.endings) > 1:
            raise UserError(
                f"the results are {len(style.endings)} files, not one for standard output; name a file (--output)"
            )
        if target == STREAM and sys.stdout.isatty():
            raise UserError("standard output is a terminal; redirect it, or name a file (--output)")
        if target != STREAM and (folder or suffix != made):
            raise UserError(f"{target}: the result of - (standard input) has no name; name a {made} file")
        return target
    if folder or suffix not in {*EXTENSIONS, ".npy"}:
        return None
    if not one:
        raise UserError(f"{target} is a file's name, but these results need a folder; name one, or put / at its end")
    if suffix != made:
        types = made if style.kind in EXACT else f"{', '.join(FILE_TYPES[:-1])} or {FILE_TYPES[-1]}"
        raise UserError(f"{target}: results of kind {style.name} are {types} files; rename it")
    return target


def _predict_one(job: Job, request: Request, target: str, second: Second) -> int:
    source, (modality, where) = request.sources[0], second or ("rgb", None)
    companion = where and _companion_of(source, where)
    for path in (source, companion):
        if path is not None and path != STREAM:
            check_link(Path(path))
    if source != STREAM:
        check_is_read(source)
    places = _places(target, job.style)
    inputs = {Path(path).resolve() for path in (source, companion) if path is not None}
    if target != STREAM and any(place.resolve() in inputs for place in places):
        raise UserError(f"{target} is the picture itself, or its companion; choose another --output")
    given = sys.stdin.buffer.read() if source == STREAM else Path(source)
    picture = read_picture(given, companion, modality, job.style.max_pixels)
    (prediction,) = job.predict([picture])
    contents = job.style.render(picture.photo, prediction)
    if target == STREAM:
        sys.stdout.buffer.write(contents[0])
        sys.stdout.buffer.flush()
    else:
        for place, content in zip(places, contents, strict=True):
            write_bytes(place, content)
        if isinstance(job.style, LabelStyle):
            places.append(Path(target).with_suffix(f".{LEGEND}"))
            write_json(places[-1], job.style.legend)
        if not request.quiet:
            print(f"written to {', '.join(map(str, places))}", file=sys.stderr)
    if not request.quiet:
        for note in picture.photo.notes:
            print(f"note: {source}: {note}", file=sys.stderr)
    if picture.photo.omitted:
        print(f"error: {source}: {picture.photo.omitted}", file=sys.stderr)
    return 1 if picture.photo.omitted else 0


def _places(target: str, style: Style) -> list[Path]:
    """List the paths of one picture's results: the target with the style's endings, its suffix (.PNG) as typed."""
    stem, suffix = str(Path(target).with_suffix("")), Path(target).suffix
    bare = [ending.removesuffix(suffix.lower()) for ending in style.endings]
    return [
        Path(f"{stem}{ending if short == ending else short + suffix}")
        for short, ending in zip(bare, style.endings, strict=True)
    ]


def _companion_of(source: str, where: Path) -> Path:
    """Return a single picture's companion: the file itself, or the match for its name in a folder."""
    if source == STREAM or not where.is_dir():
        return where
    (companion,) = find_companions(find_sources([Path(source)]), where).values()
    if isinstance(companion, UserError):
        raise companion
    return companion


def _predict_many(job: Job, request: Request, folder: Path, second: Second) -> int:
    arguments, skip, companions = [Path(source) for source in request.sources], [folder], None
    if folder.is_file():
        raise UserError(
            f"{folder} is a file, but results need a folder or a .png or .npy file; choose another --output"
        )
    if second is not None and any(second[1].resolve() == argument.resolve() for argument in arguments):
        raise UserError(f"{second[1]} holds the pictures themselves; put their companions into another folder")
    if second is not None and any(argument.resolve() in second[1].resolve().parents for argument in arguments):
        skip.append(second[1])  # companions below the pictures' folder are not input pictures
    scanned = scan(arguments, skip=skip)
    if second is not None:
        companions = Companions(*second, find_companions(scanned.sources, second[1]))
    report = predict_tree(
        job,
        scanned.sources,
        folder,
        refused=scanned.refused,
        companions=companions,
        overwrite=request.overwrite,
        quiet=request.quiet,
    )
    if not request.quiet:
        _print_notes([*scanned.notes, *report.notes])
    summary = f"{report.written} written to {folder}, {report.skipped} already there, {len(report.failures)} failed"
    folder_word = "folder" if scanned.earlier == 1 else "folders"
    skipped_note = f"; {scanned.earlier} {folder_word} of earlier results skipped" if scanned.earlier else ""
    if report.failures:
        path, reason = report.failures[0]
        first = reason if str(path) in reason else f"{path}: {reason}"
        print(f"error: {summary}; see {folder / FAILURES}{skipped_note}. The first: {first}", file=sys.stderr)
        return 1
    if not request.quiet:
        print(f"{summary}{skipped_note}", file=sys.stderr)
    return 0


def _print_notes(notes: Sequence[tuple[Path, str]]) -> None:
    for path, text in notes[:_NOTES]:
        print(f"note: {path}: {text}", file=sys.stderr)
    if len(notes) > _NOTES:
        print(f"note: and {len(notes) - _NOTES} more", file=sys.stderr)
