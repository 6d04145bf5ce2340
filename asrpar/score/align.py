"""Alignment of a hypothesis with its reference, counted as NIST's sclite counts."""

from collections.abc import Sequence
from dataclasses import dataclass

import kaldialign

from asrpar.numbers import ratio
from asrpar.score.alternatives import Network, align_networks, as_network

# Stands for "no word" in an alignment; no word of a transcript, which has no spaces inside.
GAP = "*** "
# sclite's weights: three for an insertion or a deletion, four for a substitution.
_INDEL, _SUB = 3, 4


@dataclass(frozen=True)
class Counts:
    """Errors and reference length; adding two adds each."""

    ins: int = 0
    dele: int = 0
    sub: int = 0
    ref: int = 0

    @property
    def errors(self) -> int:
        """Insertions, deletions and substitutions together."""
        return self.ins + self.dele + self.sub

    @property
    def rate(self) -> float:
        """Errors in percent of the reference; of an empty one infinite, or NaN where there are no errors either."""
        if self.ref == 0 and self.errors:
            return float("inf")
        return 100.0 * ratio(self.errors, self.ref)

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.ins + other.ins, self.dele + other.dele, self.sub + other.sub, self.ref + other.ref)


def align(ref: Sequence[str] | Network, hyp: Sequence[str] | Network) -> list[tuple[str, str]]:
    """Pairs of reference and hypothesis word, `GAP` where there is none; of alternatives those that fit best.

    The counts are sclite's, including its choice among alignments of equal weight. That choice matters only where two
    insertions, two deletions and a correct word weigh as much as three substitutions. Where neither is in kaldialign's
    alignment, all lightest alignments have the same counts, and it is taken; otherwise the pair is aligned here.
    """
    if isinstance(ref, Network) or isinstance(hyp, Network):
        return align_networks(as_network(ref), as_network(hyp), GAP)
    pairs = kaldialign.align(list(ref), list(hyp), GAP, sclite_mode=True)
    counts = count(pairs)
    ambiguous = counts.sub >= 3 or (counts.ins >= 2 and counts.dele >= 2)
    return _align_as_sclite(ref, hyp) if ambiguous else pairs


def count(pairs: Sequence[tuple[str, str]]) -> Counts:
    """Counts of an alignment."""
    ins = sum(r == GAP for r, _ in pairs)
    dele = sum(h == GAP for _, h in pairs)
    sub = sum(r != h for r, h in pairs) - ins - dele
    return Counts(ins, dele, sub, len(pairs) - ins)


def align_characters(ref: Sequence[str], hyp: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of characters of an alignment with the least number of edits; spaces count as nothing, as for Kaldi."""
    return kaldialign.align(list("".join(ref)), list("".join(hyp)), GAP)


def _align_as_sclite(ref: Sequence[str], hyp: Sequence[str]) -> list[tuple[str, str]]:
    # weight[i][j] of aligning the first i reference words with the first j hypothesis words; traced back from the end,
    # where sclite takes a pair before an insertion, and that before a deletion.
    weight = [[j * _INDEL for j in range(len(hyp) + 1)]]
    for i, r in enumerate(ref, 1):
        above = weight[-1]
        row = [i * _INDEL]
        for j, h in enumerate(hyp, 1):
            row.append(min(above[j - 1] + (0 if r == h else _SUB), above[j] + _INDEL, row[-1] + _INDEL))
        weight.append(row)
    i, j = len(ref), len(hyp)
    pairs: list[tuple[str, str]] = []
    while i or j:
        if i and j and weight[i][j] == weight[i - 1][j - 1] + (0 if ref[i - 1] == hyp[j - 1] else _SUB):
            i, j = i - 1, j - 1
            pairs.append((ref[i], hyp[j]))
        elif j and weight[i][j] == weight[i][j - 1] + _INDEL:
            j -= 1
            pairs.append((GAP, hyp[j]))
        else:
            i -= 1
            pairs.append((ref[i], GAP))
    return pairs[::-1]
