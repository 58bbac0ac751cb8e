"""The words of a text, as searches see them: runs of letters, digits and underscores, without regard to case."""

import re

_WORD = re.compile(r"\w+")


def words_of(text: str) -> tuple[str, ...]:
    """Each different word once, in order of its first place."""
    return tuple(dict.fromkeys(_WORD.findall(text.casefold())))
