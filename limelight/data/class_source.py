"""How the label maps of a dataset count, apart from `classes`, which reads them: the catalogue needs no NumPy."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ClassSource:
    """Where a dataset keeps the names of its classes, and how its label maps count."""

    file: str | None = None
    """Below the root: 'id: name' lines, or a table with the id first and the name last."""
    names: tuple[str, ...] = ()
    """Names of pixel values 1, 2, ... where the dataset has no such file."""
    shift: int = 0
    """Class id of the file = pixel value + shift."""
    ignore: tuple[int, ...] = (255,)
    """Pixel values that say nothing: borders, unlabelled. 0, where it is none of them and no class, is background."""
