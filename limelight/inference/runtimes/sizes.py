"""Sizes that an export takes."""

from limelight.foundation.errors import UserError

Sides = tuple[int | None, int | None]
"""Height and width; None stands for any."""


def check_size(takes: Sides, size: tuple[int, int] | None) -> None:
    """Refuse pictures of another size than an export was made for.

    Args:
        size: height and width; None = each picture's own.

    Raises:
        UserError: a side differs.
    """
    wrong = [wanted for wanted, got in zip(takes, size or (None, None), strict=True) if wanted not in (None, got)]
    if wrong:
        got = f"{size[0]} x {size[1]}" if size else "sizes of their own"
        raise UserError(
            f"this export takes images of {takes[0]} x {takes[1]} pixels, got {got}; leave the size out, or use "
            "runtime 'torch'"
        )
