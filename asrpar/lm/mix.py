"""Linear interpolation of n-gram models, and weights for it.

The mixture is a back-off model again (a static one): it lists each n-gram that a model lists, with the weighted mean of
what all models say of it, and back-off weights that make each history's probabilities sum to one. What no model lists
is backed off to, and thus no more than near to the mean. That is what SRILM's ``ngram -mix-lm`` does.
"""

from collections.abc import Sequence

import numpy as np

from asrpar.errors import DataError
from asrpar.lm.backoff import BOS, LOG_ZERO, ArpaLm

PIECE = 1 << 20  # n-grams at once
ROUNDS, ENOUGH = 200, 1e-7  # of EM, and what a round must add to the mean log-likelihood


def find_weights(likelihoods: np.ndarray) -> np.ndarray:
    """(M,) weights of M models under which held-out text is likeliest, by EM.

    Args:
        likelihoods: (M, N) probability of each word under each model.

    Raises:
        DataError: no words, or one that is impossible under all models.
    """
    if not likelihoods.size or (likelihoods.sum(0) <= 0).any():
        raise DataError("the held-out text has no word that a language model knows: weights cannot be found on it")
    weights, last = np.full(len(likelihoods), 1.0 / len(likelihoods)), -np.inf
    for _ in range(ROUNDS):
        joint = weights[:, None] * likelihoods
        total = joint.sum(0)
        score = float(np.log(total).mean())
        if score - last < ENOUGH:
            break
        weights, last = (joint / total).mean(1), score
    return weights


def mix(models: Sequence[ArpaLm], weights: Sequence[float]) -> ArpaLm:
    """The mixture as a back-off model. Words that a model does not know have probability zero there."""
    words = sorted(set().union(*(lm.ids for lm in models)))
    mixed = ArpaLm(words, [], [], [])
    into = [np.array([mixed.ids[w] for w in lm.vocabulary]) for lm in models]
    out_of = [np.array([lm.ids.get(w, -1) for w in words]) for lm in models]
    for k in range(1, max(lm.order for lm in models) + 1):
        size = np.uint64(len(words))
        keys = np.unique(np.concatenate([_keys(mixed, lm, names, k) for lm, names in zip(models, into, strict=True)]))
        probs = np.zeros(len(keys))
        mixed.keys.append(keys)
        mixed.probs.append(probs)
        mixed.backoffs.append(np.zeros(len(keys)))
        for at in range(0, len(keys), PIECE):
            part = slice(at, at + PIECE)
            columns = mixed.columns(k, part)
            for lm, names, weight in zip(models, out_of, weights, strict=True):
                own = [names[column] for column in columns]
                known = own[-1] >= 0
                log10 = lm.log10_probs([column[known] for column in own[:-1]], own[-1][known])
                probs[at : at + len(known)][known] += weight * 10.0**log10
        probs[:] = np.log10(np.maximum(probs, 10.0**LOG_ZERO))
        probs[(keys % size) == mixed.ids.get(BOS, -1)] = LOG_ZERO
    set_backoffs(mixed)
    return mixed


def _keys(mixed: ArpaLm, lm: ArpaLm, names: np.ndarray, k: int) -> np.ndarray:
    """The k-grams of a model as keys of the mixture."""
    if k > lm.order:
        return np.zeros(0, np.uint64)
    found = []
    for at in range(0, len(lm.keys[k - 1]), PIECE):
        columns = [names[column] for column in lm.columns(k, slice(at, at + PIECE))]
        prefix = mixed.find(columns[:-1]) if k > 1 else np.zeros(len(columns[0]), np.int64)
        found.append(prefix.astype(np.uint64) * np.uint64(len(mixed.vocabulary)) + columns[-1].astype(np.uint64))
    return np.concatenate(found) if found else np.zeros(0, np.uint64)


def set_backoffs(lm: ArpaLm) -> None:
    """Give each history the back-off weight under which its probabilities sum to one."""
    for k in range(1, lm.order):
        listed, below = listed_mass(lm, k)
        lm.backoffs[k - 1] = backoff_of(listed, below)


def listed_mass(lm: ArpaLm, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Of each history of k words, the probability of the words listed after it: here, and by the shorter history."""
    listed, below = np.zeros(len(lm.keys[k - 1])), np.zeros(len(lm.keys[k - 1]))
    prefix, last = lm.prefix(k + 1), lm.last(k + 1)
    for at in range(0, len(prefix), PIECE):
        part = slice(at, at + PIECE)
        # Sorted, so that the histories of a piece lie close together.
        first, own = int(prefix[at]), prefix[part] - int(prefix[at])
        columns = lm.columns(k + 1, part)
        until = first + int(own[-1]) + 1
        listed[first:until] += np.bincount(own, 10.0 ** lm.probs[k][part])
        below[first:until] += np.bincount(own, 10.0 ** lm.log10_probs(columns[1:-1], last[part]))
    return listed, below


def backoff_of(listed: np.ndarray, below: np.ndarray) -> np.ndarray:
    """log10 of (1 - listed) / (1 - below); 0 where so much is listed that nothing is left for backing off."""
    left, rest = 1.0 - listed, 1.0 - below
    good = (left > 1e-9) & (rest > 1e-9)
    value = np.zeros(len(left))
    value[good] = np.log10(left[good] / rest[good])
    # Nothing is left, but there are words that are not listed: they are impossible.
    value[(left <= 1e-9) & (rest > 1e-9)] = LOG_ZERO
    return value
