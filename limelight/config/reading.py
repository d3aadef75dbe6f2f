"""params.yaml, read and checked."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import ValidationError

from limelight.config.params import Params
from limelight.config.presets import with_preset
from limelight.foundation.close_names import close_names
from limelight.foundation.errors import UserError
from limelight.foundation.files import read_text
from limelight.foundation.section import Section

T = TypeVar("T", bound=Section)


def load_params(path: Path | str = "params.yaml") -> Params:
    """Read and check the whole of params.yaml.

    Raises:
        UserError: the file is missing or is not YAML, or a key is unknown or has a value of the wrong type; all
            mistakes are in the one message.
    """
    path = Path(path)
    try:
        tree = yaml.load(read_text(path), _Loader)
    except FileNotFoundError as error:
        raise UserError(f"{path} not found; run this in the folder that holds it") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; give a file of settings") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(tree, dict):
        raise UserError(f"{path} must hold a mapping of sections, not {type(tree).__name__}")
    _fill_presets(tree, path)
    return parse(Params, tree, str(path))


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML has no types
    """Refuses a key that stands twice in a mapping, of which YAML would take the last in silence."""

    def compose_mapping_node(self, anchor: Any) -> Any:
        node = super().compose_mapping_node(anchor)
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for place, (key, _) in enumerate(node.value):
            if isinstance(key, yaml.ScalarNode) and key.value in keys[:place]:
                raise yaml.MarkedYAMLError(problem=f"{key.value!r} stands twice", problem_mark=key.start_mark)
        return node


def _fill_presets(tree: dict[str, Any], path: Path) -> None:
    """Lay each run's own keys over its preset's, in place, before anything is validated."""
    profiles = tree.get("profiles")
    for name, profile in profiles.items() if isinstance(profiles, dict) else ():
        runs: Any = profile.get("runs") if isinstance(profile, dict) else None
        for run, settings in runs.items() if isinstance(runs, dict) else ():
            if isinstance(settings, dict):
                runs[run] = with_preset(settings, f"{path}: profiles.{name}.runs.{run}")


def parse(kind: type[T], tree: Any, where: str) -> T:
    """Validate `tree` as `kind`; report every mistake in one line.

    Raises:
        UserError: with 'where: key: what is wrong (value)' for each mistake, joined by '; '.
    """
    try:
        return kind.model_validate(tree)
    except ValidationError as error:
        raise UserError(f"{where}: " + "; ".join(_describe(mistake, kind) for mistake in error.errors())) from None


def _describe(mistake: Any, kind: type[Section]) -> str:
    key = ".".join(str(part) for part in mistake["loc"]) or "the whole"
    if mistake["type"] == "extra_forbidden":
        *path, name = map(str, mistake["loc"])
        meant = close_names(name, _keys_at(path, kind))
        return f"{key}: unknown key" + (f"; did you mean {meant[0]}?" if meant else "")
    if mistake["type"] == "dict_type":
        return f"{key}: needs a mapping of names, as {{name: ...}} (got {mistake['input']!r:.60})"
    if mistake["type"] == "missing":
        return f"{key}: missing"
    if mistake["type"] == "union_tag_not_found":
        return f"{key}.name: missing"
    if mistake["type"] == "union_tag_invalid":
        known = mistake["ctx"]["expected_tags"].replace("'", "")
        return f"{key}: unknown name {mistake['ctx']['tag']!r}; choose one of: {known}"
    message = mistake["msg"].removeprefix("Value error, ")
    shown = repr(mistake["input"])
    return f"{key}: {message}" + (f" (got {shown})" if len(shown) < 60 else "")


def _keys_at(path: Sequence[str], kind: type[Section]) -> set[str]:
    """Find the keys that may stand at a place of the settings.

    Args:
        path: from a section of this kind on, as pydantic reports it.
    """
    kinds = [kind]
    for part in path:
        if named := [each for each in kinds if part in _own_names(each)]:  # one section of a union
            kinds = named
        elif fields := [each.model_fields[part] for each in kinds if part in each.model_fields]:
            kinds = [inner for field in fields for inner in _sections(field.annotation)]
        # Else an item's name or number.
    return {name for each in kinds for name in each.model_fields}


def _sections(annotation: Any) -> Iterator[type[Section]]:
    """Yield the sections that a type is made of."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for inner in get_args(annotation):
        yield from _sections(inner)


def _own_names(kind: type[Section]) -> tuple[Any, ...]:
    """Of a section of a union: its values of `name`."""
    return get_args(kind.model_fields["name"].annotation) if "name" in kind.model_fields else ()
