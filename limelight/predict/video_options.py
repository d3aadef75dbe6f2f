"""Which options of `limelight predict` are for videos, and which for pictures."""

from fractions import Fraction

from limelight.foundation.errors import UserError
from limelight.imaging.encoding import FILE_TYPES
from limelight.media.video.clip import MAX_RATE
from limelight.media.video.formats import FORMATS, is_video
from limelight.predict.options import PredictOptions, result_suffix
from limelight.predict.styles import EXACT


def first_picture_only_option(options: PredictOptions) -> str | None:
    """Return an option that is given and for pictures alone."""
    given = picture_only_options(options) | {
        "--classes": options.classes,
        "--uncertainty": options.uncertainty or None,
        f"--kind {options.kind}": options.kind if options.kind in EXACT else None,
        f"--format {options.format}": options.format if result_suffix(options, None) in FILE_TYPES else None,
    }
    return next((name for name, value in given.items() if value is not None), None)


def first_video_only_option(options: PredictOptions) -> str | None:
    """Return an option that is given and for videos alone."""
    if result_suffix(options, None) in FORMATS:
        return f"--format {options.format}"
    return f"--kind {options.kind}" if options.kind is not None and is_video(options.kind) else None


def picture_only_options(options: PredictOptions) -> dict[str, object]:
    """Option -> value of those for pictures alone; None = not given.

    Others are refused by `limelight.predict.video.video_suffix`.
    """
    return {
        "--depth": options.depth,
        "--thermal": options.thermal,
        "--output-processing-res": options.output_processing_res or None,
        "--quality": options.quality,
    }


def rate_of(options: PredictOptions) -> Fraction | None:
    """Frames per second of a folder of frames; None = not given.

    Raises:
        UserError: --rate is no number or fraction, or not a rate of frames.
    """
    if options.rate is None:
        return None
    try:
        if "e" in options.rate.casefold():
            raise ValueError("a fraction of any number of digits would be computed")
        rate = Fraction(options.rate).limit_denominator(1001)  # FFmpeg's fractions have 32 bits
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= MAX_RATE:
        raise UserError(f"--rate {options.rate} is no rate of frames; give one from 0.001 to {MAX_RATE}, such as 25")
    return rate
