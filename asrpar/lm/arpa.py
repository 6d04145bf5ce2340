"""ARPA files are read some megabytes at a time, into arrays."""

import math
from collections.abc import Collection
from itertools import chain
from pathlib import Path

import numpy as np

from asrpar.errors import DataError
from asrpar.files.text import read_lines, read_pieces
from asrpar.lang.text import map_case
from asrpar.lm.backoff import BOS, EOS, LOG_ZERO, UNK, ArpaLm
from asrpar.lm.shelf import MEMORY, Shelf


def read_arpa(
    path: str | Path, case: str = "keep", only: Collection[str] | None = None, shelf: Shelf = MEMORY
) -> ArpaLm:
    """Read an ARPA file (gzipped or not); text before ``\\data\\`` is skipped.

    Args:
        path: the file.
        case: bring the words to 'upper' or 'lower' case; <s>, </s> and <unk> keep theirs. <unk> becomes <UNK>.
        only: leave out n-grams with other words than these, <s>, </s> and <UNK>; None: none.
        shelf: where the model's arrays are to be.

    Raises:
        DataError: anything that is not a complete and consistent model, with file and line.
    """
    reader = _Reader(path, case, only, shelf)
    for before, text in read_pieces(path):
        lines = text.removesuffix("\n").split("\n")
        at = 0
        marks = [i for i, line in enumerate(lines) if line.lstrip().startswith("\\")] if "\\" in text else []
        for mark in [*marks, len(lines)]:
            if mark > at and not reader.ended:
                reader.body(lines[at:mark], before + at + 1)
            if mark < len(lines) and not reader.ended:
                reader.number = before + mark + 1
                reader.heading(lines[mark].strip())
            at = mark + 1
    return reader.finish()


def arpa_sizes(path: str | Path) -> list[int]:
    """How many n-grams of each order an ARPA file says that it has; nothing else of it is read."""
    reader = _Reader(path, "keep")
    for reader.number, line in read_lines(path):
        line = line.strip()
        if reader.section == 0 and line.startswith("\\"):
            break
        if line.startswith("\\data\\"):
            reader.heading(line)
        elif line and reader.section == 0:
            reader.count(line)
    return reader.counts


class _Ids(dict[str, int]):
    """Numbers of words as a file writes them; -1 for those that are left out, -2 for those that are no unigrams."""

    def __init__(self, known: dict[str, int], left_out: set[str], case: str) -> None:
        super().__init__()
        self.known, self.left_out, self.case = known, left_out, case

    def __missing__(self, word: str) -> int:
        name = _word(word, self.case)
        number = self[word] = self.known.get(name, -1 if name in self.left_out else -2)
        return number


class _Reader:
    """State machine over the sections of an ARPA file."""

    def __init__(self, path: str | Path, case: str, only: Collection[str] | None = None, shelf: Shelf = MEMORY) -> None:
        self.path, self.case, self.number = path, case, 0
        self.only = None if only is None else {*only, BOS, EOS, UNK}
        self.counts: list[int] = []
        self.section = -1  # -1: before \data\, 0: counts, k: k-grams
        self.ended = False
        self.lm = ArpaLm([], [], [], [], shelf)
        self.ids = _Ids({}, set(), case)
        self._begin()

    def _begin(self) -> None:
        self.size, shelf = 0, self.lm.shelf
        self.columns = [shelf.growing(np.int32) for _ in range(self.section if self.section > 1 else 0)]
        self.values = [shelf.growing(np.float64) for _ in range(2)]  # log10 of probabilities and back-off weights
        self.unigrams: list[str] = []

    def fail(self, what: str) -> DataError:
        return DataError(f"{self.path}:{self.number}: {what}")

    def heading(self, line: str) -> None:
        if self.section == -1:
            if line == "\\data\\":
                self.section = 0
            return
        if self.section > 0 and self.size != self.counts[self.section - 1]:
            raise self.fail(f"{self.size} {self.section}-grams, but \\data\\ says {self.counts[self.section - 1]}")
        if self.section > 0:
            self._close()
        if line == "\\end\\":
            if self.section != len(self.counts) or not self.counts:
                raise self.fail(f"\\end\\ after {self.section}-grams, but \\data\\ lists {len(self.counts)} orders")
            self.ended = True
        elif line == f"\\{self.section + 1}-grams:" and self.section < len(self.counts):
            self.section += 1
            self._begin()
        else:
            raise self.fail(f"unexpected heading '{line}'")

    def body(self, lines: list[str], number: int) -> None:
        """Lines between headings, the first of which is line ``number``."""
        if self.section == 0:
            for self.number, line in enumerate(lines, number):
                if line.strip():
                    self.count(line.strip())
        elif self.section > 0:
            rows = list(filter(None, map(str.split, lines)))
            try:
                self._grams(rows)
            except (ValueError, KeyError):
                self._explain(lines, number)
                raise

    def count(self, line: str) -> None:
        name, _, rest = line.partition("=")
        try:
            if name.split() != ["ngram", str(len(self.counts) + 1)]:
                raise ValueError
            self.counts.append(int(rest))
        except ValueError:
            raise self.fail(f"expected 'ngram {len(self.counts) + 1}=COUNT', found '{line}'") from None

    def _grams(self, rows: list[list[str]]) -> None:
        """N-grams of the section. Raises ValueError for anything that is wrong with one."""
        if not rows:
            return
        k, sizes = self.section, np.fromiter(map(len, rows), np.int64, len(rows))
        if ((sizes < k + 1) | (sizes > k + 2)).any():
            raise ValueError
        flat = np.array(list(chain.from_iterable(rows)), object)
        begin = np.cumsum(sizes) - sizes
        probs = flat[begin].astype(np.float64)
        backoffs = np.zeros(len(rows))
        with_backoff = sizes == k + 2
        backoffs[with_backoff] = flat[begin[with_backoff] + k + 1].astype(np.float64)
        # A little above zero is the rounding of the programs that write such files.
        if np.isnan(probs).any() or (probs > 1e-3).any() or not (backoffs < np.inf).all():
            raise ValueError
        columns = []
        if k == 1:
            self.unigrams += flat[begin + 1].tolist()
        for j in range(1, k + 1) if k > 1 else ():
            words = flat[begin + j].tolist()
            columns.append(np.fromiter(map(self.ids.__getitem__, words), np.int32, len(words)))
            if columns[-1].min() < -1:
                raise ValueError
        self.size += len(rows)
        probs, backoffs = np.clip(probs, LOG_ZERO, 0.0), np.maximum(backoffs, LOG_ZERO)
        if k > 1 and self.ids.left_out:
            kept = np.min(columns, axis=0) >= 0
            columns, probs, backoffs = [column[kept] for column in columns], probs[kept], backoffs[kept]
        for growing, piece in zip((*self.columns, *self.values), (*columns, probs, backoffs), strict=True):
            growing.append(piece)

    def _explain(self, lines: list[str], number: int) -> None:
        """Say which line is wrong, and how."""
        k = self.section
        for self.number, line in enumerate(lines, number):
            fields = line.split()
            if not fields:
                continue
            if len(fields) not in (k + 1, k + 2):
                raise self.fail(f"a {k}-gram has {k + 1} or {k + 2} fields, found {len(fields)}")
            try:
                prob = float(fields[0])
                backoff = float(fields[k + 1]) if len(fields) == k + 2 else 0.0
            except ValueError:
                raise self.fail(f"not a number in '{line.strip()}'") from None
            if math.isnan(prob) or math.isnan(backoff) or backoff == math.inf:
                raise self.fail(f"not a finite number in '{line.strip()}'")
            if prob > 1e-3:
                raise self.fail(f"log10 probability {fields[0]} is above 0")
            for w in fields[1 : k + 1] if k > 1 else ():
                if self.ids[w] < -1:
                    raise self.fail(f"'{_word(w, self.case)}' is not among the 1-grams")

    def _close(self) -> None:
        """The section is whole: put its n-grams to the model."""
        k, lm = self.section, self.lm
        columns, (probs, backoffs) = [one.done() for one in self.columns], [one.done() for one in self.values]
        if k == 1:
            named = [_word(w, self.case) for w in self.unigrams]
            kept = [i for i, w in enumerate(named) if self.only is None or w in self.only]
            lm.vocabulary = sorted({named[i] for i in kept})
            self.ids.known, self.ids.left_out = lm.ids, set(named) - set(lm.vocabulary)
            columns = [np.array([lm.ids[named[i]] for i in kept], np.int64)]
            probs, backoffs = probs[kept], backoffs[kept]
        twice = lm.add_order(columns, probs, backoffs)
        if twice is not None:
            gram = " ".join(lm.vocabulary[int(column[twice[1]])] for column in columns)
            self.number = self._line_of(int(twice[1]))
            raise self.fail(f"'{gram}' is listed twice" + (" (after case mapping)" * (self.case != "keep")))

    def _line_of(self, nth: int) -> int:
        """The line of the nth n-gram of this section."""
        inside, seen = False, 0
        for number, line in read_lines(self.path):
            if inside and line.strip():
                seen += 1
                if seen > nth:
                    return number
            inside = inside or line.strip() == f"\\{self.section}-grams:"
        return self.number

    def finish(self) -> ArpaLm:
        if self.section == -1:
            raise DataError(f"{self.path}: no \\data\\ line: this is not an ARPA language model")
        if not self.ended:
            raise DataError(f"{self.path}: no \\end\\ line: the file is cut off")
        end = self.lm.ids.get(EOS)
        if end is None or not any(
            (probs[self.lm.last(k) == end] > LOG_ZERO).any() for k, probs in enumerate(self.lm.probs, 1)
        ):
            raise DataError(f"{self.path}: {EOS} has no probability, so that no sentence can end")
        return self.lm


def _word(word: str, case: str) -> str:
    if word.lower() in (BOS, EOS):
        return word.lower()
    return UNK if word.lower() == "<unk>" else map_case(word, case)
