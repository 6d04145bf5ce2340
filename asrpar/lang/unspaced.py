"""Text of languages that are written without spaces between words: Chinese, Japanese, Thai and others.

What such text has instead of words is its characters, as icefall and WeNet take Mandarin: each character of such a
script is a word by itself, and words of other scripts stay whole (``A 楼`` of ``A楼``).
"""

import re
import unicodedata
from collections.abc import Iterable

# Blocks of Unicode: Thai and Lao, Myanmar, Khmer, kana (without the punctuation before it), Han, half-width kana.
_SCRIPTS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
# Vowels and tones that stand on a character, and selectors of its shape.
_MARKS = "".join(c for c in map(chr, range(0x0E00, 0x3100)) if unicodedata.category(c).startswith("M"))
_MARKS += "\uff9e\uff9f\ufe00-\ufe0f\U000e0100-\U000e01ef"
_CHARACTER = f"[{_SCRIPTS}][{_MARKS}]*"
_ONE = re.compile(_CHARACTER)
_WORD = re.compile(rf"{_CHARACTER}|[^\s{_SCRIPTS}]+")


def is_character(word: str) -> bool:
    """Whether a word is one character of such a script, with the marks on it."""
    return _ONE.fullmatch(word) is not None


def split_characters(text: str) -> list[str]:
    """The words of ``text``: each character of such a script, with the marks on it, and what else stands together."""
    return _WORD.findall(text)


def join_words(words: Iterable[str]) -> str:
    """A line of text: words with spaces between them, but for characters that need none."""
    line, space = "", False
    for word in words:
        spaced = not is_character(word)
        line += f" {word}" if line and (space or spaced) else word
        space = spaced
    return line


def mostly_unspaced(texts: Iterable[str]) -> bool:
    """Whether more than half of all characters, spaces left out, are of such a script."""
    inside = total = 0
    for text in texts:
        total += len("".join(text.split()))
        inside += sum(map(len, _ONE.findall(text)))
    return 2 * inside > total
