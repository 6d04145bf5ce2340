"""Characters of transcripts that look like others, or like nothing: one warning for each kind and set."""

import re
import unicodedata
from collections.abc import Callable, Iterable

from asrpar.corpus.problems import Place, Problems
from asrpar.files.text import nfc

_ALPHABETS = ("LATIN", "GREEK", "CYRILLIC")  # which have letters that look alike
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_JOINED = re.compile("(?<=[\u0600-\u1fff\u2600-\u2fff\ufe0f\U0001f000-\U0001ffff])[\u200c\u200d](?=\\S)")
_TWICE = re.compile("[\u00c2\u00c3][\u0080-\u00bf]|\u00e2\u20ac")  # what becomes of é or a curly quote
_ENTITY = re.compile(r"&(?:#\d+|#x[\da-fA-F]+|[a-z]{2,6});")
_MARKUP = re.compile(r"(?:^|\s)(?:[{}@]|;;\S*)(?=\s|$)")


def check_texts(problems: Problems, texts: Iterable[tuple[Place, str, str]]) -> None:
    """Warn of what transcripts hold that is easily overlooked.

    Args:
        problems: takes the warnings.
        texts: place, utterance and transcript.
    """
    seen = Texts(problems)
    for one in texts:
        seen.add(*one)
    seen.close()


class Texts:
    """Transcripts that come one by one; see `check_texts`.

    Args:
        problems: takes the warnings.
    """

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._found: dict[str, list[tuple[Place, str, str]]] = {}

    def add(self, place: Place, utterance: str, text: str) -> None:
        """One more."""
        if text.isascii() and not any(odd.search(text) for odd in (_CONTROL, _MARKUP, _ENTITY)):
            return
        for kind, (seek, _) in _KINDS.items():
            what = seek(text)
            if what is not None:
                self._found.setdefault(kind, []).append((place, utterance, what))

    def close(self) -> None:
        """There are no more."""
        for kind, entries in self._found.items():
            place, _, what = entries[0]
            ids = ", ".join(utterance for _, utterance, _ in entries[:3]) + ", ..." * (len(entries) > 3)
            have = "transcript has" if len(entries) == 1 else "transcripts have"
            message = f"{len(entries)} {have} {kind}, here {what} ({ids}): {_KINDS[kind][1]}"
            self._problems.warn(place, message)


# Those of width, and the forms of Arabic letters by their place in a word, which fonts choose by themselves.
_OTHER_SHAPES = ("<wide>", "<narrow>", "<initial>", "<medial>", "<final>", "<isolated>")


def _first(text: str, odd: Callable[[str], bool]) -> str | None:
    char = next((c for c in text if ord(c) > 126 and odd(c)), None)
    return None if char is None else f"U+{ord(char):04X} {unicodedata.name(char, '')}".strip()


def _invisible(text: str) -> str | None:
    # Persian, Hindi and others join and part their letters so, and emoji are made of others.
    return _first(_JOINED.sub("", text), lambda c: unicodedata.category(c) == "Cf")


def _decomposed(text: str) -> str | None:
    return next((repr(w) for w in text.split() if nfc(w) != w), None)


def _control(text: str) -> str | None:
    ascii_one = _CONTROL.search(text)
    if ascii_one:
        return f"U+{ord(ascii_one[0]):04X}"
    return _first(text, lambda c: c == "\ufffd" or unicodedata.category(c) in ("Cc", "Co", "Cn"))


def _wide(char: str) -> bool:
    # Not the punctuation of Chinese and Japanese, which is wide everywhere.
    wide = unicodedata.category(char)[0] in "LN" and unicodedata.decomposition(char).startswith(_OTHER_SHAPES)
    return wide or "\ufb00" <= char <= "\ufb06"


def _mixed(text: str) -> str | None:
    for word in text.split():
        if not word.isascii():
            names = {unicodedata.name(c, "").split(" ")[0] for c in word}
            if len(names.intersection(_ALPHABETS)) > 1:
                return repr(word)
    return None


def _part(pattern: re.Pattern[str]) -> Callable[[str], str | None]:
    def seek(text: str) -> str | None:
        match = pattern.search(text)
        return match and repr(match[0].strip())

    return seek


# Name of the kind: how to find the first of it, and what to do.
_KINDS: dict[str, tuple[Callable[[str], str | None], str]] = {
    "letters that are not composed (NFC)": (_decomposed, "asrpar composes them wherever it reads text"),
    "invisible characters": (
        _invisible,
        "they make other words of words that look alike; take them out",
    ),
    "control or damaged characters": (_control, "take them out, or convert the text again"),
    "letters of another width or shape, or joined ones": (
        lambda text: _first(text, _wide),
        "they are other letters than the plain ones; use one kind",
    ),
    "words of two alphabets": (_mixed, "letters that look alike may have been confused"),
    "letters that seem to be UTF-8 read as Latin-1": (_part(_TWICE), "convert the text again"),
    "characters written as in HTML": (_part(_ENTITY), "write the characters themselves"),
    "markup of trn files": (_part(_MARKUP), "asrpar score does not count it as words"),
}
