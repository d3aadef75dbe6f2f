"""Matching of files against patterns with `{name}`; see `limelight.config.patterns`."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from limelight.config.patterns import NAME, fixed_part
from limelight.data.hashes import list_files

_SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,4}$")

Matches = dict[str, list[Path]]
"""Key -> the files that match a pattern with it."""


def matches(folder: Path, pattern: str) -> Matches:
    """Find the matching files below `folder`, that of the pattern's fixed part, by their keys in composed Unicode."""
    expression = _expression(fixed_part(pattern)[1])
    files_by_key: Matches = defaultdict(list)
    for relative, path in list_files(folder).items():
        match = expression.fullmatch(unicodedata.normalize("NFC", relative))
        if match:
            files_by_key[(match["above"] or "") + match["name"]].append(path)
    return dict(files_by_key)


def _expression(named: str) -> re.Pattern[str]:
    stem = named.removesuffix(".*")
    suffix = "" if _SUFFIX.search(stem) and stem == named else r"\.[^./]+"
    first, *others = (re.escape(unicodedata.normalize("NFC", text)) for text in stem.split(NAME))
    body = first + "(?P<name>[^/]+)" + "(?P=name)".join(others)
    return re.compile(f"(?P<above>.+/)?{body}{suffix}", re.IGNORECASE)


def assign_roles(roles: Sequence[Matches]) -> list[Matches]:
    """Assign each file to one of the roles that match it: 'x_mask.png' is the mask of 'x', not an image 'x_mask'.

    The role wins under whose key the most other roles have a file; on a tie the last, so that a mask without an image
    does not become an image.

    Args:
        roles: the matches of image, mask and companion.
    """
    claims: dict[Path, list[tuple[int, int, str]]] = defaultdict(list)
    for number, role in enumerate(roles):
        for key, paths in role.items():
            for path in paths:
                companions_matched = sum(
                    any(file != path for file in other.get(key, ())) for other in roles if other is not role
                )
                claims[path].append((companions_matched, number, key))
    kept: list[Matches] = [defaultdict(list) for _ in roles]
    for path, claimed in claims.items():
        _, number, key = max(claimed)
        kept[number][key].append(path)
    return [dict(sorted(role.items())) for role in kept]
