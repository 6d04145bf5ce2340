"""Phone n-grams without smoothing, which say what LF-MMI's denominator allows: Povey et al. 2016, section 2.3.

A history that was never seen has no state, and a phone that never followed a history has probability 0: without arcs
for backing off, the graph stays small. Nothing is sampled: each transcript is counted in all the ways in which it may
have been spoken, with the probability of each, so all that its numerator may pass through is in the model.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import repeat

from asrpar.errors import ConfigError, DataError

# What may be spoken at one place of a transcript: sequences of phones with their probabilities, such as a word's
# pronunciations, or silence and nothing.
Choice = Sequence[tuple[float, tuple[int, ...]]]
START = 0  # the state of an utterance's begin


class PhoneLm:
    """A deterministic acceptor of phones.

    Attributes:
        histories: the last phones that each state stands for; the first state is that of an utterance's begin, whose
            history is empty.
        arcs: of each state, by phone, the log-probability and the next state.
        final: of each state, the log-probability that the utterance ends there; minus infinity where it cannot.
    """

    def __init__(
        self, histories: list[tuple[int, ...]], arcs: list[dict[int, tuple[float, int]]], final: list[float]
    ) -> None:
        self.histories, self.arcs, self.final = histories, arcs, final

    @property
    def num_arcs(self) -> int:
        """Arcs of all states together."""
        return sum(map(len, self.arcs))

    def score(self, phones: Iterable[int]) -> float:
        """Log-probability of a whole utterance; minus infinity if the model does not allow it."""
        state, total = START, 0.0
        for phone in phones:
            if phone not in self.arcs[state]:
                return -math.inf
            log_prob, state = self.arcs[state][phone]
            total += log_prob
        return total + self.final[state]


def estimate_phone_lm(
    transcripts: Iterable[Sequence[Choice]], order: int, times: Iterable[float] | None = None
) -> PhoneLm:
    """Estimate a phone n-gram: expected counts, normalised and nothing else.

    Args:
        transcripts: each as the choices that follow one another; the probabilities of a choice sum to one.
        order: n, from 1.
        times: how often each was said; None for once.

    Raises:
        ConfigError: an order below 1.
        DataError: no transcripts.
    """
    if order < 1:
        raise ConfigError(f"n-gram order {order} of a phone language model is not at least 1")
    counts: dict[tuple[int, ...] | None, dict[int | None, float]] = defaultdict(lambda: defaultdict(float))
    for choices, often in zip(transcripts, repeat(1.0) if times is None else times, strict=False):
        _count(choices, order, counts, often)
    if not counts:
        raise DataError(
            "there are no training transcripts for the phone language model: none has words that all have a "
            "pronunciation; run stage 3 (asrpar prepare-lang) for these data"
        )
    # None, the begin, comes first; the rest in an order that does not depend on which transcript was first.
    histories = [None, *sorted(h for h in counts if h is not None)]
    ids = {h: i for i, h in enumerate(histories)}
    arcs: list[dict[int, tuple[float, int]]] = []
    final: list[float] = []
    for h in histories:
        after = counts[h]
        total = math.log(math.fsum(after.values()))
        arcs.append(
            {
                phone: (math.log(c) - total, ids[_longer(h, phone, order)])
                for phone, c in sorted((p, c) for p, c in after.items() if p is not None)
            }
        )
        final.append(math.log(after[None]) - total if after.get(None) else -math.inf)
    return PhoneLm([h or () for h in histories], arcs, final)


def _longer(history: tuple[int, ...] | None, phone: int, order: int) -> tuple[int, ...]:
    """The history after one more phone: the last n - 1."""
    return ((*(history or ()), phone))[-(order - 1) :] if order > 1 else ()


def _count(choices: Sequence[Choice], order: int, counts: dict, often: float) -> None:
    """Add the expected counts of one transcript. Choices are independent, so no backward pass is needed."""
    here: dict[tuple[int, ...] | None, float] = {None: often}
    for choice in choices:
        there: dict[tuple[int, ...] | None, float] = defaultdict(float)
        for begin, p in here.items():
            for q, phones in choice:
                history = begin
                for phone in phones:
                    counts[history][phone] += p * q
                    history = _longer(history, phone, order)
                there[history] += p * q
        here = there
    for history, p in here.items():
        counts[history][None] += p
