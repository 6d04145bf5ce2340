"""Phones that are variants of one: with another stress, or at another place in a word."""

import re

from asrpar.hmm.phones import Phones
from asrpar.hmm.topologies.contract import pdf_classes
from asrpar.hmm.tree import Tree

# AA1_B is AA, stressed, at the beginning of a word.
_NAME = re.compile(r"(?P<base>.*?[^\d_])(?P<stress>\d)?(?P<place>_[BIES])?")


def _parts(name: str) -> tuple[str, str, str]:
    found = _NAME.fullmatch(name)
    return (found["base"], found["stress"] or "", found["place"] or "") if found else (name, "", "")


def variants(tree: Tree) -> dict[int, int]:
    """For each phone the first one that it is a variant of, perhaps itself; variants have the same pdf classes."""
    first: dict[tuple[str, bool, tuple[int, ...]], int] = {}
    phones = tree.phones
    return {
        p: first.setdefault((_parts(phones.name(p))[0], phones.is_silence(p), tuple(pdf_classes(tree.states(p)))), p)
        for p in phones.ids
    }


def marks(phones: Phones) -> list[frozenset[int]]:
    """Questions: all phones of one stress, all of one place, and all of one base."""
    found: dict[tuple[int, str], set[int]] = {}
    for p in phones.ids:
        for kind, mark in enumerate(_parts(phones.name(p))):
            if mark:
                found.setdefault((kind, mark), set()).add(p)
    return [frozenset(found[key]) for key in sorted(found)]
