"""File names with `{name}` in them: 'photos/{name}.jpg' with 'photos/{name}_mask.png'.

`{name}` stands for any text without '/', the same one at each occurrence. Sub-folders are mirrored: 'a/x.jpg' goes
with 'a/x_mask.png', and its key is 'a/x'. A pattern without a suffix matches any. Case is ignored.
"""

import re

NAME = "{name}"
PLACEHOLDERS = (NAME, "{split}", "{clip}")


def problem(pattern: str) -> str | None:
    """Describe what is wrong with a layout's folder or pattern; None if nothing is."""
    placeholders = re.findall(r"\{[^{}]*\}", pattern)
    unknown = [one for one in placeholders if one not in PLACEHOLDERS]
    if unknown or re.search(r"[{}]", re.sub(r"\{[^{}]*\}", "", pattern)):
        unexpected = unknown[0] if unknown else "a brace"
        return f"{unexpected} in {pattern!r} is not one of {', '.join(PLACEHOLDERS)}; correct it"
    named = fixed_part(pattern)[1]
    if NAME in pattern and re.search(r"\{(split|clip)\}", named):
        return f"{{split}} and {{clip}} in {pattern!r} must be folders before {NAME}; change the order"
    return None


def fixed_part(pattern: str) -> tuple[str, str]:
    """Split before the first part with `{name}`: 'a/x_{name}/b.png' -> 'a', 'x_{name}/b.png'."""
    parts = pattern.split("/")
    first = next((index for index, part in enumerate(parts) if NAME in part), len(parts))
    return "/".join(parts[:first]), "/".join(parts[first:])
