from itertools import pairwise

import numpy as np
import pytest

from asrpar.config import load_config
from asrpar.errors import ConfigError, DataError
from asrpar.hmm.building import build, report
from asrpar.hmm.config import TreeConfig
from asrpar.hmm.phones import Phones
from asrpar.hmm.questions import clustered, read_questions, write_questions
from asrpar.hmm.segments import Segments, relabel
from asrpar.hmm.statistics import count
from asrpar.hmm.topologies import TOPOLOGIES
from asrpar.hmm.tree import Tree
from asrpar.hmm.variants import marks, variants

PHONES = Phones.with_silence(["M", "N", "S", "Z", "AA"])
M, N, S, Z, AA, SIL = PHONES.ids
MEANS = {M: 0.0, N: 0.3, S: 5.0, Z: 5.2, AA: -60.0, SIL: 90.0}


def mono(name="three_state"):
    return Tree.monophone(PHONES, TOPOLOGIES.load(name)(TOPOLOGIES.settings(name)))


def utterances(number=60, among=(M, N, S, Z, AA)):
    """Speech in which AA sounds otherwise behind M or N; all else knows no context."""
    draw = np.random.default_rng(5)
    for _ in range(number):
        phones = np.concatenate([[SIL], draw.choice(among, size=8), [SIL]])
        lengths = draw.integers(3, 9, size=len(phones))
        classes = np.concatenate([np.minimum(np.arange(n), 2) for n in lengths]).astype(np.uint8)
        moved = [3.0 if p == AA and before in (M, N) else 0.0 for p, before in zip(phones, [0, *phones], strict=False)]
        means = np.array([MEANS[p] for p in phones]) + moved
        frames = np.repeat(means, lengths)[:, None] + 0.5 * classes[:, None]
        yield Segments(phones, lengths, classes), frames + draw.normal(scale=0.5, size=(len(classes), 2))


@pytest.fixture(scope="module")
def counted():
    return {width: count(utterances(), width) for width in (2, 3)}


def settings(**values):
    return load_config(TreeConfig, None, [f"{k}={v}" for k, v in values.items()])


def test_questions_are_clusters_of_what_sounds_alike(counted):
    found = clustered(counted[3], mono(), 0.01)
    assert found[:6] == [frozenset({p}) for p in PHONES.ids]
    assert set(found[6:8]) == {frozenset({M, N}), frozenset({S, Z})}
    assert found[8:] == [
        *(frozenset({M, N, S, Z}), frozenset({M, N, S, Z, AA})),
        *(frozenset({0}), frozenset({0, SIL})),
    ]


def test_phones_without_frames_are_in_no_cluster():
    found = clustered(count(utterances(among=(M, N, AA)), 3), mono(), 0.01)
    assert frozenset({S}) in found and not any(S in q for q in found if len(q) > 1)


def test_questions_are_readable_files(tmp_path, counted):
    path = tmp_path / "questions.txt"
    write_questions(path, found := clustered(counted[3], mono(), 0.01), PHONES)
    assert "M N\n" in path.read_text() and "<none> SIL\n" in path.read_text()
    assert read_questions(path, PHONES) == found
    path.write_text("# nasals\nM N\n\nN M\nS Z\n")
    assert read_questions(path, PHONES) == [frozenset({M, N}), frozenset({S, Z})]
    path.write_text("M N\nM X\n")
    with pytest.raises(DataError, match=r"questions.txt:2: 'X' is not a phone of the alignment"):
        read_questions(path, PHONES)
    path.write_text("# none\n")
    with pytest.raises(DataError, match="has no questions"):
        read_questions(path, PHONES)


@pytest.mark.parametrize(("context", "width"), [("biphone", 2), ("triphone", 3)])
def test_the_context_that_matters_is_found(counted, context, width):
    built = build(mono(), counted[width], settings(leaves=21, min_frames=10, context=context))
    tree = built.tree
    assert (tree.num_pdfs, tree.width, len(built.growth.gains)) == (21, width, 3)
    for k in range(3):
        root = tree.roots[AA, k]
        assert root.position == 0 and root.phones in ({M, N}, {M, N, S, Z, AA, SIL, 0} - {M, N})
        behind = [tree.pdf((left, AA, 0)[:width], k) for left in range(7)]
        assert (
            behind[M] == behind[N] and len({*behind} - {behind[M]}) == 1
        )  # contexts that never occur have a leaf, too
    assert tree.digest != mono().digest and tree.states(AA) == mono().states(AA)


def test_labels_of_the_tree(counted):
    tree = build(mono(), counted[3], settings(leaves=30, min_frames=10)).tree
    old = mono()
    for segments, _ in utterances(3):
        labels = relabel(segments, tree)
        assert [tree.phone_of(a) for a in labels] == [old.phone_of(b) for b in relabel(segments, old)]


def test_fewer_leaves_where_no_more_are_worth_it(counted, caplog):
    built = build(mono(), counted[3], settings(leaves=400, min_frames=60))
    assert 18 < built.tree.num_pdfs < 60
    assert f"the tree has {built.tree.num_pdfs} leaves, not 400" in caplog.text
    assert min(leaf.total[0] for leaf in built.growth.leaves if leaf.root[0] != SIL) >= 60
    assert [leaf.root for leaf in built.growth.leaves if leaf.root[0] == SIL] == [(SIL, k) for k in range(3)]
    assert any(
        leaf.root[0] == SIL
        for leaf in build(mono(), counted[3], settings(leaves=400, min_frames=9, split_silence=True)).growth.leaves[-2:]
    )


def test_leaves_are_merged_to_the_number_asked_for(counted):
    built = build(mono(), counted[3], settings(leaves=24, min_frames=10, grow=2))
    assert built.tree.num_pdfs == 24 and len(built.growth.gains) == 30 and len(built.growth.losses) == 24
    straight = build(mono(), counted[3], settings(leaves=24, min_frames=10))
    gain = sum(built.growth.gains) - sum(built.growth.losses)
    assert gain >= sum(straight.growth.gains) > 0


def test_fewer_leaves_than_roots_are_refused(counted):
    with pytest.raises(ConfigError, match=r"leaves is 17, but 6 phones have 18 states.*ask for at least 18"):
        build(mono(), counted[3], settings(leaves=17))


def test_phones_without_frames_are_told_of(caplog):
    statistics = count(utterances(among=(M, N, AA)), 3)
    built = build(mono(), statistics, settings(leaves=25, min_frames=10))
    assert "6 of 18 states have no frames" in caplog.text and "S.0 S.1 S.2 Z.0 Z.1 Z.2" in caplog.text
    assert "no_frames Z.1" in report(built)
    assert built.tree.phone_of(built.tree.pdf((M, S, N), 1)) == (S, 1)


def test_the_report_says_what_was_gained(counted):
    built = build(mono(), counted[3], settings(leaves=21, min_frames=10))
    lines = report(built)
    frames = sum(len(s.classes) for s, _ in utterances())
    assert lines[:8] == [
        *(f"frames {frames}", f"contexts {len(counted[3].keys)}", "questions 12", "roots 18", "splits 3", "merges 0"),
        *("leaves 21", f"gain_per_frame {sum(built.growth.gains) / frames:.4f}"),
    ]
    assert any(line.startswith("AA.0 ") and line.split()[2] == "2" for line in lines)
    assert f"    21  {sum(built.growth.gains) / frames:14.4f}  {built.growth.gains[-1]:.2f}" in lines


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("context", "quinphone", "context 'quinphone' is unknown"),
        ("leaves", 0, "at least 1"),
        ("grow", 0.5, "from 1 to 100"),
        ("min_frames", 0, "greater than 0"),
    ],
)
def test_settings_that_cannot_be(key, value, message):
    with pytest.raises(ConfigError, match=message):
        settings(**{key: value})


def test_variants_share_a_root_and_may_be_told_apart_below_it():
    phones = Phones.with_silence(["A0_B", "A1_B", "A0_E", "B_B"])
    mono_tree = Tree.monophone(phones, TOPOLOGIES.load("one_state")(TOPOLOGIES.settings("one_state")))
    assert variants(mono_tree) == {1: 1, 2: 1, 3: 1, 4: 4, 5: 5}
    draw, made = np.random.default_rng(7), []
    for _ in range(40):  # A with stress is 9, others are 0; B is 30 behind A0_E
        inner = draw.integers(1, 5, size=8)
        means = [9.0 if p == 2 else 30.0 if p == 4 and before == 3 else 0.0 for before, p in pairwise([0, *inner])]
        lengths = np.full(8, 4)
        x = np.repeat(means, lengths)[:, None] + draw.normal(scale=0.5, size=(32, 1))
        made.append((Segments(inner, lengths, np.zeros(32, np.uint8)), x))
    statistics = count(made, 2)
    tree = build(
        mono_tree, statistics, settings(context="biphone", leaves=5, min_frames=10, share_variants="true")
    ).tree
    one, two, three = (tree.pdf((4, p), 0) for p in (1, 2, 3))
    assert one == three != two and tree.phones_of(one) == ((1, 0), (3, 0)) and tree.phone_of(two) == (2, 0)
    assert tree.pdf((3, 4), 0) != tree.pdf((1, 4), 0) and tree.num_pdfs == 5
    with pytest.raises(ConfigError, match=r"5 phones have 5 states .* \(share_variants=true needs fewer"):
        build(mono_tree, statistics, settings(context="biphone", leaves=3))
    assert build(mono_tree, statistics, settings(context="biphone", leaves=3, share_variants="true")).tree.num_pdfs == 3


def test_names_of_variants():
    phones = Phones.with_silence(["AA0", "AA1", "T_B", "T_E", "7", "_B"])
    tree = Tree.monophone(phones, TOPOLOGIES.load("one_state")(TOPOLOGIES.settings("one_state")))
    assert variants(tree) == {1: 1, 2: 1, 3: 3, 4: 3, 5: 5, 6: 6, 7: 7}
    assert {frozenset({1, 2}), frozenset({3, 4}), frozenset({1}), frozenset({4})} <= set(marks(phones))
