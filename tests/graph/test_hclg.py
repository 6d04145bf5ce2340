"""HCLG against an enumeration of all its paths that knows nothing of transducers, and against sums made by hand."""

import itertools
import math
import random

import kaldifst
import numpy as np
import pytest

from asrpar.errors import ConfigError, DataError
from asrpar.graph.compose import compose_lg, graph_size
from asrpar.graph.config import GraphConfig
from asrpar.graph.folder import graph_tree
from asrpar.graph.fsts import grammar_fst, lexicon_fst
from asrpar.graph.hclg import compose_hclg, usual_self_loop_scale
from asrpar.graph.k2dict import k2_dict
from asrpar.graph.make import make_graph
from asrpar.hmm.nodes import Split
from asrpar.hmm.phones import Phones
from asrpar.hmm.topologies.contract import State
from asrpar.hmm.tree import Tree
from asrpar.lang.config import LangConfig
from asrpar.lang.lang import Lang
from asrpar.lang.lexicon import Lexicon, Pronunciation
from asrpar.lm.backoff import ArpaLm

PHONES = Phones(("A", "B", "SIL"), (3,))
A, B, SIL = PHONES.ids
WORDS = {"X": (A, B), "Y": (A,)}
FRAMES = 7
# Costs of the LM, in nats: the word's after its history, and of backing off from one.
UNIGRAMS = {"X": 1.0, "Y": 0.8, "</s>": 0.9}
BIGRAMS = {("<s>", "Y"): 0.75, ("Y", "</s>"): 0.65, ("Y", "X"): 0.5, ("X", "Y"): 0.6}
BACKOFF = {"<s>": 0.3, "X": 0.2, "Y": 0.4}
# SIL has one state, the others two; loops differ, so that no two are taken for each other.
TWO = {A: (State(0, 0, 0.6), State(1, 1, 0.7)), B: (State(0, 0, 0.55), State(1, 1, 0.8)), SIL: (State(0, 0, 0.5),)}
CHAIN = {A: (State(0, 1, 0.6),), B: (State(0, 1, 0.7),), SIL: (State(0, 1, 0.5),)}


def lang_and_lm():
    nats = -1 / math.log(10)
    unigrams = {(w,): (c * nats, BACKOFF.get(w, 0.0) * nats) for w, c in UNIGRAMS.items()}
    unigrams[("<s>",)] = (-99.0, BACKOFF["<s>"] * nats)
    lm = ArpaLm.of([unigrams, {gram: (c * nats, 0.0) for gram, c in BIGRAMS.items()}])
    lexicon = Lexicon([Pronunciation(w, 1.0, tuple(map(PHONES.name, p))) for w, p in WORDS.items()])
    return Lang(["<blk>", "A", "B"], ["<eps>", "X", "Y", "#0", "<s>", "</s>"], lexicon, LangConfig()), lm


def tree_of(states, width=1, seed=None):
    """A tree of these states; with ``seed`` questions split it at random."""
    rng, numbers = random.Random(seed), itertools.count()
    asked = [p for p in range(width) if p != (width > 1)]

    def node(depth):
        if depth == 0 or not asked:
            return next(numbers)
        question = frozenset(rng.sample(range(len(PHONES) + 1), 2))
        return Split(rng.choice(asked), question, node(depth - 1), node(depth - 1))

    roots = {(p, k): node(2 if seed is not None else 0) for p in PHONES.ids for k in classes(states[p])}
    return Tree(PHONES, "none", width, [states[p] for p in PHONES.ids], roots)


def classes(states):
    return sorted({k for s in states for k in (s.first, s.later)})


def build(tree, scale=1.0):
    lang, lm = lang_and_lm()
    g, _ = grammar_fst(lm, {w: i for i, w in enumerate(lang.words)})
    return compose_hclg(compose_lg(lexicon_fst(lang, PHONES), g, len(PHONES) + 1, disambig=True), tree, scale)


def lm_cost(words):
    """Least cost: one may back off although the bigram is listed."""
    total = 0.0
    for before, word in itertools.pairwise(("<s>", *words, "</s>")):
        total += min(BIGRAMS.get((before, word), math.inf), BACKOFF[before] + UNIGRAMS[word])
    return total


def durations(states, frames):
    """All ways to spend at most ``frames`` frames in so many states: the frames in each."""
    if not states:
        yield ()
    for first in range(1, frames - states + 2):
        yield from ((first, *rest) for rest in (durations(states - 1, frames - first) if states else ()))


def enumerated(tree, scale=1.0, frames=FRAMES):
    """Least cost of each (pdfs of up to so many frames, words)."""
    found = {}
    for count in range(frames + 1):
        for words in itertools.product(WORDS, repeat=count):
            if sum(len(tree.states(p)) for w in words for p in WORDS[w]) > frames:
                continue
            for silent in itertools.product((False, True), repeat=count + 1):
                phones = [SIL] * silent[0]
                for word, silence in zip(words, silent[1:], strict=True):
                    phones += [*WORDS[word], *[SIL] * silence]
                cost = lm_cost(words) + (count + 1) * math.log(2)
                for pdfs, more in spoken(tree, phones, scale, frames):
                    key = pdfs, words
                    found[key] = min(found.get(key, math.inf), cost + more)
    return found


def spoken(tree, phones, scale, frames):
    """All pdf sequences of a phone sequence, with the costs of loops."""
    around = {1: (0,), 2: (-1, 0), 3: (-1, 0, 1)}[tree.width]
    states = []
    for i, phone in enumerate(phones):
        window = tuple(phones[i + d] if 0 <= i + d < len(phones) else 0 for d in around)
        states += [(tree.pdf(window, s.first), tree.pdf(window, s.later), s.loop) for s in tree.states(phone)]
    for counts in durations(len(states), frames):
        pdfs, cost = (), 0.0
        for (first, later, loop), n in zip(states, counts, strict=True):
            pdfs += (first,) + (later,) * (n - 1)
            cost -= scale * ((n - 1) * math.log(loop) + math.log(1 - loop))
        yield pdfs, cost


def paths(fst, frames=FRAMES):
    """The same of a graph: every path of it."""
    arcs = {s: list(kaldifst.ArcIterator(fst, s)) for s in kaldifst.StateIterator(fst)}
    found = {}
    stack = [(fst.start, (), (), 0.0)]
    while stack:
        state, pdfs, words, cost = stack.pop()
        if (final := float(fst.final(state).value)) < math.inf:
            found[pdfs, words] = min(found.get((pdfs, words), math.inf), cost + final)
        for a in arcs[state]:
            if not a.ilabel or len(pdfs) < frames:
                more = ("?XY"[a.olabel],) if a.olabel else ()
                read = (a.ilabel - 1,) if a.ilabel else ()
                stack.append((a.nextstate, pdfs + read, words + more, cost + float(a.weight.value)))
    return found


TREES = {
    "monophones": tree_of(TWO),
    "chain": tree_of(CHAIN),
    "left contexts": tree_of(TWO, 2, seed=1),
    "chain in left contexts": tree_of(CHAIN, 2, seed=2),
    "triphones": tree_of(TWO, 3, seed=3),
    "chain triphones": tree_of(CHAIN, 3, seed=4),
}


@pytest.mark.parametrize("scale", [1.0, 0.1])
@pytest.mark.parametrize("name", TREES)
def test_all_paths_and_their_costs(searches, name, scale):
    tree, frames = TREES[name], 5 if "chain" in name else FRAMES
    fst = build(tree, scale)
    found, expected = paths(fst, frames), enumerated(tree, scale, frames)
    assert found.keys() == expected.keys()
    assert found == pytest.approx(expected, abs=1e-4)
    if name == "monophones":
        assert sum(bool(words) for _, words in found) == 361
    # k2's dictionary has the best of each pdf sequence, and its words.
    k2 = searches[1](k2_dict(fst))
    sequences = sorted({pdfs for pdfs, _ in expected})
    for pdfs in random.Random(1).sample(sequences, 40):
        rows = [[0.0 if k == pdf else -math.inf for k in range(tree.num_pdfs)] for pdf in pdfs]
        cost, words = k2.best(rows)
        assert cost == pytest.approx(min(c for (p, _), c in expected.items() if p == pdfs), abs=1e-4)
        assert expected[pdfs, tuple("?XY"[w] for w in words)] == pytest.approx(cost, abs=1e-4)


LN2 = math.log(2)
# Stay in the states of A, B and SIL for another frame; leave them.
A1, A2, B1, B2, S = (-math.log(p) for p in (0.6, 0.7, 0.55, 0.8, 0.5))
A1_, A2_, B1_, B2_, S_ = (-math.log(p) for p in (0.4, 0.3, 0.45, 0.2, 0.5))
A_, B_ = A1_ + A2_, B1_ + B2_
# pdfs: A 0 1, B 2 3, SIL 4; LM and pauses; loops and exits
BY_HAND = [
    ("4", "", 0.3 + 0.9 + LN2, S_),
    ("44", "", 0.3 + 0.9 + LN2, S + S_),
    ("01", "Y", 0.75 + 0.65 + 2 * LN2, A_),
    ("0011", "Y", 0.75 + 0.65 + 2 * LN2, A1 + A2 + A_),
    ("01111", "Y", 0.75 + 0.65 + 2 * LN2, 3 * A2 + A_),
    ("401", "Y", 0.75 + 0.65 + 2 * LN2, S_ + A_),
    ("014", "Y", 0.75 + 0.65 + 2 * LN2, A_ + S_),
    ("4444401", "Y", 0.75 + 0.65 + 2 * LN2, 4 * S + S_ + A_),
    ("4401144", "Y", 0.75 + 0.65 + 2 * LN2, 2 * S + 2 * S_ + A2 + A_),
    ("0123", "X", 0.3 + 1.0 + 0.2 + 0.9 + 2 * LN2, A_ + B_),
    ("0112233", "X", 0.3 + 1.0 + 0.2 + 0.9 + 2 * LN2, A2 + B1 + B2 + A_ + B_),
    ("40123", "X", 0.3 + 1.0 + 0.2 + 0.9 + 2 * LN2, S_ + A_ + B_),
    ("0101", "YY", 0.75 + 0.4 + 0.8 + 0.65 + 3 * LN2, 2 * A_),
    ("01401", "YY", 0.75 + 0.4 + 0.8 + 0.65 + 3 * LN2, 2 * A_ + S_),
    ("0010111", "YY", 0.75 + 0.4 + 0.8 + 0.65 + 3 * LN2, A1 + 2 * A2 + 2 * A_),
    ("010123", "YX", 0.75 + 0.5 + 0.2 + 0.9 + 3 * LN2, 2 * A_ + B_),
    ("0140123", "YX", 0.75 + 0.5 + 0.2 + 0.9 + 3 * LN2, 2 * A_ + B_ + S_),
    ("012301", "XY", 0.3 + 1.0 + 0.6 + 0.65 + 3 * LN2, 2 * A_ + B_),
    ("0123401", "XY", 0.3 + 1.0 + 0.6 + 0.65 + 3 * LN2, 2 * A_ + B_ + S_),
    ("010101", "YYY", 0.75 + 2 * (0.4 + 0.8) + 0.65 + 4 * LN2, 3 * A_),
]


@pytest.mark.parametrize("scale", [1.0, 0.1])
def test_twenty_paths_by_hand(searches, scale):
    search = searches[0](build(TREES["monophones"], scale))
    for pdfs, words, graph, loops in BY_HAND:
        rows = [[0.0 if k == int(pdf) else -math.inf for k in range(5)] for pdf in pdfs]
        cost, found = search.best(rows)
        assert cost == pytest.approx(graph + scale * loops, abs=1e-4), pdfs
        assert "".join("?XY"[w] for w in found) == words, pdfs


def test_the_note_s_example(searches):
    """Silence of five frames, then the word Y: sums of loops 0.5, 0.6 and 0.7, LM 1.4, two pauses."""
    for scale, expected in ((1.0, 8.3723), (0.1, 3.3449)):
        rows = [[0.0 if k == pdf else -math.inf for k in range(5)] for pdf in (4, 4, 4, 4, 4, 0, 1)]
        assert searches[0](build(TREES["monophones"], scale)).best(rows)[0] == pytest.approx(expected, abs=2e-4)


@pytest.mark.parametrize("states", [TWO, CHAIN])
@pytest.mark.parametrize("width", [2, 3])
def test_contexts_that_change_no_pdf_change_no_path(states, width):
    plain, wide = build(tree_of(states)), build(tree_of(states, width))
    assert paths(wide, 5) == pytest.approx(paths(plain, 5), abs=1e-5)
    if width == 2:
        assert graph_size(wide) == graph_size(plain)


def test_phones_that_share_pdfs():
    """As imported trees may have them: labels are of states until the graph is deterministic."""
    states = {**TWO, B: TWO[A]}
    roots = {(A, 0): 0, (A, 1): 1, (B, 0): 0, (B, 1): 1, (SIL, 0): 2}
    tree = Tree(PHONES, "none", 1, [states[p] for p in PHONES.ids], roots)
    assert paths(build(tree)) == pytest.approx(enumerated(tree), abs=1e-4)


@pytest.mark.parametrize("width", [1, 2, 3])
def test_a_word_that_is_pronounced_like_the_silence(monkeypatch, width):
    monkeypatch.setitem(WORDS, "Y", (SIL,))
    monkeypatch.setitem(BIGRAMS, ("Y", "Y"), 0.45)
    tree = tree_of(CHAIN, width)
    graph = build(tree)
    assert paths(graph, 5) == pytest.approx(enumerated(tree, frames=5), abs=1e-4)
    # The word is written on its own frames, so k2's arcs have place for it.
    assert k2_dict(graph)["aux_labels"].max() == 2


def test_self_loop_scales():
    assert usual_self_loop_scale(TREES["monophones"]) == 0.1
    assert usual_self_loop_scale(TREES["chain triphones"]) == 1.0
    # A scale of 0 leaves the costs of lexicon and LM alone, whatever the durations.
    free = paths(build(TREES["monophones"], 0.0))
    assert free[(0, 1), ("Y",)] == free[(0, 0, 0, 1, 1), ("Y",)] == pytest.approx(1.4 + 2 * LN2, abs=1e-4)


def test_states_without_loops():
    states = {**TWO, SIL: (State(0, 0, 0.0),)}
    tree = tree_of(states)
    found = paths(build(tree))
    assert ((4,), ()) in found and ((4, 4), ()) not in found


def test_folder(small, tmp_path, caplog):
    config = GraphConfig(topology="three_state")
    make_graph(config, small[0], tmp_path / "g")
    tree = graph_tree(tmp_path / "g")
    lang = Lang.load(small[0])
    assert tree.num_pdfs == 3 * len(lang.tokens)  # SIL in the place of the blank
    assert sorted(p.name for p in (tmp_path / "g").iterdir()) == [
        "HCLG.fst", "HCLG.pt", "files.sha256", "graph.yaml", "tree.txt", "words.txt",
    ]  # fmt: skip
    text = (tmp_path / "g/graph.yaml").read_text()
    assert "graph: HCLG" in text and "topology: three_state" in text and "self_loop_scale: 0.1" in text
    # From the tree itself, the same; and nothing is left of what was there.
    make_graph(GraphConfig(), small[0], tmp_path / "h")
    assert graph_tree(tmp_path / "h") is None
    make_graph(GraphConfig(), small[0], tmp_path / "h", tmp_path / "g")
    assert sorted(p.name for p in (tmp_path / "h").iterdir()) == sorted(p.name for p in (tmp_path / "g").iterdir())
    for name in ("HCLG.fst", "HCLG.pt", "tree.txt", "graph.yaml"):
        assert (tmp_path / "g" / name).read_bytes() == (tmp_path / "h" / name).read_bytes()
    make_graph(GraphConfig(), small[0], tmp_path / "h")
    assert "HLG.fst" in {p.name for p in (tmp_path / "h").iterdir()} and not (tmp_path / "h/tree.txt").exists()


def test_mistakes(small, tmp_path):
    make_graph(GraphConfig(topology="chain"), small[0], tmp_path / "g")
    with pytest.raises(ConfigError, match=r"topology is three_state, but the tree of .* was made with chain"):
        make_graph(GraphConfig(topology="three_state"), small[0], tmp_path / "x", tmp_path / "g")
    tree_of(TWO).write(tmp_path / "tree.txt")
    with pytest.raises(DataError, match=r"tree of .* has no phone \w+, which .* has"):
        make_graph(GraphConfig(), small[0], tmp_path / "x", tmp_path / "tree.txt")
    with pytest.raises(DataError, match=r"phones in context has more than 170 states .* raise max_states"):
        make_graph(GraphConfig(topology="three_state", max_states=170), small[0], tmp_path / "x")
    with pytest.raises(ConfigError, match="self_loop_scale"):
        make_graph(GraphConfig(topology="chain", self_loop_scale=-1.0), small[0], tmp_path / "x")
    assert not (tmp_path / "x").exists()


@pytest.mark.k2
def test_k2_reads_it(needs_k2, small, searches, tmp_path):
    import k2
    import torch

    make_graph(GraphConfig(topology="chain"), small[0], tmp_path)
    fsa = k2.Fsa.from_dict(torch.load(tmp_path / "HCLG.pt", weights_only=True))
    engine, pdfs = searches[0](tmp_path / "HCLG.fst"), graph_tree(tmp_path).num_pdfs
    rng = np.random.default_rng(3)
    for frames in (6, 20):
        x = torch.from_numpy(3 * rng.standard_normal((1, frames, pdfs))).float().log_softmax(-1)
        dense = k2.DenseFsaVec(x, torch.tensor([[0, 0, frames]], dtype=torch.int32))
        lattice = k2.intersect_dense_pruned(k2.create_fsa_vec([fsa]), dense, 1000.0, 1000.0, 1, 1_000_000)
        best = k2.shortest_path(lattice, use_double_scores=True)
        cost, words = engine.best(x[0].tolist())
        assert -float(best.get_tot_scores(True, False)[0]) == pytest.approx(cost, abs=1e-3)
        assert tuple(w for w in best.aux_labels.tolist() if w > 0) == words
