"""Pruning by relative entropy (Stolcke 1998, arXiv cs/0006025).

An n-gram is dropped if that raises the perplexity of the model, on text that the model itself writes, by less than a
threshold; its probability is backed off to then, and the back-off weight of its history is computed anew. With p and p'
the models before and after, w the last word, h its history, h' the history without its first word:

    D = - P(h) { P(w|h) [log P(w|h') + log b'(h) - log P(w|h)] + [log b'(h) - log b(h)] (1 - sum of listed P(.|h)) }

is lost in log-perplexity. The n-grams of a history are judged one by one, each as if it alone were dropped; those that
longer ones begin with stay.
"""

import numpy as np

from asrpar.lm.backoff import BOS, EOS, LOG_ZERO, ArpaLm
from asrpar.lm.mix import listed_mass, set_backoffs

LN10 = float(np.log(10.0))


def prune(lm: ArpaLm, threshold: float) -> ArpaLm:
    """The model without some of its n-grams, from bigrams on.

    Args:
        lm: the model; n-grams that are prefixes of others are there.
        threshold: relative rise of the perplexity up to which an n-gram is dropped, such as 1e-8.
    """
    lm = ArpaLm(lm.vocabulary, list(lm.keys), list(lm.probs), list(lm.backoffs), lm.shelf)
    set_backoffs(lm)
    for k in range(lm.order, 1, -1):
        kept = _worth_more(lm, k, threshold)
        if k < lm.order:
            for part in lm.shelf.parts(len(lm.keys[k])):
                kept[lm.prefix(k + 1, part)] = True
            lm.keys[k] = _moved(lm, k + 1, kept)
        for values in (lm.keys, lm.probs, lm.backoffs):
            values[k - 1] = _chosen(lm, values[k - 1], kept)
    set_backoffs(lm)
    return lm


def _moved(lm: ArpaLm, k: int, kept: np.ndarray) -> np.ndarray:
    """Keys of the k-grams where only those of the n-grams below that are ``kept`` are counted."""
    place, before = lm.shelf.zeros(len(kept), np.int64), -1
    for part in lm.shelf.parts(len(kept)):
        place[part] = np.cumsum(kept[part]) + before
        before = int(place[part.stop - 1])
    keys, size = lm.shelf.growing(np.uint64), np.uint64(len(lm.vocabulary))
    for part in lm.shelf.parts(len(lm.keys[k - 1])):
        keys.append(place[lm.prefix(k, part)].astype(np.uint64) * size + lm.last(k, part).astype(np.uint64))
    return keys.done()


def _chosen(lm: ArpaLm, values: np.ndarray, kept: np.ndarray) -> np.ndarray:
    found = lm.shelf.growing(values.dtype)
    for part in lm.shelf.parts(len(values)):
        found.append(values[part][kept[part]])
    return found.done()


def _worth_more(lm: ArpaLm, k: int, threshold: float) -> np.ndarray:
    """(N,) whether the perplexity rises relatively by more than a threshold if a k-gram is dropped."""
    listed, below = listed_mass(lm, k - 1)
    history = _history_probs(lm, k - 1)
    kept = lm.shelf.zeros(len(lm.keys[k - 1]), np.bool_)
    for part in lm.shelf.parts(len(kept)):
        h, log_p = lm.prefix(k, part), lm.probs[k - 1][part] * LN10
        columns = lm.columns(k, part)
        log_lower = lm.log10_probs(columns[1:-1], lm.last(k, part)) * LN10
        left, rest = 1.0 - listed[h], 1.0 - below[h]
        p = np.exp(log_p)
        with np.errstate(divide="ignore", invalid="ignore"):
            new = np.log(left + p) - np.log(rest + np.exp(log_lower))
            old = np.where(left > 1e-12, np.log(np.maximum(left, 1e-300)) - np.log(np.maximum(rest, 1e-300)), new)
        loss = -history[h] * (p * (log_lower + new - log_p) + (new - old) * np.maximum(left, 0.0))
        kept[part] = np.where(np.isfinite(loss), np.expm1(loss), np.inf) > threshold
    return kept


def _history_probs(lm: ArpaLm, k: int) -> np.ndarray:
    """(N,) how likely the words of each history of k words are, one after the other; <s> is as likely as </s>."""
    probs = 10.0 ** lm.probs[0]
    bos, eos = lm.ids.get(BOS), lm.ids[EOS]
    if bos is not None:
        probs[bos] = probs[eos]
    for j in range(2, k + 1):
        longer = lm.shelf.growing(np.float64)
        for part in lm.shelf.parts(len(lm.keys[j - 1])):
            longer.append(probs[lm.prefix(j, part)] * 10.0 ** np.maximum(lm.probs[j - 1][part], LOG_ZERO))
        probs = longer.done()
    return probs
