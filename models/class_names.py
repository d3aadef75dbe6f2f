"""Class names: validation, normalisation for comparison, and expansion into prompts."""

from collections.abc import Sequence

from limelight.foundation.errors import UserError


def folded(name: str) -> str:
    """Normalise a class name for comparison, as networks see it: case and extra whitespace are ignored."""
    return " ".join(name.split()).casefold()


def checked_classes(prompts: Sequence[str]) -> tuple[str, ...]:
    """Validate class names and normalise their whitespace.

    Raises:
        UserError: there is none, one is empty or not valid Unicode, or two are equal up to case, which networks ignore.
    """
    if isinstance(prompts, str):
        raise UserError(
            f"give the classes as a list, such as [{prompts!r}]; a single string would be read letter by letter"
        )
    names = [" ".join(name.split()) for name in prompts]
    for number, name in enumerate(names, start=1):
        if name.encode(errors="ignore").decode() != name:
            raise UserError(f"class {number} of {len(names)} is not valid text ({name!a}); correct it")
    if not names:
        raise UserError("no classes were given; name at least one, such as 'cat'")
    if "" in names:
        raise UserError(f"class {names.index('') + 1} of {len(names)} is empty; name it or leave it out")
    seen = [name.casefold() for name in names]
    duplicates = [name for name, folded in zip(names, seen, strict=True) if seen.count(folded) > 1]
    if duplicates:
        raise UserError(f"classes {', '.join(map(repr, duplicates[:4]))} are named more than once; name each once")
    return tuple(names)


def in_template(classes: Sequence[str], template: str) -> list[str]:
    """Fill each class name into the prompt template.

    Raises:
        UserError: the template does not have exactly one placeholder, or is not valid Unicode.
    """
    if template.count("{}") != 1:
        raise UserError(f"the template {template!r} needs one {{}}, where the class's name goes")
    if template.encode(errors="ignore").decode() != template:
        raise UserError(f"the template {template!a} is not valid text; correct it")
    return [template.replace("{}", name) for name in classes]
