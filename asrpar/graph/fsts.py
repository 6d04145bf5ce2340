"""L and G: lexicon and language model as transducers, with OpenFst's costs (-ln of probabilities)."""

import math
from collections.abc import Mapping

import kaldifst
import numpy as np

from asrpar.graph.arrays import ARC, Arrays
from asrpar.hmm.phones import Phones
from asrpar.lang.lang import Lang
from asrpar.lang.lexicon import disambiguate
from asrpar.lm.backoff import BOS, EOS, LOG_ZERO, ArpaLm

LN10 = math.log(10.0)


def lexicon_fst(lang: Lang, phones: Phones | None = None) -> kaldifst.StdVectorFst:
    """L with disambiguation symbols: unit ids in, word ids out, the word on its first unit.

    Unit ids are classes (1 and above), or phones if these are given, whose silence may stand before, between and behind
    words then. The symbol #k has id n + k for the first id n that is no unit. A self-loop lets the LM's #0 pass.
    """
    symbol = lang.config.optional_silence.symbol
    if phones is None:
        unit_id, after_units = lang.token_id, lang.num_tokens
        silence = None if symbol is None else lang.token_id(symbol)
    else:
        unit_id, after_units, silence = phones.id, len(phones) + 1, phones.silence
        symbol = phones.name(silence)
    entries = lang.lexicon.entries
    numbers, highest = disambiguate([e.tokens for e in entries], symbol)
    fst = kaldifst.StdVectorFst()
    loop = fst.add_state()
    probability = lang.config.optional_silence.probability
    after = _add_optional_silence(fst, loop, silence, probability, after_units + highest + 1)
    for entry, number in zip(entries, numbers, strict=True):
        inputs = [unit_id(t) for t in entry.tokens] + ([after_units + number] if number else [])
        output, cost, here = lang.word_id(entry.word), -math.log(entry.prob), loop
        for unit in inputs[:-1]:
            there = fst.add_state()
            fst.add_arc(here, kaldifst.StdArc(unit, output, cost, there))
            output, cost, here = 0, 0.0, there
        for there, choice in after:
            fst.add_arc(here, kaldifst.StdArc(inputs[-1], output, cost + choice, there))
    fst.add_arc(loop, kaldifst.StdArc(after_units, lang.word_id("#0"), 0.0, loop))
    return fst


def _add_optional_silence(
    fst: kaldifst.StdVectorFst, loop: int, silence: int | None, probability: float, disambig: int
) -> list[tuple[int, float]]:
    """Set start and final state; return where a word may lead, with the cost of choosing it."""
    fst.set_final(loop, 0.0)
    if silence is None:
        fst.start = loop
        return [(loop, 0.0)]
    take, leave = -math.log(probability), -math.log(1.0 - probability)
    start, before, closing = fst.add_state(), fst.add_state(), fst.add_state()
    fst.start = start
    fst.add_arc(start, kaldifst.StdArc(0, 0, leave, loop))
    fst.add_arc(start, kaldifst.StdArc(0, 0, take, before))
    # The symbol behind the silence tells it from a word that is pronounced like it.
    fst.add_arc(before, kaldifst.StdArc(silence, 0, 0.0, closing))
    fst.add_arc(closing, kaldifst.StdArc(disambig, 0, 0.0, loop))
    return [(loop, leave), (before, take)]


def grammar_fst(lm: ArpaLm, word_ids: Mapping[str, int]) -> tuple[kaldifst.StdVectorFst, int]:
    """G: one state per history, word arcs, and back-off arcs that read #0 and write nothing.

    A history that nothing listed follows has no state if backing off from it costs nothing.

    As in any graph with back-off arcs, a path may back off although the n-gram is listed. It then costs more for that
    word (estimated n-grams are never below backing off), but goes on with a shorter history.

    Args:
        lm: the n-gram.
        word_ids: words.txt; n-grams with other words are left out.

    Returns:
        the transducer, and the number of n-grams left out.
    """
    labels = np.array([word_ids.get(w, -1) for w in lm.vocabulary], np.int32)
    bos, eos = lm.ids.get(BOS, -1), lm.ids.get(EOS, -1)
    known, states, number = _states(lm, labels >= 0, bos, eos)
    arcs: list[np.ndarray] = []
    sources: list[np.ndarray] = []
    finals = np.full(number, np.inf, np.float32)
    for k in range(1, lm.order + 1):
        prob, last = lm.probs[k - 1], lm.last(k)
        listed = np.flatnonzero(known[k - 1] & (prob > LOG_ZERO) & (last != bos))
        source = states[k - 1][lm.prefix(k)[listed]] if k > 1 else np.zeros(len(listed), np.int64)
        ends = last[listed] == eos
        finals[source[ends]] = -prob[listed[ends]] * LN10
        listed, source = listed[~ends], source[~ends]
        columns = lm.columns(k, listed)
        arcs.append(_arcs(labels[last[listed]], -prob[listed], _state_of(lm, states, columns)))
        arcs[-1]["olabel"] = arcs[-1]["ilabel"]
        sources.append(source)
    for k in range(1, lm.order):
        # A back-off weight of zero probability: nothing but the listed words follows.
        backing = np.flatnonzero((states[k] >= 0) & (lm.backoffs[k - 1] > LOG_ZERO))
        there = _state_of(lm, states, lm.columns(k, backing)[1:], len(backing))
        arcs.append(_arcs(np.full(len(backing), word_ids["#0"]), -lm.backoffs[k - 1][backing], there))
        sources.append(states[k][backing])
    source = np.concatenate(sources)
    first = np.zeros(number + 1, np.int64)
    np.cumsum(np.bincount(source, minlength=number), out=first[1:])
    start = int(_state_of(lm, states, [np.array([bos])])[0]) if bos >= 0 else 0
    graph = Arrays(start, finals, first, np.concatenate(arcs)[np.argsort(source, kind="stable")])
    return graph.fst(), sum(int((~k).sum()) for k in known)


def _states(lm: ArpaLm, words: np.ndarray, bos: int, eos: int) -> tuple[list[np.ndarray], list[np.ndarray], int]:
    """By order: which n-grams have known ``words`` alone. By length of history: its state, or -1. How many states."""
    known = [words[lm.last(1)]]
    for k in range(2, lm.order + 1):
        known.append(known[-1][lm.prefix(k)] & words[lm.last(k)])
    states, number = [np.zeros(1, np.int64)], 1
    for k in range(1, lm.order):
        own = known[k - 1] & (lm.backoffs[k - 1] != 0.0) & (lm.last(k) != eos)
        following = known[k] & (lm.probs[k] > LOG_ZERO) & (lm.last(k + 1) != bos)
        own[lm.prefix(k + 1)[following]] = True
        states.append(np.where(own, np.cumsum(own) - 1 + number, -1))
        number += int(own.sum())
    return known, states, number


def _state_of(lm: ArpaLm, states: list[np.ndarray], history: list[np.ndarray], size: int = 0) -> np.ndarray:
    """The state of the longest end of each history that has one."""
    found = np.zeros(len(history[0]) if history else size, np.int64)
    history = history[max(0, len(history) - lm.order + 1) :]
    left = np.arange(len(found))
    for length in range(len(history), 0, -1):
        place = lm.find([column[left] for column in history[len(history) - length :]])
        state = np.where(place >= 0, states[length][place], -1)
        found[left[state >= 0]] = state[state >= 0]
        left = left[state < 0]
    return found


def _arcs(labels: np.ndarray, log10: np.ndarray, there: np.ndarray) -> np.ndarray:
    arcs = np.zeros(len(labels), ARC)
    arcs["ilabel"], arcs["weight"], arcs["nextstate"] = labels, log10 * LN10, there
    return arcs
