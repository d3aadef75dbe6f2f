"""How to read a dataset's label maps; apart from `classes`, which reads them, so that the catalogue needs no NumPy."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ClassSource:
    """Where a dataset keeps its class names, and what the pixel values of its label maps stand for."""

    file: str | None = None
    """Below the root: 'id: name' lines, or a table with the id first and the name last."""
    names: tuple[str, ...] = ()
    """Names of pixel values 1, 2, ... where the dataset has no such file."""
    shift: int = 0
    """Class id of the file = pixel value + shift."""
    ignore: tuple[int, ...] = (255,)
    """Pixel values without a label (borders, unlabelled). 0 is background unless it is one of them or a class."""
