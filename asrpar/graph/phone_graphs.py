"""The graphs of LF-MMI, from a language folder, a tree, and the transcripts of a training set."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache, partial

from asrpar.errors import ConfigError
from asrpar.graph.denominator import Hmm, denominator
from asrpar.graph.numerator import numerator, spoken_word, with_pauses
from asrpar.hmm.tree import Tree
from asrpar.lang.lang import Lang
from asrpar.lm.phones import Choice, estimate_phone_lm

# Numerators that are kept, some 20 kB each.
KEPT = 10000


class PhoneGraphs:
    """A denominator, and numerators that are parts of it.

    Args:
        lang: pronounces words.
        tree: of width 1 or 2, with the phones of ``lang``.
        texts: transcripts to estimate the phone language model on; those with words that nobody knows are left out.
        order: of the language model.
        max_nodes: most nodes of a graph.

    Attributes:
        num_classes: pdfs of the tree.
        classes: their names.
        tree: digest of the tree.
        silences: its phones that stand for no speech.
        lm: the phone language model.
        denominator: of it.

    Raises:
        ConfigError: a graph of more nodes, or a tree that LF-MMI cannot do with.
        DataError: no transcripts.
    """

    def __init__(self, lang: Lang, tree: Tree, texts: Iterable[str], order: int, max_nodes: int) -> None:
        if lang.num_tokens > 1 + len(tree.phones) or any(
            tree.phones.name(i) != token for i, token in enumerate(lang.tokens) if i
        ):
            raise ConfigError(
                f"the tree is of other phones ({' '.join(tree.phones.names[:5])} ...) than the language folder "
                f"({' '.join(lang.tokens[1:6])} ...): give a tree that was made with this language folder"
            )
        self._lang, self._tree, self._max_nodes = lang, tree, max_nodes
        self.num_classes, self.classes, self.tree = tree.num_pdfs, tuple(tree.names), tree.digest
        self.silences = tree.phones.silences
        self._word = cache(partial(spoken_word, lang))
        times = Counter(texts)
        known = {text: spoken for text in times if (spoken := self._choices(text)) is not None}
        self.lm = estimate_phone_lm(known.values(), order, (times[text] for text in known))
        states = max(len(tree.states(phone)) for phone in tree.phones.ids)
        # Of a text that the language model was estimated on, any way to speak it is allowed.
        self._enough = {
            text: states * sum(min(len(phones) for _, phones in choice) for choice in spoken)
            for text, spoken in known.items()
        }
        self.denominator = denominator(self.lm, tree, max_nodes)
        self.numerator = lru_cache(KEPT)(self._numerator)

    def _choices(self, text: str) -> Sequence[Choice] | None:
        """What a transcript may have been spoken as; None if a word has no pronunciation."""
        words = [self._word(word) for word in self._lang.split(text)]
        if None in words:
            return None
        return with_pauses(words, self._tree.phones.silence, self._lang.config.optional_silence.probability)

    def surely_fits(self, text: str, frames: int) -> bool:
        """Whether a transcript that the language model was estimated on has a path of so many frames; quick."""
        return 0 < self._enough.get(text, math.inf) <= frames

    def _numerator(self, text: str) -> Hmm | None:
        """The HMM of a transcript; None if a word has no pronunciation, or if the language model allows no way to
        speak it, as may happen with what it was not estimated on.
        """
        spoken = self._choices(text)
        return None if spoken is None else numerator(spoken, self.lm, self._tree, self._max_nodes)
