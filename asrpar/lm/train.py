"""An n-gram model of a text of any size, written as an ARPA file."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from asrpar.errors import ConfigError, DataError
from asrpar.lm.backoff import BOS, EOS
from asrpar.lm.counting import Store, count_ngrams
from asrpar.lm.kneser_ney import Estimate
from asrpar.lm.text_ids import BOS_ID, EOS_ID, IdFile, WordIds, without

GB = 1e9
MOST_ORDER = 5


@dataclass
class Training:
    """How a model is estimated.

    Attributes:
        order: 1 to 5.
        min_counts: by order, how often an n-gram must occur in the text to be listed; the last holds for higher orders.
        vocabulary: words of the model; None: those of the text.
        unknown: the word of the vocabulary that others are read as; None: their sentences are left out.
        memory: in GB, that counting may take.
    """

    order: int = 3
    min_counts: Sequence[int] = ()
    vocabulary: Collection[str] | None = None
    unknown: str | None = None
    memory: float = 1.0


@dataclass
class Trained:
    """What was found in the text, and what was made of it.

    Attributes:
        sentences: of the text. words: in them.
        left_out: sentences with words outside the vocabulary, which are not in the model.
        unknown: words outside the vocabulary, in what is in the model; unknown_kinds: different ones.
        sizes: listed n-grams by order. discounts: by order, of counts 1, 2, and 3 or more.
    """

    sentences: int
    words: int
    left_out: int = 0
    unknown: int = 0
    unknown_kinds: int = 0
    sizes: list[int] = field(default_factory=list)
    discounts: list[tuple[float, float, float]] = field(default_factory=list)


def train_lm(text: IdFile, ids: WordIds, how: Training, output: str | Path, work: str | Path) -> Trained:
    """Estimate a model and write it.

    Args:
        text: sentences.
        ids: numbers of its words.
        how: to estimate it.
        output: ARPA file, gzipped if its name ends in .gz.
        work: folder for what does not fit into memory; it is made, and removed.

    Raises:
        ConfigError: an order outside 1..5, or a vocabulary without the unknown word.
        DataError: no text.
    """
    if not 1 <= how.order <= MOST_ORDER:
        raise ConfigError(f"n-gram order {how.order} is not between 1 and {MOST_ORDER}")
    if how.unknown is not None and how.vocabulary is not None and how.unknown not in how.vocabulary:
        raise ConfigError(f"the vocabulary of the language model lacks {how.unknown}, as which other words are read")
    found = Trained(text.sentences, text.words)
    store = Store(Path(work))
    try:
        text, names = _named(text, ids, how, found, store)
        if not text.sentences:
            raise DataError("the language model has no training text")
        seen = {name for name, n in zip(names, text.counts.tolist(), strict=False) if n and name is not None}
        words = sorted(seen | {BOS, EOS})
        place = {word: i for i, word in enumerate(words)}
        rank = np.array([place.get(name, 0) for name in names], np.int32)
        counts = count_ngrams(text, rank, place[BOS], how.order, store, how.memory * GB, how.min_counts)
        if text.path.parent == store.folder:
            text.path.unlink()
        estimate = Estimate(counts, store, words, (seen | set(how.vocabulary or ()) | {EOS}) - {BOS})
        found.sizes, found.discounts = estimate.sizes, estimate.discounts
        estimate.write(output)
    finally:
        store.close()
    return found


def _named(text: IdFile, ids: WordIds, how: Training, found: Trained, store: Store) -> tuple[IdFile, list[str | None]]:
    """The text that the model is made of, and for each number the word that it is read as; None: no sentence has it."""
    names: list[str | None] = list(ids)
    if how.vocabulary is None:
        return text, names
    outside = np.array([w not in how.vocabulary for w in names], bool)
    outside[[BOS_ID, EOS_ID]] = False
    n = np.zeros(len(names), np.int64)
    n[: len(text.counts)] = text.counts
    names = [how.unknown if out else w for w, out in zip(names, outside.tolist(), strict=True)]
    if how.unknown is not None:
        found.unknown, found.unknown_kinds = int(n[outside].sum()), int((n[outside] > 0).sum())
    elif n[outside].any():
        kept = IdFile(store.folder / "kept.ids")
        kept.write(without(block, outside[block]) for block in text.blocks(1 << 22))
        found.left_out = text.sentences - kept.sentences
        text = kept
    return text, names
