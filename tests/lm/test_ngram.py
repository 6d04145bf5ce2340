import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_lm import estimate_ngram

from asrpar.errors import ConfigError, DataError
from asrpar.lm.arpa import read_arpa
from asrpar.lm.kneser_ney import FALLBACK, discounts


def p(lm, word, *history):
    return 10 ** lm.log10_prob(history, word)


def test_bigram_by_hand():
    # Bigrams <s>a 2, ab ac b</s> c</s> 1: n1=4 n2=1, D=2/3. Continuations a b c 1, </s> 2: n1=3 n2=1, D=3/5.
    lm = estimate_ngram([["a", "b"], ["a", "c"]], 2)
    assert p(lm, "a") == pytest.approx((1 - 0.6) / 5 + 4 * 0.6 / 5 / 4)
    assert p(lm, "</s>") == pytest.approx((2 - 0.6) / 5 + 4 * 0.6 / 5 / 4)
    assert p(lm, "a", "<s>") == pytest.approx((2 - 2 / 3) / 2 + (2 / 3) / 2 * 0.2)
    assert p(lm, "b", "a") == pytest.approx((1 - 2 / 3) / 2 + (4 / 3) / 2 * 0.2)
    assert p(lm, "</s>", "b") == pytest.approx(1 / 3 + 2 / 3 * 0.4)
    assert p(lm, "b", "<s>") == pytest.approx((2 / 3) / 2 * 0.2)  # backed off
    assert p(lm, "c", "c") == pytest.approx(2 / 3 * 0.2)
    total = math.log(p(lm, "a", "<s>") * p(lm, "b", "a") * p(lm, "</s>", "b"))
    assert lm.sentence_log_prob(["a", "b"]) == pytest.approx(total)
    assert lm.perplexity([["a", "b"]]) == pytest.approx(math.exp(-total / 3))


def test_trigram_by_hand():
    # Trigrams <s>ab 2, ab</s> 2, <s>a</s> 1: n1=1 n2=2, D=1/5. Bigrams keep raw counts after <s> (<s>a 3), the others
    # count left neighbours: ab 1 (<s>), b</s> 1 (a), a</s> 1 (<s>): no n2, so the fallback D1=0.5, D3+=1.5.
    lm = estimate_ngram([["a", "b"], ["a", "b"], ["a"]], 3)
    p_a = (1 - 0.5) / 4 + (0.5 + 0.5 + 1.0) / 4 / 3  # unigrams: a 1, b 1, </s> 2: n1=2 n2=1, D=1/2 ...
    d1 = 2 / (2 + 2 * 1)
    p_a = (1 - d1) / 4 + 3 * d1 / 4 / 3
    p_end = (2 - d1) / 4 + 3 * d1 / 4 / 3
    assert p(lm, "a") == pytest.approx(p_a)
    p_b_a = (1 - 0.5) / 2 + (0.5 + 0.5) / 2 * p_a  # P(b) = P(a)
    assert p(lm, "b", "a") == pytest.approx(p_b_a)
    assert p(lm, "a", "<s>") == pytest.approx((3 - 1.5) / 3 + 1.5 / 3 * p_a)
    assert p(lm, "b", "<s>", "a") == pytest.approx((2 - 0.2) / 3 + (0.2 + 0.2) / 3 * p_b_a)
    p_end_b = 0.5 + 0.5 * p_end
    assert p(lm, "</s>", "a", "b") == pytest.approx((2 - 0.2) / 2 + 0.2 / 2 * p_end_b)


def test_discounts():
    # n1..n4 = 4 2 1 1, Y = 1/2
    assert discounts(Counter([1, 1, 1, 1, 2, 2, 3, 4, 9])) == pytest.approx((0.5, 1.25, 1.0))
    assert discounts(Counter([1, 1, 2, 5])) == pytest.approx((0.5, 0.5, 0.5))  # no n3, n4
    # D2 = 2 - 3 Y n3/n2 < 0
    y = 3 / 5
    assert discounts(Counter([1] * 3 + [2] + [3] * 5 + [4])) == pytest.approx((y, y, y))
    assert discounts(Counter([1, 1])) == FALLBACK
    assert discounts(Counter([7, 8])) == FALLBACK


sentence = st.lists(st.sampled_from("abcd"), max_size=6)


@settings(max_examples=60, deadline=None)
@given(st.lists(sentence, min_size=1, max_size=12), st.integers(1, 5), sentence)
def test_sums_to_one_for_every_history(sentences, order, other):
    lm = estimate_ngram(sentences, order, vocabulary="abcde")
    words = ["a", "b", "c", "d", "e", "</s>"]
    histories = {("<s>", *other), tuple(other), ()}
    for grams in lm.grams[:-1]:
        histories |= set(grams) - {("</s>",)}
    for history in histories:
        if "</s>" not in history:
            assert sum(p(lm, w, *history) for w in words) == pytest.approx(1.0, abs=1e-9), history


@settings(max_examples=20, deadline=None)
@given(st.lists(sentence, min_size=1, max_size=8), st.integers(1, 4))
def test_listed_probabilities_are_never_below_backing_off(sentences, order):
    # Why a best path through back-off arcs of the graph cannot beat the listed n-gram.
    lm = estimate_ngram(sentences, order)
    for k, grams in enumerate(lm.grams[1:], 2):
        for gram, (prob, _) in grams.items():
            backoff = lm.grams[k - 2][gram[:-1]][1]
            assert prob >= backoff + lm.log10_prob(gram[1:-1], gram[-1]) - 1e-12


def test_maximum_likelihood_limit():
    # With much text the model approaches the relative frequencies.
    lm = estimate_ngram([["a"]] * 3000 + [["b"]] * 1000, 2)
    assert p(lm, "a", "<s>") == pytest.approx(0.75, abs=1e-3)


def test_file_keeps_the_model(tmp_path):
    lm = estimate_ngram([["a", "b"], ["a", "c"], ["c", "b", "a"]], 3, ["d"])
    lm.write(tmp_path / "lm.arpa")
    again = read_arpa(tmp_path / "lm.arpa")
    assert [set(g) for g in again.grams] == [set(g) for g in lm.grams]
    assert again.perplexity([["a", "d"], ["b"]]) == pytest.approx(lm.perplexity([["a", "d"], ["b"]]), rel=1e-5)
    assert Counter(lm.words) == Counter("abcd")
    assert not (tmp_path / "lm.arpa.tmp").exists()


def test_mistakes():
    with pytest.raises(DataError, match="no training text"):
        estimate_ngram([], 2)
    with pytest.raises(ConfigError, match="between 1 and 5"):
        estimate_ngram([["a"]], 6)
    with pytest.raises(DataError, match="inside a sentence"):
        estimate_ngram([["<s>", "a"]], 2)
    with pytest.raises(DataError, match="does not know the word 'z'"):
        estimate_ngram([["a"]], 2).sentence_log_prob(["z"])
    with pytest.raises(DataError, match="no sentences"):
        estimate_ngram([["a"]], 2).perplexity([])
