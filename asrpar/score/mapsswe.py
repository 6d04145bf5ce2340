"""Matched-pairs sentence-segment word error test (MAPSSWE; Gillick and Cox, 1989), as SCTK's sc_stats does it.

The recognised words of two systems are cut into segments wherever both have two words right one after the other; what
lies between is taken as independent. Tested is whether the mean difference of errors over segments is nought. Segments,
mean, deviation and Z are those of ``sc_stats -t mapsswe``, also where alternatives made the references differ.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from asrpar.score.align import GAP

# Words that both have right and that end a segment.
MIN_GOOD = 2
Pairs = Sequence[tuple[str, str]]
_INS, _OTHER, _CORRECT = "I", "E", "C"


@dataclass(frozen=True)
class MatchedPairs:
    """The outcome of a test of A against B.

    Attributes:
        segments: that have an error of either.
        mean, deviation: of the errors of A less those of B in a segment.
        z: of the mean; 0.0 where all differences are equal, as for sc_stats.
    """

    segments: int
    mean: float
    deviation: float
    z: float

    @property
    def p(self) -> float:
        """Two-sided probability of so great a difference between equal systems."""
        return math.erfc(abs(self.z) / math.sqrt(2))

    @property
    def significant(self) -> bool:
        """At 5 %, by sc_stats's bound."""
        return abs(self.z) > 1.960


def matched_pairs(alignments: Iterable[tuple[Pairs, Pairs]]) -> MatchedPairs:
    """Test two systems on the same utterances.

    Args:
        alignments: of each utterance the pairs (reference word, recognised word) of A and of B, `GAP` for none.
    """
    differences = []
    for a, b in alignments:
        for errors_a, errors_b in segment_errors(a, b):
            if errors_a or errors_b:
                differences.append(errors_a - errors_b)
    if not differences:
        return MatchedPairs(0, 0.0, 0.0, 0.0)
    n = len(differences)
    mean = sum(differences) / n
    squares = sum((d - mean) ** 2 for d in differences)
    if squares == 0.0:
        return MatchedPairs(n, mean, 0.0, 0.0)
    deviation = math.sqrt(squares / (n - 1))
    return MatchedPairs(n, mean, deviation, mean / (deviation / math.sqrt(n)))


def segment_errors(a: Pairs, b: Pairs) -> list[tuple[int, int]]:
    """Errors of both systems in each segment of an utterance."""
    kinds = [[_kind(r, h) for r, h in pairs] for pairs in (a, b)]
    words = [[None if r == GAP else r for r, _ in pairs] for pairs in (a, b)]
    one, other = kinds
    i = j = 0
    good_i = good_j = 0  # the last word of the correct ones before a segment
    state, run = "begin", 0
    found = []

    def segment(end_i: int, end_j: int) -> None:
        errors = sum(k != _CORRECT for k in one[max(0, good_i - MIN_GOOD + 1) : end_i + 1])
        found.append((errors, sum(k != _CORRECT for k in other[max(0, good_j - MIN_GOOD + 1) : end_j + 1])))

    while i < len(one):
        while i < len(one) and one[i] == _INS:
            i, state = i + 1, "error"
        while j < len(other) and other[j] == _INS:
            j, state = j + 1, "error"
        if _apart(words, kinds, i, j):
            to_i, to_j, met = _meet(words, i, j)
            if met:
                if set(one[i : to_i + 1]) | set(other[j : to_j + 1]) != {_CORRECT}:
                    state = "error"
                i, j = to_i, to_j
        both = i < len(one) and j < len(other) and one[i] == other[j] == _CORRECT
        if state == "begin":
            if both:
                good_i, good_j = i, j
            else:
                state = "error"
        elif not both:
            state = "error"
        else:
            run = run + 1 if state == "good" else 1
            state = "good"
            if run == MIN_GOOD:
                segment(i, j)
                good_i, good_j, state = i, j, "begin"
        i += i < len(one)
        j += j < len(other)
    if state != "begin" or j < len(other):
        segment(len(one) - 1, len(other) - 1)
    return found


def _kind(ref: str, hyp: str) -> str:
    return _INS if ref == GAP else _CORRECT if ref == hyp else _OTHER


def _apart(words: list[list[str | None]], kinds: list[list[str]], i: int, j: int) -> bool:
    """Whether the references have come apart, which alternatives make them do."""
    here, there = i < len(words[0]), j < len(words[1])
    if (here and words[0][i] is None) != (there and words[1][j] is None):
        return True
    return here and there and words[0][i] != words[1][j] and kinds[0][i] != kinds[1][j]


def _meet(words: list[list[str | None]], i: int, j: int) -> tuple[int, int, bool]:
    """Where sc_stats takes two references that have come apart up again: at the first words that differ.

    One would expect the first that are equal. But then the numbers would be others than those that are published.
    """
    at_i, at_j = i, j
    while at_i < len(words[0]):
        while at_j < len(words[1]) and at_j <= j + 1 + at_i - i:
            if words[0][at_i] != words[1][at_j]:
                return at_i, at_j, True
            at_j += 1
        at_i += 1
    return at_i, at_j, False
