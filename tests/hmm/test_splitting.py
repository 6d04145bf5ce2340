import numpy as np
import pytest

from asrpar.hmm.merging import merges
from asrpar.hmm.nodes import Split
from asrpar.hmm.splitting import Rules, best_split, grow, merge, numbered, split_gains
from asrpar.hmm.statistics import Statistics, log_likelihood

# The case with a known best tree: one root, contexts a b c d on the left, 10 frames each, variance 1.
A, B, C, D = 1, 2, 3, 4
MEANS = {A: 0.0, B: 0.2, C: 4.0, D: 4.2}
KNOWN = Statistics(
    2,
    np.array([[p, 5, 0] for p in MEANS]),
    np.array([[10, 10 * m, 10 * (1 + m * m)] for m in MEANS.values()]),
)
NONE = 1e-12  # no floor


def member(*questions):
    found = np.zeros((len(questions), 6), bool)
    for row, question in enumerate(questions):
        found[row, list(question)] = True
    return found


def test_gains_of_the_known_case():
    assert log_likelihood(KNOWN.rows.sum(axis=0), NONE) == pytest.approx(-88.986260, abs=1e-6)
    asked = member({A}, {A, B}, {A, C}, {A, D}, {A, B, C})
    gains = split_gains(KNOWN, asked, 0, 0, NONE)
    assert gains == pytest.approx([10.050174, 32.029712, 0.039960, 0.063949, 10.050174], abs=1e-6)
    assert gains[1] == pytest.approx(20 * np.log(5.01 / 1.01))


@pytest.mark.parametrize("questions", [[{A}, {B}, {A, B}, {C}, {D}], [{D}, {C}, {C, D}, {B}, {A}]])
def test_the_known_best_tree_whatever_the_order_of_questions(questions):
    questions = [frozenset(q) for q in questions]
    made = grow({(5, 0): KNOWN}, questions, [0], 5, Rules(4, floor=NONE))
    assert made.gains == pytest.approx([32.029712, 0.099503, 0.099503], abs=1e-6)
    (tree,) = numbered(made, questions).values()
    pairs = [sorted(leaf.part.keys[:, 0].tolist()) for leaf in made.leaves]
    assert sorted(pairs) == [[A], [B], [C], [D]]
    assert tree.phones == questions[2]
    # A tie on both sides: of {a} and {b} the first question is asked, and the "yes" side was split first.
    assert isinstance(tree.yes, Split) and tree.yes.phones == questions[0] and tree.no.phones == questions[3]
    made = grow({(5, 0): KNOWN}, questions, [0], 5, Rules(3, floor=NONE))
    (tree,) = numbered(made, questions).values()
    assert isinstance(tree.yes, Split) and tree.no == 2


def test_limits_of_splits():
    questions = [frozenset({A}), frozenset({A, B})]
    asked = member(*questions)
    assert best_split(KNOWN, asked, [0], 20, NONE).question == 1  # {a} would leave 10 on a side
    assert best_split(KNOWN, asked, [0], 20.5, NONE) is None
    assert best_split(KNOWN, member({5}), [0], 0, NONE) is None  # nothing on one side
    assert grow({(5, 0): KNOWN}, questions, [0], 5, Rules(9, min_gain=33, floor=NONE)).gains == []
    assert len(grow({(5, 0): KNOWN}, questions, [0], 5, Rules(9, min_gain=1, floor=NONE)).gains) == 1
    assert grow({(5, 0): KNOWN}, questions, [0], 5, Rules(9, floor=NONE), frozen=[(5, 0)]).gains == []
    assert grow({(5, 0): KNOWN}, [], [0], 5, Rules(9)).gains == []


def test_the_heap_is_over_all_roots():
    near = Statistics(2, KNOWN.keys, KNOWN.rows.copy())
    near.rows[:, 1:] = [[10 * m, 10 * (1 + m * m)] for m in (0, 0.1, 1.0, 1.1)]
    questions = [frozenset({A, B}), frozenset({A})]
    made = grow({(1, 0): near, (5, 0): KNOWN}, questions, [0], 5, Rules(3, floor=NONE))
    assert [leaf.root for leaf in made.leaves] == [(1, 0), (5, 0), (5, 0)]
    made = grow({(1, 0): near, (5, 0): KNOWN}, questions, [0], 5, Rules(4, floor=NONE))
    assert [leaf.root for leaf in made.leaves] == [(1, 0), (1, 0), (5, 0), (5, 0)]


def test_merging_gives_back_what_was_split_too_far():
    questions = [frozenset(q) for q in ({A, C}, {A}, {C}, {B})]  # none separates {a, b} from {c, d}
    made = grow({(5, 0): KNOWN}, questions, [0], 5, Rules(4, floor=NONE))
    assert len(made.leaves) == 4
    merge(made, 2, NONE)
    assert made.losses == pytest.approx([0.099503, 0.099503], abs=1e-6)
    assert sum(made.gains) - sum(made.losses) == pytest.approx(32.029712, abs=1e-5)
    (tree,) = numbered(made, questions).values()
    found = {p: walk(tree, p) for p in (A, B, C, D)}
    assert found[A] == found[B] != found[C] == found[D] and set(found.values()) == {0, 1}


def test_merging_stays_within_roots_and_asks_nothing_where_both_sides_are_one():
    made = grow({(4, 0): KNOWN, (5, 0): KNOWN}, [frozenset({A, B})], [0], 5, Rules(4, floor=NONE))
    merge(made, 1, NONE)
    assert numbered(made, [frozenset({A, B})]) == {(4, 0): 0, (5, 0): 1}


def walk(node, left):
    while isinstance(node, Split):
        node = node.yes if left in node.phones else node.no
    return node


def test_merges_take_the_least_loss_and_break_ties_by_number():
    found = list(merges(KNOWN.rows, [0] * 4, NONE))
    assert [(i, j) for i, j, _ in found] == [(0, 1), (2, 3), (4, 5)]
    assert [loss for *_, loss in found] == pytest.approx([0.099503, 0.099503, 32.029712], abs=1e-6)
    assert [(i, j) for i, j, _ in merges(KNOWN.rows, "xyxy", NONE)] == [(0, 2), (1, 3)]
