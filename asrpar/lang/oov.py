"""Words of the text that have no pronunciation, and what the setting ``oov.policy`` makes of them."""

import unicodedata
from collections.abc import Collection

from asrpar.errors import DataError
from asrpar.lang.config import OovConfig
from asrpar.lang.lexicon import Lexicon, Pronunciation
from asrpar.lang.text import Sentences, some
from asrpar.log import get_logger

LOG = get_logger(__name__)


def apply_policy(
    oov: OovConfig, lexicon: Lexicon, missing: Collection[str], text: Sentences
) -> tuple[Lexicon, Sentences]:
    """The lexicon with what the policy adds, and the text as the language model is to see it.

    Args:
        oov: the policy.
        lexicon: pronunciations that there are.
        missing: words of the vocabulary or the text that have none.
        text: sentences.

    Raises:
        DataError: the policy is to refuse such words, or they cannot be spelled.
    """
    if oov.policy == "unk":
        # <UNK> is in lexicon and LM even if nothing is missing here: other text may have such words.
        unk = Pronunciation(oov.word, 1.0, (oov.unit,))
        lexicon = Lexicon([*(e for e in lexicon.entries if e.word != unk.word), unk])
        return lexicon, [[unk.word if w in missing else w for w in words] for words in text]
    if not missing:
        return lexicon, text
    if oov.policy == "skip":
        kept = [words for words in text if not any(w in missing for w in words)]
        LOG.warning(
            "%d of %d sentences left out: %s have no pronunciation", len(text) - len(kept), len(text), some(missing)
        )
        return lexicon, kept
    if oov.policy == "spell":
        spelled = {w: spell_by_letters(w, lexicon) for w in sorted(missing)}
        silent = [w for w, units in spelled.items() if units is None]
        if not silent:
            LOG.info("%d words spelled letter by letter: %s", len(missing), some(missing))
            return Lexicon([*lexicon.entries, *(Pronunciation(w, 1.0, u) for w, u in spelled.items() if u)]), text
        raise DataError(f"oov.policy 'spell': the lexicon lacks letters of {some(silent)}")
    raise DataError(
        f"{len(missing)} words have no pronunciation: {some(missing)}; "
        f"{_twins(missing, lexicon)}extend the lexicon, or set oov.policy to unk, skip or spell"
    )


def spell_by_letters(word: str, *lexicons: Lexicon) -> tuple[str, ...] | None:
    """The pronunciation of a word said letter by letter, or None if a letter is in none of the lexicons."""
    units: list[str] = []
    for letter in word:
        for lexicon in lexicons:
            if letter in lexicon:
                units.extend(lexicon.first(letter))
                break
        else:
            return None
    return tuple(units) or None


def _seen(word: str) -> str:
    """What is to be seen of a word; joiners and marks of direction are not."""
    return "".join(char for char in word if unicodedata.category(char) != "Cf")


def _twins(words: Collection[str], lexicon: Lexicon) -> str:
    """What to say if the lexicon has words in another case, or that only look so; empty if it has not."""
    for form, how in (
        (str.casefold, "in another case (unit_settings.phones.case brings it to one)"),
        (_seen, "with other invisible characters, such as U+200B or U+FEFF"),
    ):
        known = {form(word) for word in lexicon.by_word}
        count = sum(form(word) in known for word in words)
        if count:
            return f"the lexicon has {count} of them {how}; "
    return ""
