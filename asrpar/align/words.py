"""Which word each phone of an alignment belongs to, where the alignment does not say it."""

import numpy as np

from asrpar.errors import DataError
from asrpar.graph.utterance import pronunciations
from asrpar.hmm.alignments import NO_WORD
from asrpar.hmm.phones import Phones
from asrpar.lang.lang import Lang


def words_of(phones: np.ndarray, text: str, lang: Lang, known: Phones) -> np.ndarray | None:
    """The number of each phone's word (n,), `NO_WORD` for silence between words.

    Args:
        phones: ids of an utterance (n,).
        text: its transcript.
        lang: pronunciations, of units with the same ids.
        known: which phones are silences.

    Returns:
        None where the phones are not those of the words.
    """
    try:
        words = [{units for units, _ in pronunciations(lang, word)} for word in lang.split(text)]
    except DataError:
        return None
    ids = tuple(phones.tolist())
    # How each (phones, words) that have been used was reached: (phones before, whether they are a word).
    before: dict[tuple[int, int], tuple[int, bool]] = {(0, 0): (0, False)}
    stack = [(0, 0)]
    while stack:
        at, word = here = stack.pop()
        ways = [(at + 1, word, False)] if at < len(ids) and known.is_silence(ids[at]) else []
        for units in words[word] if word < len(words) else ():
            if units and ids[at : at + len(units)] == units:
                ways.append((at + len(units), word + 1, True))
        for at_next, word_next, is_word in ways:
            if (at_next, word_next) not in before:
                before[at_next, word_next] = (at, is_word)
                stack.append((at_next, word_next))
        if here == (len(ids), len(words)):
            break
    if (len(ids), len(words)) not in before:
        return None
    found = np.full(len(ids), NO_WORD)
    at, word = len(ids), len(words)
    while at:
        begin, is_word = before[at, word]
        if is_word:
            word -= 1
            found[begin:at] = word
        at = begin
    return found
