"""LibriSpeech as OpenSLR 12 has it, in parts, and what belongs to it as OpenSLR 11 has it."""

import gzip
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from math import log10
from pathlib import Path

import soundfile

from trees.sentences import pronunciations
from trees.speech import RATE, Utterance, by_speaker, librispeech, synthetic

# part → (readers, utterances of each)
SIZES = {
    "train-clean-100": (2, 8),
    "train-other-500": (1, 8),
    "dev-clean": (1, 4),
    "dev-other": (1, 4),
    "test-clean": (1, 4),
    "test-other": (1, 4),
}
VOICES = ("en-us+m1", "en-us+f2", "en-gb+m3", "en-us+f4", "en-gb+m5", "en-us+f1", "en-gb+f3")
# A word of the training text that the lexicon leaves out, as the published one leaves some out.
UNKNOWN = "TEXAS"
_UTTERANCES_OF_A_CHAPTER = 5
_TABLES = {
    "SPEAKERS.TXT": "; Some pipe(|) separated metadata about all readers\n;ID  |SEX| SUBSET           |MINUTES| NAME\n",
    "CHAPTERS.TXT": ";ID    |READER|MINUTES| SUBSET           | PROJ.|BOOK ID| CH. TITLE | PROJECT TITLE\n",
    "BOOKS.TXT": ";ID   | TITLE\n",
    "README.TXT": "A miniature of LibriSpeech.\n",
    "LICENSE.TXT": "For tests.\n",
}


def make_librispeech(folder: Path, corpora: Path | None = None, sizes: Mapping[str, tuple[int, int]] = SIZES) -> Path:
    """Write ``LibriSpeech/`` and ``librispeech_lm/`` into ``folder``, and return it.

    Args:
        folder: an existing or new one.
        corpora: where mini_librispeech and cmudict are, whose readers then read; without it, espeak-ng's voices do.
        sizes: readers of each part, and utterances of each reader.
    """
    readers = _readers(corpora)
    numbers = count(19, 7)
    texts: dict[str, list[tuple[str, ...]]] = {}
    tables = dict(_TABLES)
    root = folder / "LibriSpeech"
    for part, (how_many, each) in sizes.items():
        for _ in range(how_many):
            said = [_in_capitals(u) for u in next(readers)[:each]]
            reader = said[0].speaker if corpora else str(next(numbers))
            _write_reader(root / part, reader, said)
            tables["SPEAKERS.TXT"] += f"{reader:<5}| {said[0].sex.upper()} | {part:<17}| 25.19 | Somebody\n"
            texts.setdefault(part, []).extend(u.words for u in said)
    for name, text in tables.items():
        (root / name).write_text(text, encoding="utf-8")
    training = [words for part, said in texts.items() if part.startswith("train") for words in said]
    _write_language(
        folder / "librispeech_lm", training, pronunciations(corpora), {w for t in texts.values() for s in t for w in s}
    )
    return folder


def _readers(corpora: Path | None) -> Iterator[list[Utterance]]:
    """The utterances of one reader after the other."""
    if corpora is not None:
        for part in ("train-clean-5", "dev-clean-2"):
            yield from by_speaker(librispeech(corpora, part)).values()
        return
    for number, voice in enumerate(VOICES):
        plain = [u for u in synthetic([voice], 24, first=5 * number) if not re.search("[^a-z' ]", " ".join(u.words))]
        yield plain


def _in_capitals(utterance: Utterance) -> Utterance:
    return utterance._replace(words=tuple(word.upper() for word in utterance.words))


def _write_reader(part: Path, reader: str, said: list[Utterance]) -> None:
    for first in range(0, len(said), _UTTERANCES_OF_A_CHAPTER):
        chapter = str(100 + first)
        folder = part / reader / chapter
        folder.mkdir(parents=True)
        lines = []
        for number, utterance in enumerate(said[first : first + _UTTERANCES_OF_A_CHAPTER]):
            name = f"{reader}-{chapter}-{number:04d}"
            soundfile.write(folder / f"{name}.flac", utterance.load(), RATE, subtype="PCM_16")
            lines.append(f"{name} {' '.join(utterance.words)}\n")
        (folder / f"{reader}-{chapter}.trans.txt").write_text("".join(lines), encoding="utf-8")


def _write_language(folder: Path, text: list[tuple[str, ...]], known: Mapping[str, str], words: Iterable[str]) -> None:
    folder.mkdir(parents=True)
    vocabulary = sorted(w for w in set(words) if w.lower() in known and w != UNKNOWN)
    (folder / "librispeech-vocab.txt").write_text("".join(f"{word}\n" for word in vocabulary), encoding="utf-8")
    lexicon = "".join(f"{word}\t{_stressed(known[word.lower()])}\n" for word in vocabulary)
    (folder / "librispeech-lexicon.txt").write_text(lexicon, encoding="utf-8")
    sentences = [[w if w in vocabulary else "<UNK>" for w in said] for said in text] + [["<UNK>"]]
    for name, order in (("3-gram.pruned.3e-7", 2), ("4-gram", 4)):
        arpa = _arpa(sentences, [*vocabulary, "<UNK>"], order)
        (folder / f"{name}.arpa.gz").write_bytes(gzip.compress(arpa.encode(), mtime=0))
    lines = "".join(f"{' '.join(said)}\n" for said in text)
    (folder / "librispeech-lm-norm.txt.gz").write_bytes(gzip.compress(lines.encode(), mtime=0))


def _arpa(sentences: Iterable[Sequence[str]], vocabulary: Sequence[str], order: int) -> str:
    """An n-gram of all that was seen, each history's share of other words by how many words it was seen with."""
    counts = [Counter() for _ in range(order)]
    for said in sentences:
        padded = ("<s>", *said, "</s>")
        for k in range(order):
            counts[k].update(padded[i : i + k + 1] for i in range(len(padded) - k))
    del counts[0][("<s>",)]
    after = [defaultdict(dict) for _ in range(order)]
    for k in range(order):
        for gram, n in counts[k].items():
            after[k][gram[:-1]][gram[-1]] = n
    words = [*vocabulary, "</s>"]

    def prob(history: tuple[str, ...], word: str) -> float:
        seen = after[len(history)].get(history, {})
        rest = prob(history[1:], word) if history else 1.0 / len(words)
        return (seen.get(word, 0) + len(seen) * rest) / (sum(seen.values()) + len(seen)) if seen else rest

    def back_off(history: tuple[str, ...]) -> float:
        """What takes a word that was not seen from its shorter history to this one."""
        seen = after[len(history)].get(history) if len(history) < order else None
        return len(seen) / (sum(seen.values()) + len(seen)) if seen else 1.0

    lists = [[(word,) for word in words], *([*sorted(found)] for found in counts[1:])]
    lines = ["\\data\\", *(f"ngram {k + 1}={len(grams) + (k == 0)}" for k, grams in enumerate(lists))]
    for k, grams in enumerate(lists):
        lines += ["", f"\\{k + 1}-grams:"]
        if k == 0:
            lines.append(f"-99\t<s>\t{log10(back_off(('<s>',))):.5f}")
        lines += [f"{log10(prob(g[:-1], g[-1])):.5f}\t{' '.join(g)}\t{log10(back_off(g)):.5f}" for g in grams]
    return "\n".join([*lines, "", "\\end\\", ""])


def _stressed(pronunciation: str) -> str:
    """With stress on every vowel: the published lexicon writes it."""
    return " ".join(f"{phone}1" if phone[0] in "AEIOU" else phone for phone in pronunciation.split())
