"""Clustering from the bottom up: the two clusters whose union loses the least likelihood become one."""

import heapq
from collections.abc import Hashable, Iterator, Sequence

import numpy as np

from asrpar.hmm.statistics import log_likelihood

DIGITS = 6  # of likelihoods: what differs by less is a tie


def merges(rows: np.ndarray, families: Sequence[Hashable], floor: float) -> Iterator[tuple[int, int, float]]:
    """Merges, that with the least loss first, until there is one cluster in each family.

    Args:
        rows: statistics of the first clusters, 0 to N - 1 (N, 1 + 2 D).
        families: of each; clusters of different ones are never merged.
        floor: least variance.

    Yields:
        (smaller number, larger number, loss); the n-th merge, from 0, makes cluster N + n. Of equal losses the pair
        with the smallest numbers is taken.
    """
    known = dict(enumerate(rows))
    members: dict[Hashable, list[int]] = {}
    family_of = dict(enumerate(families))
    heap: list[tuple[float, int, int]] = []

    def look(number: int) -> None:
        others = members.setdefault(family_of[number], [])
        if others:
            own, theirs = known[number], np.stack([known[k] for k in others])
            apart = log_likelihood(own, floor) + log_likelihood(theirs, floor)
            losses = np.round(apart - log_likelihood(theirs + own, floor), DIGITS)
            for k, loss in zip(others, losses.tolist(), strict=True):
                heapq.heappush(heap, (loss, k, number))
        others.append(number)

    for number in range(len(rows)):
        look(number)
    fresh = len(rows)
    while heap:
        loss, i, j = heapq.heappop(heap)
        if i not in known or j not in known:
            continue  # one of them is part of another by now
        known[fresh], family_of[fresh] = known.pop(i) + known.pop(j), family_of[i]
        members[family_of[i]] = [k for k in members[family_of[i]] if k in known and k != fresh]
        yield i, j, loss
        look(fresh)
        fresh += 1
