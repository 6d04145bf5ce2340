"""Transcripts of Switchboard as Mississippi State writes them: segments, words in time, and the dictionary."""

import re
from collections.abc import Iterable
from pathlib import Path

from trees.calls import Call, Turn
from trees.sentences import LETTERS

NAMES = {"boston": "Boston", "texas": "Texas"}
# A spelling, and the beginning of the word that was said of it.
_FRAGMENTS = {
    "th[at]-": "dh",
    "-[th]at": "ae t",
    "wh[at]-": "w ah",
    "ab[so]lu[tely]-": "ae b l uw",
    "-[be]cau[se]-": "k ao",
}
# MS98 has a phone of its own for the vowel without stress, and for consonants that are a syllable.
_SYLLABLES = (("ah l$", "el"), ("(?<=[td] )ah n$", "en"), ("ah$", "ax"), ("^ah (?=[bd-gkpt] )", "ax "))


def marked(words: tuple[str, ...], number: int) -> list[str]:
    """The words of utterance ``number`` with MS98's markup; every kind comes again and again, and often none."""
    tokens = [NAMES.get(word, word) for word in words]
    plain = [i for i, word in enumerate(tokens) if re.fullmatch(r"[a-z']{2,}", word)]
    if not plain:
        return tokens
    first, last = plain[0], plain[-1]
    fragment = list(_FRAGMENTS)[number // 16 % len(_FRAGMENTS)]
    match number % 16:
        case 1:
            tokens[last] = f"[laughter-{tokens[last]}]"
        case 3:
            tokens.insert(first, fragment)
        case 5:
            tokens[first] = f"{{{tokens[first]}}}"
        case 6:
            tokens = ["[noise]", *tokens]
        case 7:
            tokens[last] = f"[{tokens[last]}/{tokens[last]}s]"
        case 9:
            tokens = ["<b_aside>", *tokens, "<e_aside>"]
        case 10:
            tokens = [*tokens, "[laughter]"]
        case 11:
            tokens[first] += "_1"
        case 12:
            tokens = [*tokens[:first], "[vocalized-noise]", *tokens[first:]]
        case 13:
            tokens[last] = f"{{[laughter-{tokens[last]}]}}"
        case 14:
            tokens = [*tokens, "-"]
        case 15:
            tokens.insert(first, "[silence]")
    return tokens


def side_files(call: Call, side: int, name: str, number: int) -> tuple[str, str]:
    """The text of ``NAME-ms98-a-trans.text`` and of ``NAME-ms98-a-word.text``; ``number`` as for `marked`."""
    segments, words = [], []
    for index, (start, end, turn) in enumerate(call.segments(side), 1):
        key = f"{name}-ms98-a-{index:04d}"
        tokens = marked(turn.words, number + index) if turn else ["[silence]"]
        segments.append(f"{key} {start:.6f} {end:.6f} {' '.join(tokens)}\n")
        words += [f"{key} {a:.6f} {b:.6f} {token}\n" for a, b, token in _timed(start, end, turn, tokens)]
    return "".join(segments), "".join(words)


def _timed(start: float, end: float, turn: Turn | None, tokens: list[str]) -> list[tuple[float, float, str]]:
    """Times for words: each takes as long as it has letters."""
    if turn is None:
        return [(start, end, token) for token in tokens]
    letters = [max(1, len(re.sub(r"[^A-Za-z]", "", token))) for token in tokens]
    step = (turn.end - turn.start) / sum(letters)
    borders = [turn.start + step * sum(letters[:i]) for i in range(len(letters) + 1)]
    spoken = list(zip(borders, borders[1:], tokens, strict=False))
    quiet = [(start, turn.start, "[silence]"), (turn.end, end, "[silence]")]
    return [item for item in (quiet[0], *spoken, quiet[1]) if item[1] > item[0]]


def dictionary(tokens: Iterable[str], known: dict[str, str]) -> str:
    """``sw-ms98-dict.text`` of what transcripts hold; ``known`` are pronunciations of lower-case words."""
    entries = {"[silence]": "SIL", "[noise]": "SIL", "[laughter]": "SIL", "[vocalized-noise]": "SIL"}
    for token in tokens:
        word = re.sub(r"_1|[{}]|\[laughter-|\]$", "", token)
        word = word.strip("[]").split("/")[0]
        if token in _FRAGMENTS:
            entries[token] = _FRAGMENTS[token]
        elif word in LETTERS or word.lower() in known:
            entries[token] = _ms_phones(LETTERS[word] if word in LETTERS else known[word.lower()])
    lines = [f"{word} {phones}\n" for word, phones in sorted(entries.items())]
    return "Alphabetic lexicon of this miniature\n# words, laughed words, coinages, partial words\n" + "".join(lines)


def _ms_phones(phones: str) -> str:
    text = phones.lower()
    for pattern, phone in _SYLLABLES:
        text = re.sub(pattern, phone, text)
    return text


def write_transcripts(root: Path, calls: dict[str, Call], known: dict[str, str]) -> None:
    """The tree ``swb_ms98_transcriptions`` of ``calls``, by their numbers of four digits."""
    tokens: set[str] = set()
    for position, (number, call) in enumerate(calls.items()):
        folder = root / number[:2] / number
        folder.mkdir(parents=True)
        for side in (0, 1):
            name = f"sw{number}{'AB'[side]}"
            segments, words = side_files(call, side, name, 11 * (2 * position + side))
            (folder / f"{name}-ms98-a-trans.text").write_text(segments, encoding="utf-8")
            (folder / f"{name}-ms98-a-word.text").write_text(words, encoding="utf-8")
            tokens |= {token for line in segments.splitlines() for token in line.split()[3:]}
    (root / "AAREADME.text").write_text("A miniature, made for tests.\n", encoding="utf-8")
    (root / "sw-ms98-dict.text").write_text(dictionary(tokens, known), encoding="utf-8")
