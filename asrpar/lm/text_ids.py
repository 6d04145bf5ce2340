"""Text as numbers: what n-grams of large text are counted from.

Words are numbered as they come; a sentence is the numbers of its words and `EOS_ID`. A text is read once, in pieces of
some megabytes, and its numbers lie in a file of four bytes a word.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from asrpar.errors import DataError
from asrpar.files.text import read_pieces
from asrpar.lang.text import check_sentences, map_case, split_words
from asrpar.lm.backoff import BOS, EOS

BOS_ID, EOS_ID = 0, 1
PIECE = 1 << 22  # bytes of text at once
LOOKED_AT = 1000  # lines that tell whether a file is text


class WordIds(dict[str, int]):
    """Numbers of words, from 2 on; a new word gets the next one."""

    def __init__(self, words: Iterable[str] = ()) -> None:
        super().__init__({BOS: BOS_ID, EOS: EOS_ID})
        for word in words:
            self[word]

    def __missing__(self, word: str) -> int:
        number = self[word] = len(self)
        return number

    def sentences(self, sentences: Iterable[Sequence[str]]) -> np.ndarray:
        """(N,) int32: the numbers of sentences, each with its end. Raises `DataError` for <s> or </s> in one."""
        numbers: list[int] = []
        for words in sentences:
            if BOS in words or EOS in words:
                raise DataError(f"{BOS} or {EOS} inside a sentence of the language model's text")
            numbers += map(self.__getitem__, words)
            numbers.append(EOS_ID)
        return np.array(numbers, np.int32)

    def file(
        self, path: str | Path, case: str = "keep", split: str = "blanks", piece: int = PIECE
    ) -> Iterator[np.ndarray]:
        """Whole sentences of a text file, one a line, gzipped or not; lines without words are none.

        Args:
            path: the file.
            case: bring the text to 'upper' or 'lower' case.
            split: what a word is, see `asrpar.lang.text.split_words`.
            piece: bytes at once.

        Raises:
            MissingInputError, DataError: no such file, or none that is text of sentences.
        """
        first = True
        for number, text in read_pieces(path, piece):
            lines = text.split("\n")
            if first:
                check_sentences(path, [line for line in lines[:LOOKED_AT] if line.strip()])
                first = False
            yield self._numbers(map_case(text, case), lines, split, f"{path}: after line {number}")

    def _numbers(self, text: str, lines: list[str], split: str, where: str) -> np.ndarray:
        if BOS in text or EOS in text:
            for word in text.split():
                if word in (BOS, EOS):
                    raise DataError(f"{where}: {word} inside a sentence; the ends of lines are the ends of sentences")
        if split == "blanks":
            words = text.replace("\n", f" {EOS} ").split()
        else:
            words = [word for line in text.split("\n") for word in (*split_words(line, split), EOS)][:-1]
        numbers = np.fromiter(map(self.__getitem__, words), np.int32, len(words))
        if len(numbers) and numbers[-1] != EOS_ID:
            numbers = np.append(numbers, np.int32(EOS_ID))
        ends = numbers == EOS_ID
        empty = ends & np.concatenate(([True], ends[:-1]))
        return numbers[~empty]


class IdFile:
    """The numbers of a text in a file, and what is known of them.

    Attributes:
        path: the file, int32.
        counts: (words,) int64, how often each number occurs.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.counts = np.zeros(0, np.int64)
        path.write_bytes(b"")

    @property
    def sentences(self) -> int:
        """How many sentences it has."""
        return int(self.counts[EOS_ID]) if len(self.counts) else 0

    @property
    def words(self) -> int:
        """How many words, ends of sentences not counted."""
        return int(self.counts.sum()) - self.sentences

    def write(self, blocks: Iterable[np.ndarray]) -> "IdFile":
        """Append sentences."""
        with self.path.open("ab") as file:
            for numbers in blocks:
                if len(numbers):
                    file.write(numbers.astype(np.int32, copy=False))
                    self._count(numbers)
        return self

    def _count(self, numbers: np.ndarray) -> None:
        found = np.bincount(numbers, minlength=len(self.counts))
        found[: len(self.counts)] += self.counts
        self.counts = found

    def blocks(self, size: int) -> Iterator[np.ndarray]:
        """Whole sentences, about ``size`` numbers at once."""
        with self.path.open("rb") as file:
            rest = np.zeros(0, np.int32)
            while len(found := np.fromfile(file, np.int32, size)):
                found = np.concatenate((rest, found))
                ends = np.flatnonzero(found == EOS_ID)
                cut = int(ends[-1]) + 1 if len(ends) else 0
                found, rest = found[:cut], found[cut:]
                if len(found):
                    yield found


def without(numbers: np.ndarray, unwanted: np.ndarray) -> np.ndarray:
    """Sentences less those with a word that is ``unwanted`` (a mask, as long as ``numbers``)."""
    if not unwanted.any():
        return numbers
    ends = numbers == EOS_ID
    sentence = np.cumsum(ends) - ends
    bad = np.zeros(int(ends.sum()), bool)
    bad[sentence[unwanted]] = True
    return numbers[~bad[sentence]]
