"""Raw lattices: the toy whose paths are known, made by an engine, and what is made of arcs in any order."""

import itertools

import kaldifst
import numpy as np
import pytest

from asrpar.decode.config import DecodeConfig
from asrpar.decode.decoder import make_decoder
from asrpar.decode.lattices.lattice import Lattice
from asrpar.decode.lattices.paths import at_points, best_arcs, path_of, posteriors, pruned, words_of
from asrpar.decode.scales import SearchPoint
from asrpar.errors import ConfigError, DataError

LOG_PROBS = np.log(np.array([[0.7, 0.3], [0.6, 0.4], [0.2, 0.8], [0.1, 0.9]], dtype=np.float32))
# labels: (words, graph cost)
PATHS = {
    (0, 0, 1, 1): ((5, 6), 1.9),
    (0, 1, 1, 1): ((5, 6), 0.5 + 0.75 + 0.2 + 0.3),
    (0, 0, 0, 1): ((5, 6), 0.5 + 0.5 + 0.75 + 0.3),
    (1, 1, 1, 1): ((7,), 0.2 + 0.3 + 0.3),
}


def write_toy(folder):
    """The graph of which the toy's paths are all of four frames."""
    fst = kaldifst.StdVectorFst()
    for _ in range(3):
        fst.add_state()
    fst.start = 0
    for here, label, word, cost, there in [
        (0, 1, 5, 0.5, 1),
        (0, 2, 7, 0.2, 2),
        (1, 1, 0, 0.25, 1),
        (1, 2, 6, 0.75, 2),
        (2, 2, 0, 0.1, 2),
    ]:
        fst.add_arc(here, kaldifst.StdArc(label, word, cost, there))
    fst.set_final(2, 0.3)
    folder.mkdir()
    fst.write(str(folder / "HLG.fst"))
    (folder / "tokens.txt").write_text("a 0\nb 1\n")
    (folder / "words.txt").write_text("".join(f"{w} {i}\n" for i, w in enumerate(["<eps>", *"ABCDEFG"])))
    return folder


@pytest.fixture(scope="module")
def decoder(tmp_path_factory):
    config = DecodeConfig(engines={"kaldi": {"jobs": 1}})
    with make_decoder(config, write_toy(tmp_path_factory.mktemp("toy") / "graph"), 1.0, blank=None) as decoder:
        yield decoder


@pytest.fixture(scope="module")
def toy(decoder):
    return decoder.lattices([("u", LOG_PROBS)], SearchPoint(0.7, 50.0, 0.3), 50.0)[0]


def paths_of(lattice, point, blank=None):
    """All paths of a lattice by enumeration: (labels, words, cost)."""
    costs, ends = lattice.costs(point, blank), lattice.end_costs(point)

    def walk(state):
        if np.isfinite(ends[state]):
            yield (), (), ends[state]
        for a in np.flatnonzero(lattice.source == state):
            for labels, words, cost in walk(lattice.dest[a]):
                label, word = lattice.label[a], lattice.word[a]
                yield (*([label] if label >= 0 else []), *labels), (*([word] if word else []), *words), cost + costs[a]

    return list(walk(0)) if lattice.num_states else []


def test_the_toy_has_its_four_paths(toy):
    found = paths_of(toy, SearchPoint())
    assert len(found) == 4 and {labels for labels, _, _ in found} == set(PATHS)
    for labels, words, cost in found:
        acoustic = -LOG_PROBS[range(4), labels].sum()
        assert words == PATHS[labels][0]
        assert cost == pytest.approx(PATHS[labels][1] + acoustic, abs=1e-6)
    assert toy.complete and toy.num_frames == 4


def test_best_path_of_the_toy_in_parts(toy):
    costs, ends = at_points(toy, [SearchPoint(), SearchPoint(4.0)], None)
    (arcs, cost), (cheap, _) = best_arcs(toy, costs, ends)
    assert toy.label[arcs].tolist() == [0, 0, 1, 1] and words_of(toy, arcs) == (5, 6)
    assert toy.acoustic[arcs].sum() == pytest.approx(1.196006, abs=2e-6)
    assert cost - toy.acoustic[arcs].sum() == pytest.approx(1.9)
    path = path_of(toy, arcs, cost)
    assert (path.classes.tolist(), path.words, path.emitted) == ([0, 0, 1, 1], [5, 6], [0, 2])
    assert path.score == pytest.approx(-3.096006, abs=2e-6)
    assert words_of(toy, cheap) == (7,)


@pytest.mark.parametrize("blank", [None, 0])
def test_every_point_is_a_factor_on_arcs(toy, blank):
    points = [SearchPoint(s, 9.0, w, b) for s, w, b in itertools.product((0.3, 1.0, 3.0), (0.0, -1.0), (0.0, 0.4))]
    for point, (arcs, cost) in zip(points, best_arcs(toy, *at_points(toy, points, blank)), strict=True):
        by_hand = {}
        for labels, (words, graph) in PATHS.items():
            by_hand[labels] = (
                -LOG_PROBS[range(4), labels].sum()
                + point.lm_scale * (graph + point.word_penalty * len(words))
                + point.blank_penalty * (0 if blank is None else labels.count(blank))
            )
        best = min(by_hand, key=by_hand.get)
        assert cost == pytest.approx(by_hand[best], abs=1e-5)
        assert tuple(toy.label[arcs]) == best


def test_pruning_keeps_what_is_within_the_beam(toy):
    costs, ends = at_points(toy, [SearchPoint()], None)
    in_order = sorted(paths_of(toy, SearchPoint()), key=lambda x: x[2])
    for k in range(4):
        kept = pruned(toy, costs, ends, in_order[k][2] - in_order[0][2] + 1e-6)
        found = {labels for labels, _, _ in paths_of(kept, SearchPoint())}
        assert found >= {labels for labels, _, _ in in_order[: k + 1]}
        # Arcs are kept, so more paths than those may be; none of the toy's are.
        assert len(found) == k + 1
    assert pruned(toy, costs, ends, 0.0).num_arcs == 4


def test_posteriors_are_shares_of_all_paths(toy):
    found = paths_of(toy, SearchPoint())
    shares, total = posteriors(toy, toy.costs(SearchPoint(), None), toy.end_costs(SearchPoint()))
    weights = np.exp([-cost for _, _, cost in found])
    assert total == pytest.approx(-np.log(weights.sum()))
    (seven,) = np.flatnonzero(toy.word == 7)
    assert shares[seven] == pytest.approx(
        sum(w for w, (_, words, _) in zip(weights, found, strict=True) if 7 in words) / weights.sum()
    )
    for t in range(4):
        assert shares[toy.frame == t].sum() == pytest.approx(1.0)


def test_arcs_in_any_order_and_dead_ends(toy):
    rng = np.random.default_rng(3)
    number = rng.permutation(toy.num_states + 2)
    source = np.concatenate([toy.source, [0, toy.num_states + 1]])
    dest = np.concatenate([toy.dest, [toy.num_states, toy.num_states - 1]])
    columns = [number[source], number[dest]]
    columns += [np.concatenate([x, [0, 0]]) for x in (toy.label, toy.word, toy.graph, toy.acoustic)]
    order = rng.permutation(len(source))
    final = np.full(toy.num_states + 2, np.inf)
    final[number[: toy.num_states]] = toy.final
    found = Lattice.make("u", 4, [x[order] for x in columns], final, int(number[0]))
    assert found.num_states == toy.num_states and found.num_arcs == toy.num_arcs
    assert (found.source < found.dest).all()
    for a, b in zip(sorted(paths_of(found, SearchPoint())), sorted(paths_of(toy, SearchPoint())), strict=True):
        assert a[:2] == b[:2] and a[2] == pytest.approx(b[2])


def test_what_is_no_lattice_is_refused():
    def make(source, dest, label, states):
        n = len(source)
        Lattice.make("u", 9, [source, dest, label, [0] * n, [0.0] * n, [0.0] * n], [np.inf] * (states - 1) + [0.0])

    with pytest.raises(DataError, match="lattice of u has a cycle"):
        make([0, 1, 2, 1], [1, 2, 1, 3], [0, 0, 0, 0], 4)
    with pytest.raises(DataError, match="reached after different numbers of frames"):
        make([0, 0, 1], [1, 2, 2], [0, 0, -1], 3)
        make([0, 0, 1], [1, 2, 2], [0, 0, 0], 3)


def test_an_engine_without_lattices_says_so(tmp_path):
    (tmp_path / "tokens.txt").write_text("a 0\nb 1\n")
    with (
        make_decoder(DecodeConfig(engine="greedy"), tmp_path, 1.0, blank=None) as decoder,
        pytest.raises(ConfigError, match="no lattices: choose another, such as --engine kaldi"),
    ):
        decoder.lattices([("u", LOG_PROBS)], SearchPoint(), 5.0)


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_best_path_of_a_lattice_is_the_engines(graph, noise, jobs):
    utterances = [(f"u{i}", noise(i, 3 + 7 * i % 20)) for i in range(12)] + [("none", np.zeros((0, 4), np.float32))]
    with make_decoder(DecodeConfig(engines={"kaldi": {"jobs": jobs}}), graph, 0.03) as decoder:
        for point in (SearchPoint(0.6, 30.0, 0.4, 1.0), SearchPoint(2.0, 30.0, -0.5)):
            lattices = decoder.lattices(utterances, point, 9.0)
            for lattice, path in zip(lattices, decoder.search(utterances, point), strict=True):
                ((arcs, cost),) = best_arcs(lattice, *at_points(lattice, [point], 0))
                assert words_of(lattice, arcs) == tuple(path.words)
                if lattice.num_states:
                    assert -cost == pytest.approx(path.score * point.lm_scale, abs=1e-3)
                    assert lattice.with_acoustics(dict(utterances)[lattice.utt_id]).acoustic == pytest.approx(
                        lattice.acoustic, abs=1e-4
                    )


def test_where_no_final_state_is_reached_the_lattice_says_so(tmp_path, write_graph_):
    write_graph_(tmp_path / "graph", finals=False)
    config = DecodeConfig(engines={"kaldi": {"jobs": 1, "min_active": 1}})
    x = np.full((3, 4), -12.0, dtype=np.float32)
    x[range(3), [1, 2, 0]] = 0.0
    with make_decoder(config, tmp_path / "graph", 0.03) as decoder:
        partial, hopeless = decoder.lattices(
            [("p", x), ("i", np.full((3, 4), -np.inf, dtype=np.float32))], SearchPoint(), 8.0
        )
        ((arcs, cost),) = best_arcs(partial, *at_points(partial, [SearchPoint()], 0))
        assert not partial.complete and path_of(partial, arcs, cost).words == decoder.search([("p", x)])[0].words
    assert hopeless.num_states == 0 and not hopeless.complete


def test_a_lattice_beyond_all_bounds_is_made_with_a_narrower_beam(graph, one_job, noise, monkeypatch):
    utterances = [("u", noise(2, 15))]
    with make_decoder(one_job, graph, 0.03) as decoder:
        (whole,) = decoder.lattices(utterances, SearchPoint(beam=40.0), 30.0)
        monkeypatch.setattr("asrpar.decode.engines.kaldi.MOST_STATES", 3)
        (less,) = decoder.lattices(utterances, SearchPoint(beam=40.0), 30.0)
    assert less.num_states <= 3 * 16 < whole.num_states
    best = [best_arcs(x, *at_points(x, [SearchPoint()], 0))[0] for x in (whole, less)]
    assert best[0][1] == pytest.approx(best[1][1]) and words_of(whole, best[0][0]) == words_of(less, best[1][0])
