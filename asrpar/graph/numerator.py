"""The HMM of one transcript with the weights of a phone language model: LF-MMI's numerator.

Its paths are paths of the denominator, each of them once and with the same weight, so it never has more probability.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

from asrpar.graph.denominator import Hmm, expand
from asrpar.graph.utterance import PhonesToPdfs, pronunciations
from asrpar.lang.lang import Lang
from asrpar.lm.phones import START, Choice, PhoneLm

Places = frozenset[tuple[int, tuple[int, ...]]]


def spoken_word(lang: Lang, word: str) -> Choice | None:
    """Any pronunciation of a word; their probabilities sum to one. None if it has none."""
    variants: dict[tuple[int, ...], float] = {}
    for phones, weight in pronunciations(lang, word):
        variants[phones] = max(weight, variants.get(phones, weight))
    if not variants:
        return None
    total = math.fsum(map(math.exp, variants.values()))
    return [(math.exp(weight) / total, phones) for phones, weight in variants.items()]


def with_pauses(words: Sequence[Choice], silence: int, probability: float) -> list[Choice]:
    """What a transcript may have been spoken as: its words, with silence or none around each.

    Args:
        words: see `spoken_word`.
        silence: its phone.
        probability: of silence at each place where it may be.

    Returns:
        one choice after the other.
    """
    pause = [(p, phones) for p, phones in ((1 - probability, ()), (probability, (silence,))) if p > 0]
    return [pause, *(choice for word in words for choice in (word, pause))]


def numerator(transcript: Sequence[Choice], lm: PhoneLm, tree: PhonesToPdfs, max_nodes: int) -> Hmm | None:
    """The HMM of a transcript.

    Args:
        transcript: its choices; their probabilities do not matter, since the language model has its own.
        lm: of phones.
        tree: as for the denominator.
        max_nodes: most nodes that there may be.

    Returns:
        the HMM; None if the language model allows none of the ways in which the transcript may have been spoken.
    """
    acceptor = _Acceptor(transcript)

    def follow(state: tuple[Places, int]) -> tuple[Iterable[tuple[int, float, tuple[Places, int]]], float]:
        places, history = state
        known = lm.arcs[history]
        after = (
            (phone, known[phone][0], (to, known[phone][1]))
            for phone, to in acceptor.after(places).items()
            if phone in known
        )
        return after, lm.final[history] if acceptor.ends(places) else -math.inf

    return expand((acceptor.start, START), follow, tree, max_nodes)


class _Acceptor:
    """A transcript as a deterministic acceptor of phones: a state is all places in which one may be.

    A place is a choice's number with the phones that are still to come before it.
    """

    def __init__(self, transcript: Sequence[Choice]) -> None:
        self.transcript = transcript
        self.start = self._closed([(0, ())])
        self._after: dict[Places, dict[int, Places]] = {}

    def _closed(self, places: Iterable[tuple[int, tuple[int, ...]]]) -> Places:
        """All places from which the next phone is read, and the end."""
        todo, found = list(places), set()
        while todo:
            number, rest = todo.pop()
            if rest or number == len(self.transcript):
                found.add((number, rest))
            else:
                todo += [(number + 1, phones) for _, phones in self.transcript[number]]
        return frozenset(found)

    def after(self, places: Places) -> dict[int, Places]:
        """Where each phone leads to."""
        if places not in self._after:
            by_phone: dict[int, list[tuple[int, tuple[int, ...]]]] = defaultdict(list)
            for number, rest in places:
                if rest:
                    by_phone[rest[0]].append((number, rest[1:]))
            self._after[places] = {phone: self._closed(by_phone[phone]) for phone in sorted(by_phone)}
        return self._after[places]

    def ends(self, places: Places) -> bool:
        """Whether the transcript may be over."""
        return (len(self.transcript), ()) in places
