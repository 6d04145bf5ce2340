"""Questions of a tree: sets of phones, from a file, or made by clustering phones that sound alike."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from asrpar.errors import DataError
from asrpar.files.replacing import replacing_text
from asrpar.files.text import text_lines
from asrpar.hmm.merging import merges
from asrpar.hmm.phones import NO_PHONE, Phones
from asrpar.hmm.statistics import Statistics
from asrpar.hmm.tree import Tree

Question = frozenset[int]


def clustered(statistics: Statistics, tree: Tree, floor: float) -> list[Question]:
    """Questions from data: single phones, clusters of speech, utterance ends, and ends with silence.

    Phones are merged two by two, those first that lose the least likelihood, by the statistics of the middle state
    alone, as Kaldi's cluster-phones takes it; each cluster on the way is a question.

    Args:
        statistics: of any contexts.
        tree: whose phones and states they are of.
        floor: least variance.
    """
    phones = tree.phones
    speech = [p for p in phones.ids if not phones.is_silence(p)]
    parts = statistics.by_root()
    middle = {p: parts.get((p, _middle_class(tree, p)), statistics.nothing) for p in speech}
    heard = [p for p in speech if len(middle[p].keys)]
    rows = np.array([middle[p].rows.sum(axis=0) for p in heard])
    sets = [frozenset({p}) for p in heard]
    for i, j, _ in merges(rows, [0] * len(heard), floor):
        sets.append(sets[i] | sets[j])
    every = [frozenset({p}) for p in phones.ids] + sets[len(heard) :]
    every += [frozenset({NO_PHONE}), frozenset({NO_PHONE, *phones.silences})]
    return list(dict.fromkeys(every))


def _middle_class(tree: Tree, phone: int) -> int:
    states = tree.states(phone)
    return states[len(states) // 2].first


def read_questions(path: str | Path, phones: Phones) -> list[Question]:
    """A question in each line: names of phones; ``<none>`` stands for an utterance's end. ``#`` begins a comment.

    Raises:
        MissingInputError: there is no such file.
        DataError: a name that is no phone (the line is in the message), or no questions.
    """
    found: dict[Question, None] = {}
    for number, line in text_lines(path, "questions=FILE names the sets of phones that may be asked for"):
        if line.startswith("#") and line.split()[0] not in phones.names:
            continue
        try:
            found.setdefault(frozenset(map(phones.id, line.split())))
        except DataError as e:
            raise DataError(f"{path}:{number}: {e} of the alignment") from e
    if not found:
        raise DataError(f"{path} has no questions: expected phones in each line")
    return list(found)


def write_questions(path: str | Path, questions: Sequence[Question], phones: Phones) -> None:
    """Write a file that `read_questions` reads."""
    with replacing_text(path) as file:
        file.writelines(f"{phones.listed(question)}\n" for question in questions)
