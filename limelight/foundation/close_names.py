"""Known names that someone may have meant by an unknown one."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

_MOST = 3


def close_names(name: str, known: Iterable[str], aliases: Mapping[str, str] | None = None) -> list[str]:
    """List up to three known names like `name`, the likeliest first, whatever the case.

    An alias's name comes first, then names that hold `name` or are held by it, then those spelt alike.

    Args:
        aliases: other names, in small letters, of known ones.
    """
    written = name.casefold()
    folded = {each.casefold(): each for each in known}
    by_alias = [(aliases or {}).get(written)]
    holding = sorted(
        (text for text in folded if len(written) > 2 and (written in text or text in written)),
        key=lambda text: abs(len(text) - len(written)),
    )
    alike = get_close_matches(written, folded, cutoff=0.5)
    return [each for each in dict.fromkeys([*by_alias, *(folded[text] for text in [*holding, *alike])]) if each][:_MOST]
