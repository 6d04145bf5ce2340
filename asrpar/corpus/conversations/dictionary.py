"""Lexicon and LM texts of Switchboard and Fisher, in the words of `asrpar.corpus.conversations.words`."""

import gzip
import io
import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from asrpar.corpus.conversations import acronyms, fisher, switchboard
from asrpar.corpus.conversations.files import lines_of
from asrpar.corpus.conversations.manifests import sides_of, text_of, text_of_split
from asrpar.corpus.conversations.swbd import find_corpus
from asrpar.corpus.conversations.tally import Tally
from asrpar.corpus.conversations.words import LAUGHTER, NOISE, VOCALIZED, Normaliser
from asrpar.errors import DataError, MissingInputError
from asrpar.files.replacing import replacing, replacing_text

log = logging.getLogger("asrpar.corpus")

Prons = dict[str, list[tuple[str, ...]]]

UNKNOWN = "<unk>"
# Noises, and words that have no pronunciation, have phones of their own.
FIXED = {NOISE: ("nsn",), LAUGHTER: ("lau",), VOCALIZED: ("spn",), UNKNOWN: ("spn",)}
# CMU's phones have neither a vowel that is always reduced nor syllables of a consonant alone.
_TO_CMU = {"ax": ("ah",), "en": ("ah", "n"), "el": ("ah", "l"), "em": ("ah", "m"), "axr": ("er",)}
_SILENCES = frozenset(("sil", "!sil"))


def prepare_dictionary(corpus_dir: Path, manifests: Path, output: Path, settings: Any) -> None:
    """Write ``lexicon.txt``, ``oov.txt`` and ``lm_text/{swbd,fisher,heldout}.txt.gz`` into ``output``.

    ``fisher`` is there if Fisher's transcripts are below ``corpus_dir``, also for swb300.
    ``heldout`` is dev's text, to weigh them with; whole sides of calls that dev has a part of are in no text.

    Args:
        corpus_dir: with everything somewhere below it.
        manifests: folder of stage 1.
        output: folder to make.
        settings: of `asrpar.corpus.corpora.swbd`.

    Raises:
        MissingInputError: dev's manifest is not there. DataError: files are missing or damaged.
    """
    heldout = text_of_split("dev", manifests)
    found, normaliser = find_corpus(corpus_dir, "text")
    if settings.size == "swb2000" and not found.fisher_text:
        raise MissingInputError(f"{corpus_dir}: size is swb2000, and Fisher's transcripts are not there")
    path = Path(settings.cmudict) if settings.cmudict else found.table("cmudict")
    cmudict = None if path is None else read_cmudict(path)
    dev = sides_of("dev", manifests)
    tally, seen = Tally(), Counter()
    texts = {"swbd": switchboard.read_calls(found, tally)}
    if found.fisher_text:
        texts["fisher"] = fisher.read_calls(found, tally)
    folder = output / "lm_text"
    for name, calls in texts.items():
        lines = _write_text(folder / f"{name}.txt.gz", _counting(text_of(calls, normaliser, dev), seen))
        log.info("%s: %d lines", folder / f"{name}.txt.gz", lines)
        if not lines:
            raise DataError(f"{corpus_dir}: no text of {name} beside that of dev")
    _write_text(folder / "heldout.txt.gz", heldout)
    if "fisher" not in texts:
        (folder / "fisher.txt.gz").unlink(missing_ok=True)
    prons = lexicon(switchboard.read_dictionary(found.tables["dict"][0]), normaliser)
    if cmudict is not None:
        prons = _in_cmu_phones(prons)
        _add_words(prons, seen, cmudict)
    _add_words(prons, seen, {})
    _write_lexicon(output / "lexicon.txt", prons)
    missing = Counter({word: count for word, count in seen.items() if word not in prons})
    with replacing_text(output / "oov.txt") as file:
        file.writelines(f"{count} {word}\n" for word, count in missing.most_common())
    log.info(
        "%s: %d words, %d pronunciations; of %d words of the texts %.2f %% have none (%s)", output / "lexicon.txt",
        len(prons), sum(map(len, prons.values())), seen.total(), 100 * missing.total() / max(1, seen.total()),
        output / "oov.txt",
    )  # fmt: skip


def lexicon(entries: Iterable[switchboard.Entry], normaliser: Normaliser) -> Prons:
    """Pronunciations of Mississippi State's dictionary by normalised word, and those that it does not have.

    What normalises to no word or to several is left out: their words have entries of their own.
    """
    prons: Prons = {word: [phones] for word, phones in FIXED.items()}
    for token, phones in entries:
        words = normaliser.words(token)
        phones = tuple(phone.lower() for phone in phones)
        if len(words) == 1 and words[0] not in FIXED and not _SILENCES & set(phones):
            known = prons.setdefault(words[0], [])
            if phones not in known:
                known.append(phones)
    for letter in acronyms.LETTERS:
        prons.setdefault(f"{letter}.", [acronyms.LETTERS[letter]])
    prons.setdefault("i", [("ay",)])
    return prons


def read_cmudict(path: Path) -> Prons:
    """The CMU dictionary in small letters, without stress; pronunciations that differ in nothing else are one."""
    prons: Prons = {}
    for number, line in lines_of(path):
        if line.startswith(";;;"):
            continue
        word, *phones = line.split("#")[0].split()
        if not phones:
            raise DataError(f"{path}:{number}: {word!r} has no pronunciation")
        known = prons.setdefault(re.sub(r"\(\d+\)$", "", word).lower(), [])
        plain = tuple(phone.rstrip("012").lower() for phone in phones)
        if plain not in known:
            known.append(plain)
    return prons


def _in_cmu_phones(prons: Prons) -> Prons:
    return {
        word: list(dict.fromkeys(tuple(q for p in phones for q in _TO_CMU.get(p, (p,))) for phones in variants))
        for word, variants in prons.items()
    }


def _add_words(prons: Prons, words: Iterable[str], more: Prons) -> None:
    """Give ``words`` that have no pronunciation one of ``more``, of their letters, or of their word without 's."""
    reduced = not more  # phones are those of Mississippi State
    for word in words:
        if word in prons:
            continue
        if word in more:
            prons[word] = more[word]
        elif (letters := acronyms.pronunciation(word)) is not None:
            prons[word] = [letters] if reduced else _in_cmu_phones({word: [letters]})[word]
        elif word.endswith("'s") and (stems := prons.get(word[:-2]) or more.get(word[:-2])):
            found = [(*stem, *acronyms.plural_of(stem)) for stem in stems]
            prons[word] = found if reduced else _in_cmu_phones({word: found})[word]


def _counting(lines: Iterable[str], seen: Counter) -> Iterator[str]:
    for line in lines:
        seen.update(line.split())
        yield line


def _write_text(path: Path, lines: Iterable[str]) -> int:
    """Write a gzipped text whose bytes follow from the lines alone; returns their number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with (
        replacing(path) as temporary,
        temporary.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed,
        io.TextIOWrapper(packed, encoding="utf-8", newline="\n") as file,
    ):
        for line in lines:
            file.write(f"{line}\n")
            count += 1
    return count


def _write_lexicon(path: Path, prons: Prons) -> None:
    with replacing_text(path) as file:
        file.writelines(f"{word} {' '.join(phones)}\n" for word in sorted(prons) for phones in prons[word])
