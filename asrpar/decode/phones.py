"""Phones along a path of pdfs."""

from collections.abc import Sequence

from asrpar.decode.times import Runs
from asrpar.hmm.tree import Tree


class PhoneRuns:
    """Reads phones, with silences, out of paths of a tree's pdfs.

    A phone goes on while frames stay in its state or move on to the next, and ends where neither can be. Phones that
    follow themselves are told apart where their states are; those of one state and one pdf class are read as one. Of
    phones that share a pdf and have the same states, such as variants with another stress, all are read as the first:
    no pdf may say which of them it is. Of others one that goes on is taken before those that do not.

    Args:
        tree: whose pdfs.

    Attributes:
        read_as: of each phone, from 0 on, the one that it is read as, usually itself.
    """

    def __init__(self, tree: Tree) -> None:
        self._states = {phone: tree.states(phone) for phone in tree.phones.ids}
        self.read_as = _first_alike(tree)
        self._owners = [[(self.read_as[p], k) for p, k in tree.phones_of(pdf)] for pdf in range(tree.num_pdfs)]

    def __call__(self, pdfs: Sequence[int]) -> Runs:
        """The phones of a path, from its first frame to its last."""
        runs: Runs = []
        phone = state = -1
        for t, pdf in enumerate(pdfs):
            owners = self._owners[pdf]
            going_on = self._next(phone, state, dict(owners).get(phone)) if runs else None
            if going_on is None:
                phone, state = owners[0][0], 0
                runs.append((phone, t, t + 1))
            else:
                state = going_on
                runs[-1] = (phone, runs[-1][1], t + 1)
        return runs

    def _next(self, phone: int, state: int, pdf_class: int | None) -> int | None:
        """The state of a frame of ``pdf_class`` that follows one in ``state``; None if it is of another phone."""
        states = self._states[phone]
        if pdf_class == states[state].later and states[state].loop > 0:
            return state
        if state + 1 < len(states) and pdf_class == states[state + 1].first:
            return state + 1
        return None


def _first_alike(tree: Tree) -> list[int]:
    """(P + 1) for each phone the first one of its states that it shares pdfs with, perhaps by way of others."""
    first = list(range(len(tree.phones) + 1))

    def root(phone: int) -> int:
        while first[phone] != phone:
            phone = first[phone]
        return phone

    shape = {p: [(s.first, s.later) for s in tree.states(p)] for p in tree.phones.ids}
    for pdf in range(tree.num_pdfs):
        owners = sorted({phone for phone, _ in tree.phones_of(pdf)})
        for i, a in enumerate(owners):
            for b in owners[:i]:
                if shape[a] == shape[b]:
                    low, high = sorted((root(a), root(b)))
                    first[high] = low
    return [root(phone) for phone in range(len(first))]
