import itertools
import math

import numpy as np
import pytest
from small_lm import estimate_ngram

from asrpar.errors import DataError
from asrpar.lm.backoff import BOS, EOS, LOG_ZERO, ArpaLm
from asrpar.lm.mix import find_weights, mix
from asrpar.lm.prune import prune

A = [["a", "b"], ["a", "b", "c"], ["c", "a"], ["b", "b", "a", "c"]]
B = [["d", "a"], ["a", "d", "d"], ["d", "b", "a"], ["b"]]


def p(lm, word, *history):
    return 10 ** lm.log10_prob(history, word)


def histories(words, longest):
    for n in range(longest + 1):
        for history in itertools.product(words, repeat=n):
            yield history
            yield (BOS, *history[1:])


@pytest.mark.parametrize(("first", "second"), [(3, 3), (3, 2), (1, 3)])
def test_a_mixture_by_enumeration(first, second):
    # The second model does not know the word c.
    models, weights = [estimate_ngram(A, first), estimate_ngram(B, second)], [0.3, 0.7]
    mixed = mix(models, weights)
    words = sorted({*mixed.words, EOS})
    assert mixed.words == ["a", "b", "c", "d"] and mixed.order == max(first, second)
    for history in histories("abcd", 2):
        assert sum(p(mixed, w, *history) for w in words) == pytest.approx(1.0, abs=1e-9), history
    listed = [gram for grams in mixed.grams for gram in grams if gram[-1] != BOS]
    assert set(listed) == {g for lm in models for grams in lm.grams for g in grams if g[-1] != BOS}
    for *history, word in listed:
        mean = sum(weight * p(lm, word, *history) for lm, weight in zip(models, weights, strict=True) if word in lm.ids)
        assert p(mixed, word, *history) == pytest.approx(mean, rel=1e-9)


def test_one_model_with_itself_is_that_model():
    lm = estimate_ngram(A, 3)
    mixed = mix([lm, estimate_ngram(A, 3)], [0.2, 0.8])
    for history in histories("abc", 2):
        for word in [*lm.words, EOS]:
            assert p(mixed, word, *history) == pytest.approx(p(lm, word, *history), rel=1e-9)


def test_weights_are_those_of_greatest_likelihood():
    rng = np.random.default_rng(0)
    probs = rng.random((3, 500)) ** 4
    found = find_weights(probs)
    assert found.sum() == pytest.approx(1.0)
    best = np.log(found @ probs).sum()
    for other in rng.dirichlet([1, 1, 1], 200):
        assert np.log(other @ probs).sum() <= best + 1e-3
    # Only the second model knows anything.
    assert find_weights(np.array([[0.0, 0.0], [0.5, 0.1]])) == pytest.approx([0, 1])
    with pytest.raises(DataError, match="no word that a language model knows"):
        find_weights(np.zeros((2, 3)))


def test_pruning_by_enumeration():
    # One bigram is dropped by hand, and the relative entropy is summed over all histories and words.
    lm = estimate_ngram(A * 3 + B, 2)
    words = [*lm.words, EOS]
    chance = {w: 10 ** lm.grams[0][(EOS if w == BOS else w,)][0] for w in (*lm.words, BOS)}
    losses = {}
    for gram in lm.grams[1]:
        other = [dict(lm.grams[0]), {g: v for g, v in lm.grams[1].items() if g != gram}]
        h = gram[0]
        listed = [g[1] for g in other[1] if g[0] == h]
        left, rest = (
            1 - sum(v(w) for w in listed)
            for v in (lambda w, h=h: 10 ** lm.grams[1][(h, w)][0], lambda w: 10 ** lm.grams[0][(w,)][0])
        )
        other[0][(h,)] = (other[0][(h,)][0], math.log10(left / rest))
        small = ArpaLm.of(other)
        assert sum(p(small, w, h) for w in words) == pytest.approx(1.0)
        loss = chance[h] * sum(p(lm, w, h) * math.log(p(lm, w, h) / p(small, w, h)) for w in words)
        losses[gram] = math.expm1(loss)
    ordered = sorted(losses.values())
    threshold = (ordered[4] + ordered[5]) / 2
    lm = prune(lm, threshold)
    assert set(lm.grams[1]) == {gram for gram, loss in losses.items() if loss > threshold}
    for history in histories("abcd", 1):
        assert sum(p(lm, w, *history) for w in words) == pytest.approx(1.0, abs=1e-9)


def test_pruning_keeps_what_longer_n_grams_begin_with(tmp_path):
    full = estimate_ngram(A * 5 + B, 3)
    lm = prune(full, 0.01)
    assert lm.sizes[0] == full.sizes[0] and lm.sizes[2] < full.sizes[2]
    assert all(gram[:-1] in lm.grams[1] for gram in lm.grams[2])
    for history in histories("abcd", 2):
        assert sum(p(lm, w, *history) for w in [*lm.words, EOS]) == pytest.approx(1.0, abs=1e-9)
    lm.write(tmp_path / "lm.arpa")
    assert lm.perplexity(A) >= full.perplexity(A)
    assert lm.grams[0][(BOS,)][0] == LOG_ZERO
    # What is worth nothing goes first: all of it with a threshold that nothing reaches.
    assert prune(lm, 0.999).sizes == [full.sizes[0], 0, 0]


def test_the_marks_of_sentences_are_words_of_any_vocabulary():
    from asrpar.lm.perplexity import names_for

    words = ["<s>", "</s>", "a", "b"]
    assert names_for(words, {"a"}, "<unk>") == ["<s>", "</s>", "a", "<unk>"]
    assert names_for(words, {"a"}, None) == names_for(words, None, "<unk>") == words
