"""Acronyms that are spelled: ``i._b._m.``, one word, in lexicon, text and language model alike.

The form is Fisher's: letters with a dot behind each, joined by underscores; ``p._c.s`` and ``t._v.'s`` are plural and
possessive, and a letter alone is ``b.``. So spelled words never look like others (IT and it, AM and am). References of
Hub5 have letters apart, which is what `letters_of` makes of a hypothesis before it is scored.
"""

import re
from collections.abc import Sequence

_SPELLED = re.compile(r"([a-z]\.(?:_[a-z]\.)*)('?s)?")
# The names of letters, in the phones of the Mississippi State dictionary.
LETTERS: dict[str, tuple[str, ...]] = {
    name[0]: tuple(name[2:].split())
    for name in (
        *("a ey", "b b iy", "c s iy", "d d iy", "e iy", "f eh f", "g jh iy", "h ey ch", "i ay", "j jh ey", "k k ey"),
        *("l eh l", "m eh m", "n eh n", "o ow", "p p iy", "q k y uw", "r aa r", "s eh s", "t t iy", "u y uw", "v v iy"),
        *("w d ah b ax l y uw", "x eh k s", "y w ay", "z z iy"),
    )
}
_HISSING, _VOICELESS = frozenset(("s", "z", "sh", "zh", "ch", "jh")), frozenset(("p", "t", "k", "f", "th"))
_SAME = {"ax": "ah", "axr": "er", "en": "ah n", "el": "ah l"}


def spelled(letters: str, suffix: str = "") -> str:
    """The word for letters that are spelled: ``spelled("ibm", "'s")`` is ``i._b._m.'s``."""
    return "._".join(letters.lower()) + "." + suffix


def is_spelled(word: str) -> bool:
    """Whether a normalised word is a spelled acronym, or a letter alone."""
    return _SPELLED.fullmatch(word) is not None


def letters_of(word: str, dots: bool = False) -> list[str] | None:
    """The letters of a spelled acronym as words of their own; None for any other word.

    The end of a plural or possessive goes to the last letter: ``p._c.s`` is ``p`` and ``c's``.

    Args:
        word: normalised, such as ``i._b._m.``.
        dots: keep the dots, as references of RT03 have them (``i.`` ``b.`` ``m.``); those of Hub5'00 have none.
    """
    match = _SPELLED.fullmatch(word)
    if match is None:
        return None
    letters = [letter if dots else letter[0] for letter in match[1].split("_")]
    return [*letters[:-1], letters[-1] + ("'s" if match[2] else "")]


def pronunciation(word: str) -> tuple[str, ...] | None:
    """How a spelled acronym is said, in the phones of the Mississippi State dictionary; None for any other word."""
    match = _SPELLED.fullmatch(word)
    if match is None:
        return None
    phones = [phone for letter in match[1].split("_") for phone in LETTERS[letter[0]]]
    if match[2]:
        phones += plural_of(phones)
    return tuple(phones)


def plural_of(phones: Sequence[str]) -> tuple[str, ...]:
    """How the 's of a word with these phones is said."""
    last = phones[-1]
    return ("ax", "z") if last in _HISSING else ("s",) if last in _VOICELESS else ("z",)


def said_by_letters(letters: str, suffix: str, phones: tuple[str, ...]) -> bool:
    """Whether ``phones`` are the names of ``letters`` one after the other, as of IBM, and not of a word like NASA."""
    return _plain(pronunciation(spelled(letters, suffix)) or ()) == _plain(phones)


def _plain(phones: tuple[str, ...]) -> list[str]:
    """Without the difference between reduced vowels, which dictionaries do not make alike."""
    return " ".join(_SAME.get(phone, phone) for phone in phones).split()
