"""Word sequences of lattices, held against all paths."""

import itertools

import pytest
from lattices import POINT, best_costs, distance

from asrpar.decode.lattices.lattice import Lattice
from asrpar.decode.lattices.sequences import best_of
from asrpar.decode.lattices.words import n_best, oracle, word_lattice


def test_n_best_are_distinct_word_sequences_with_their_best_costs(lattices, all_paths):
    several = 0
    for lattice in lattices:
        expected = best_costs(all_paths(lattice))
        found = n_best(word_lattice(lattice, POINT, 0), 1000)
        # The library's minimisation rounds costs.
        assert dict(found) == pytest.approx(expected, abs=0.02)
        assert [c for _, c in found] == sorted(c for _, c in found)
        assert n_best(word_lattice(lattice, POINT, 0), 2) == found[:2]
        several += len(found) > 3
    assert several > 2


def test_the_beam_of_words(lattices, all_paths):
    for lattice in lattices:
        expected = best_costs(all_paths(lattice))
        best = min(expected.values())
        found = {words for words, _ in n_best(word_lattice(lattice, POINT, 0, beam=1.0), 1000)}
        assert found >= {w for w, c in expected.items() if c < best + 0.98}
        # Too many states: less is kept, never nothing of what is best.
        few = n_best(word_lattice(lattice, POINT, 0, max_states=4), 1000)
        assert min(expected, key=expected.get) == few[0][0]


def test_the_oracle_is_the_nearest_of_all_sequences(lattices, all_paths):
    for lattice in lattices:
        words = word_lattice(lattice, POINT, 0)
        sequences = list(best_costs(all_paths(lattice)))
        for reference in itertools.chain.from_iterable(itertools.product([1, 2, 3, -1], repeat=n) for n in range(4)):
            errors, said = oracle(words, reference)
            assert errors == min(distance(s, reference) for s in sequences)
            assert said in sequences and distance(said, reference) == errors


def test_parts_of_the_best_path_of_each_sequence(lattices, all_paths):
    for lattice in lattices:
        expected = best_costs(all_paths(lattice))
        sequences = [*expected, (1,) * 20, (9,)]
        found = best_of(lattice, sequences, POINT, 0)
        assert found[-2:] == [None, None]
        for words, one in zip(expected, found, strict=False):
            assert one.acoustic + POINT.lm_scale * one.graph == pytest.approx(expected[words], abs=1e-6)
            assert tuple(lattice.word[one.arcs][lattice.word[one.arcs] > 0].tolist()) == words
            acoustic = lattice.acoustic[one.arcs].sum() + POINT.blank_penalty * (lattice.label[one.arcs] == 0).sum()
            assert one.acoustic == pytest.approx(acoustic)


def test_a_lattice_of_nothing():
    none = Lattice.none("u", 3)
    words = word_lattice(none, POINT, 0)
    assert n_best(words, 5) == [] and oracle(words, (1, 2)) == (2, ()) and best_of(none, [(1,)], POINT, 0) == [None]
