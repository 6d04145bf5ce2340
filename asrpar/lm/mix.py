"""Linear interpolation of n-gram models, and weights for it.

The mixture is a back-off model again (a static one): it lists each n-gram that a model lists, with the weighted mean of
what all models say of it, and back-off weights that make each history's probabilities sum to one. What no model lists
is backed off to, and thus no more than near to the mean. That is what SRILM's ``ngram -mix-lm`` does.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from asrpar.errors import DataError
from asrpar.lm.backoff import BOS, LOG_ZERO, ArpaLm
from asrpar.lm.shelf import MEMORY, Shelf

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


def mix(models: Sequence[ArpaLm], weights: Sequence[float], shelf: Shelf = MEMORY) -> ArpaLm:
    """The mixture as a back-off model. Words that a model does not know have probability zero there."""
    words = sorted(set().union(*(lm.ids for lm in models)))
    mixed = ArpaLm(words, [], [], [], shelf)
    into = [np.array([mixed.ids[w] for w in lm.vocabulary]) for lm in models]
    out_of = [np.array([lm.ids.get(w, -1) for w in words]) for lm in models]
    size, bos = np.uint64(len(words)), mixed.ids.get(BOS, -1)
    for k in range(1, max(lm.order for lm in models) + 1):
        keys = shelf.growing(np.uint64)
        for piece in _merged([_keys(mixed, lm, names, k) for lm, names in zip(models, into, strict=True)]):
            keys.append(piece)
        mixed.keys.append(keys.done())
        mixed.probs.append(shelf.zeros(len(mixed.keys[-1])))
        mixed.backoffs.append(shelf.zeros(len(mixed.keys[-1])))
        for part in shelf.parts(len(mixed.keys[-1])):
            columns, probs = mixed.columns(k, part), np.zeros(part.stop - part.start)
            for lm, names, weight in zip(models, out_of, weights, strict=True):
                own = [names[column] for column in columns]
                known = own[-1] >= 0
                log10 = lm.log10_probs([column[known] for column in own[:-1]], own[-1][known])
                probs[known] += weight * 10.0**log10
            probs = np.log10(np.maximum(probs, 10.0**LOG_ZERO))
            probs[(mixed.keys[-1][part] % size) == bos] = LOG_ZERO
            mixed.probs[-1][part] = probs
    set_backoffs(mixed)
    return mixed


def _keys(mixed: ArpaLm, lm: ArpaLm, names: np.ndarray, k: int) -> Iterator[np.ndarray]:
    """The k-grams of a model as keys of the mixture, some at once; sorted, as both vocabularies are."""
    for part in lm.shelf.parts(len(lm.keys[k - 1]) if k <= lm.order else 0):
        columns = [names[column] for column in lm.columns(k, part)]
        prefix = mixed.find(columns[:-1]) if k > 1 else np.zeros(len(columns[0]), np.int64)
        yield prefix.astype(np.uint64) * np.uint64(len(mixed.vocabulary)) + columns[-1].astype(np.uint64)


def _merged(streams: Sequence[Iterator[np.ndarray]]) -> Iterator[np.ndarray]:
    """What sorted streams hold, each once and sorted, some at once."""
    waiting = {number: piece for number, stream in enumerate(streams) if (piece := next(stream, None)) is not None}
    while waiting:
        # What no stream can have more of.
        until = min(piece[-1] for piece in waiting.values())
        taken = []
        for number, piece in list(waiting.items()):
            cut = int(np.searchsorted(piece, until, side="right"))
            taken.append(piece[:cut])
            rest = piece[cut:] if cut < len(piece) else next(streams[number], None)
            if rest is None:
                del waiting[number]
            else:
                waiting[number] = rest
        yield np.unique(np.concatenate(taken))


def set_backoffs(lm: ArpaLm) -> None:
    """Give each history the back-off weight under which its probabilities sum to one."""
    for k in range(1, lm.order):
        listed, below = listed_mass(lm, k)
        found = lm.shelf.growing(np.float64)
        for part in lm.shelf.parts(len(listed)):
            found.append(backoff_of(listed[part], below[part]))
        lm.backoffs[k - 1] = found.done()


def listed_mass(lm: ArpaLm, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Of each history of k words, the probability of the words listed after it: here, and by the shorter history."""
    listed, below = (lm.shelf.zeros(len(lm.keys[k - 1])) for _ in range(2))
    for part in lm.shelf.parts(len(lm.keys[k])):
        # Sorted, so that the histories of a piece lie close together.
        own, last = lm.prefix(k + 1, part), lm.last(k + 1, part)
        first = int(own[0])
        own -= first
        columns = lm.columns(k + 1, part)
        _add(listed, first, own, 10.0 ** lm.probs[k][part])
        _add(below, first, own, 10.0 ** lm.log10_probs(columns[1:-1], last))
    return listed, below


def _add(total: np.ndarray, first: int, place: np.ndarray, values: np.ndarray) -> None:
    """Add to ``total[first + place]``, places ascending; a sum that other pieces began goes on in their order."""
    begun = np.bincount(np.append(0, place), np.append(total[first], values))
    total[first : first + len(begun)] = begun


def backoff_of(listed: np.ndarray, below: np.ndarray) -> np.ndarray:
    """log10 of (1 - listed) / (1 - below); 0 where so much is listed that nothing is left for backing off."""
    left, rest = 1.0 - listed, 1.0 - below
    good = (left > 1e-9) & (rest > 1e-9)
    value = np.zeros(len(left))
    value[good] = np.log10(left[good] / rest[good])
    # Nothing is left, but there are words that are not listed: they are impossible.
    value[(left <= 1e-9) & (rest > 1e-9)] = LOG_ZERO
    return value
