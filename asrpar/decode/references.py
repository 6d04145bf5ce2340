"""What was said in the utterances of a set, and how many errors words have against it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from asrpar.errors import ConfigError, DataError
from asrpar.lang.lang import Lang
from asrpar.score.align import Counts
from asrpar.score.wer import pick_measure, utterance_counts


def reference_of(unit: str, lang: Path | None) -> Callable[[str], str]:
    """Transcript to reference text: itself for words, its units where ``unit``, of a decoder, is "tokens".

    Raises:
        ConfigError: units, and no language folder that knows them.
    """
    if unit == "words":
        return lambda text: text
    if lang is None:
        raise ConfigError(
            "greedy decoding of phones gives phones, not words: give --lang to score a phone error rate, "
            "or decode words with --engine kaldi and --graph"
        )
    language = Lang.load(lang)
    return lambda text: " ".join(language.tokens[i] for i in language.encode(text))


def count_errors(words: Mapping[str, Sequence[str]], references: Mapping[str, str]) -> dict[str, float]:
    """Errors of the words of each utterance; of characters where text has no spaces.

    Raises:
        DataError: no reference has a word.
    """
    measure = pick_measure(text.split() for text in references.values())
    total = Counts()
    for utt_id, said in words.items():
        total += utterance_counts(references[utt_id].split(), said, measure)
    if total.ref == 0:
        raise DataError("the dev set has no words: there is nothing to choose the LM scale by")
    return {
        "wer": round(total.rate, 4),
        "errors": total.errors,
        "ref_words": total.ref,
        "ins": total.ins,
        "del": total.dele,
        "sub": total.sub,
    }
