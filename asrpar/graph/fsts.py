"""L and G: lexicon and language model as transducers, with OpenFst's costs (-ln of probabilities)."""

import math
from collections.abc import Mapping

import kaldifst

from asrpar.hmm.phones import Phones
from asrpar.lang.lang import Lang
from asrpar.lang.lexicon import disambiguate
from asrpar.lm.arpa import BOS, EOS, LOG_ZERO, ArpaLm, NGram

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
    known = [
        (gram, *values) for grams in lm.grams for gram, values in grams.items() if all(w in word_ids for w in gram)
    ]
    arcs = [(gram, prob) for gram, prob, _ in known if prob > LOG_ZERO and gram[-1] != BOS]
    histories: set[NGram] = {(), *(gram[:-1] for gram, _ in arcs)}
    histories |= {gram for gram, _, backoff in known if backoff and len(gram) < lm.order and gram[-1] != EOS}
    fst = kaldifst.StdVectorFst()
    states = {history: fst.add_state() for history in sorted(histories, key=lambda h: (len(h), h))}
    fst.start = states[_longest_known((BOS,), histories)]
    for gram, prob in arcs:
        here, cost = states[gram[:-1]], -prob * LN10
        if gram[-1] == EOS:
            fst.set_final(here, cost)
        else:
            word = word_ids[gram[-1]]
            there = states[_longest_known(gram if len(gram) < lm.order else gram[1:], histories)]
            fst.add_arc(here, kaldifst.StdArc(word, word, cost, there))
    for history, state in states.items():
        # A back-off weight of zero probability: nothing but the listed words follows.
        backoff = lm.grams[len(history) - 1].get(history, (0.0, 0.0))[1] if history else LOG_ZERO
        if backoff > LOG_ZERO:
            there = states[_longest_known(history[1:], histories)]
            fst.add_arc(state, kaldifst.StdArc(word_ids["#0"], 0, -backoff * LN10, there))
    return fst, sum(map(len, lm.grams)) - len(known)


def _longest_known(history: NGram, histories: set[NGram]) -> NGram:
    while history not in histories:
        history = history[1:]
    return history
