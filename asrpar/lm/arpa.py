"""Back-off n-gram models in ARPA format: read, write, score."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from asrpar.errors import DataError
from asrpar.files.replacing import replacing_text
from asrpar.files.text import read_lines
from asrpar.lang.text import map_case

BOS, EOS, UNK = "<s>", "</s>", "<UNK>"
# What ARPA files write for log10 of zero.
LOG_ZERO = -99.0

NGram = tuple[str, ...]


@dataclass
class ArpaLm:
    """A back-off n-gram model.

    ``grams[k - 1]`` maps each k-gram to (log10 probability, log10 back-off weight).
    """

    grams: list[dict[NGram, tuple[float, float]]]

    @property
    def order(self) -> int:
        """Length of the longest n-grams."""
        return len(self.grams)

    @property
    def words(self) -> list[str]:
        """The unigrams, without <s> and </s>."""
        return [w for (w,) in self.grams[0] if w not in (BOS, EOS)]

    def log10_prob(self, history: Sequence[str], word: str) -> float:
        """log10 P(word | history); only the last order-1 words of the history count.

        Raises:
            DataError: the model knows neither the word nor <UNK>.
        """
        if (word,) not in self.grams[0]:
            if (UNK,) not in self.grams[0]:
                raise DataError(f"the language model does not know the word '{word}', and has no {UNK}")
            word = UNK
        context = tuple(history[max(0, len(history) - self.order + 1) :]) if self.order > 1 else ()
        total = 0.0
        while True:
            entry = self.grams[len(context)].get((*context, word))
            if entry is not None:
                return total + entry[0]
            backoff = self.grams[len(context) - 1].get(context)
            total += backoff[1] if backoff is not None else 0.0
            context = context[1:]

    def sentence_log_prob(self, words: Sequence[str]) -> float:
        """Natural log of P(words </s> | <s>)."""
        known = [w if (w,) in self.grams[0] else UNK for w in words]
        padded = [BOS, *known]
        total = sum(self.log10_prob(padded[: i + 1], w) for i, w in enumerate([*words, EOS]))
        return total * math.log(10.0)

    def perplexity(self, sentences: Iterable[Sequence[str]]) -> float:
        """exp of the mean negative log-probability per word, </s> counted as a word."""
        total, count = 0.0, 0
        for words in sentences:
            total += self.sentence_log_prob(words)
            count += len(words) + 1
        if not count:
            raise DataError("perplexity of no sentences")
        try:
            return math.exp(-total / count)
        except OverflowError:  # words of LOG_ZERO
            return math.inf

    def write(self, path: str | Path) -> None:
        """Write the model as an ARPA file, n-grams sorted."""
        with replacing_text(path) as f:
            f.write("\\data\\\n")
            f.writelines(f"ngram {k}={len(grams)}\n" for k, grams in enumerate(self.grams, 1))
            for k, grams in enumerate(self.grams, 1):
                f.write(f"\n\\{k}-grams:\n")
                for gram, (prob, backoff) in sorted(grams.items()):
                    end = f"\t{backoff:.7g}" if k < self.order and backoff != 0.0 else ""
                    f.write(f"{prob:.7g}\t{' '.join(gram)}{end}\n")
            f.write("\n\\end\\\n")


def read_arpa(path: str | Path, case: str = "keep") -> ArpaLm:
    """Read an ARPA file (gzipped or not); text before ``\\data\\`` is skipped.

    Args:
        path: the file.
        case: bring the words to 'upper' or 'lower' case; <s>, </s> and <unk> keep theirs. <unk> becomes <UNK>.

    Raises:
        DataError: anything that is not a complete and consistent model, with file and line.
    """
    reader = _Reader(path, case)
    for number, line in read_lines(path):
        reader.number = number
        reader.line(line.strip())
    return reader.finish()


class _Reader:
    """State machine over the lines of an ARPA file."""

    def __init__(self, path: str | Path, case: str) -> None:
        self.path, self.case, self.number = path, case, 0
        self.counts: list[int] = []
        self.grams: list[dict[NGram, tuple[float, float]]] = []
        self.section = -1  # -1: before \data\, 0: counts, k: k-grams, None: after \end\
        self.ended = False

    def fail(self, what: str) -> DataError:
        return DataError(f"{self.path}:{self.number}: {what}")

    def line(self, line: str) -> None:
        if not line or self.ended:
            return
        if self.section == -1:
            if line == "\\data\\":
                self.section = 0
        elif line.startswith("\\"):
            self.heading(line)
        elif self.section == 0:
            self.count(line)
        else:
            self.gram(line)

    def heading(self, line: str) -> None:
        if self.section > 0 and len(self.grams[-1]) != self.counts[self.section - 1]:
            raise self.fail(
                f"{len(self.grams[-1])} {self.section}-grams, but \\data\\ says {self.counts[self.section - 1]}"
            )
        if line == "\\end\\":
            if self.section != len(self.counts) or not self.counts:
                raise self.fail(f"\\end\\ after {self.section}-grams, but \\data\\ lists {len(self.counts)} orders")
            self.ended = True
        elif line == f"\\{self.section + 1}-grams:" and self.section < len(self.counts):
            self.section += 1
            self.grams.append({})
        else:
            raise self.fail(f"unexpected heading '{line}'")

    def count(self, line: str) -> None:
        name, _, rest = line.partition("=")
        try:
            if name.split() != ["ngram", str(len(self.counts) + 1)]:
                raise ValueError
            self.counts.append(int(rest))
        except ValueError:
            raise self.fail(f"expected 'ngram {len(self.counts) + 1}=COUNT', found '{line}'") from None

    def gram(self, line: str) -> None:
        k, fields = self.section, line.split()
        if len(fields) not in (k + 1, k + 2):
            raise self.fail(f"a {k}-gram has {k + 1} or {k + 2} fields, found {len(fields)}")
        try:
            prob = float(fields[0])
            backoff = float(fields[k + 1]) if len(fields) == k + 2 else 0.0
        except ValueError:
            raise self.fail(f"not a number in '{line}'") from None
        if math.isnan(prob) or math.isnan(backoff) or backoff == math.inf:
            raise self.fail(f"not a finite number in '{line}'")
        # A little above zero is the rounding of the programs that write such files.
        if prob > 1e-3:
            raise self.fail(f"log10 probability {fields[0]} is above 0")
        gram = tuple(self.word(w) for w in fields[1 : k + 1])
        if gram in self.grams[-1]:
            raise self.fail(f"'{' '.join(gram)}' is listed twice" + (" (after case mapping)" * (self.case != "keep")))
        for w in gram if k > 1 else ():
            if (w,) not in self.grams[0]:
                raise self.fail(f"'{w}' is not among the 1-grams")
        self.grams[-1][gram] = (min(max(prob, LOG_ZERO), 0.0), max(backoff, LOG_ZERO))

    def word(self, word: str) -> str:
        if word.lower() in (BOS, EOS):
            return word.lower()
        return UNK if word.lower() == "<unk>" else map_case(word, self.case)

    def finish(self) -> ArpaLm:
        if self.section == -1:
            raise DataError(f"{self.path}: no \\data\\ line: this is not an ARPA language model")
        if not self.ended:
            raise DataError(f"{self.path}: no \\end\\ line: the file is cut off")
        if not any(gram[-1] == EOS and p > LOG_ZERO for grams in self.grams for gram, (p, _) in grams.items()):
            raise DataError(f"{self.path}: {EOS} has no probability, so that no sentence can end")
        return ArpaLm(self.grams)
