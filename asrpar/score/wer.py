"""Word and character error rates of a set, per utterance and per speaker, with the words that were confused."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from asrpar.errors import DataError
from asrpar.files.text import nfc
from asrpar.lang.unspaced import mostly_unspaced, split_characters
from asrpar.score.align import GAP, Counts, align, align_characters, count
from asrpar.score.alternatives import NOTHING, Network

MEASURES = ("wer", "cer", "mer")

Words = Sequence[str] | Network


@dataclass
class UtteranceScore:
    """One utterance; ``pairs`` is its alignment. ``missing`` when there was no hypothesis at all."""

    utt_id: str
    speaker: str
    pairs: list[tuple[str, str]]
    counts: Counts
    characters: Counts
    missing: bool = False


@dataclass
class Score:
    """A scored set, utterances sorted by id."""

    utterances: list[UtteranceScore]
    total: Counts = field(default_factory=Counts)
    characters: Counts = field(default_factory=Counts)
    sentence_errors: int = 0
    missing: list[str] = field(default_factory=list)

    @property
    def wer(self) -> float:
        """Word error rate in percent."""
        return self.total.rate

    @property
    def cer(self) -> float:
        """Character error rate in percent."""
        return self.characters.rate

    @property
    def ser(self) -> float:
        """Share of utterances with any error, in percent."""
        return 100.0 * self.sentence_errors / len(self.utterances)

    def speakers(self) -> dict[str, tuple[Counts, int, int]]:
        """Counts, utterances and utterances with errors of each speaker, sorted by name."""
        table: dict[str, tuple[Counts, int, int]] = {}
        for u in self.utterances:
            counts, sentences, wrong = table.get(u.speaker, (Counts(), 0, 0))
            table[u.speaker] = (counts + u.counts, sentences + 1, wrong + (u.counts.errors > 0))
        return dict(sorted(table.items()))

    def confusions(self) -> tuple[Counter, Counter, Counter]:
        """How often each pair was substituted, each word inserted, each word deleted."""
        substituted, inserted, deleted = Counter(), Counter(), Counter()
        for u in self.utterances:
            for ref, hyp in u.pairs:
                if ref == GAP:
                    inserted[hyp] += 1
                elif hyp == GAP:
                    deleted[ref] += 1
                elif ref != hyp:
                    substituted[ref, hyp] += 1
        return substituted, inserted, deleted


def score(
    references: Mapping[str, Words],
    hypotheses: Mapping[str, Words],
    speakers: Mapping[str, str] | None = None,
    measure: str = "wer",
) -> Score:
    """Score hypotheses against references.

    An utterance without a hypothesis counts as deletions and is listed in ``missing``. Words are compared as they are,
    case included.

    Measures: wer (words), cer (characters, spaces left out), and mer for text of two kinds (each character of Chinese
    and other scripts without spaces, and the words of others).

    Args:
        references: words of each utterance, or alternatives, of which the best fitting ones count.
        hypotheses: the same; ids without a reference are an error.
        measure: one of `MEASURES`.
        speakers: speaker of each utterance; by default the id's part before its first ``-``.

    Raises:
        DataError: hypotheses without reference, no words in the references, or an utterance without speaker.
    """
    check_ids(references, hypotheses)
    if not any(map(_has_words, references.values())):
        raise DataError("the references have no words: there is nothing to score")
    result = Score([])
    for utt_id in sorted(references):
        pairs, characters = _aligned(references[utt_id], hypotheses.get(utt_id, ()), measure)
        scored = UtteranceScore(
            utt_id,
            speaker_of(utt_id, speakers),
            pairs,
            count(pairs),
            characters,
            utt_id not in hypotheses,
        )
        result.utterances.append(scored)
        result.total += scored.counts
        result.characters += scored.characters
        # A lost utterance is wrong even if nothing was said in it.
        result.sentence_errors += scored.counts.errors > 0 or scored.missing
        if scored.missing:
            result.missing.append(utt_id)
    return result


def check_ids(references: Iterable[str], hypotheses: Iterable[str]) -> None:
    """Raise `DataError` if there are hypotheses of utterances without a reference."""
    references = set(references)
    extra = sorted(set(hypotheses) - references)
    if extra:
        why = _other_form(extra, references)
        raise DataError(f"{len(extra)} hypotheses have no reference, such as {', '.join(extra[:3])}: {why}")


def _has_words(reference: Words) -> bool:
    return any(word not in ("", NOTHING) for word in (reference.words if isinstance(reference, Network) else reference))


def _other_form(ids: Sequence[str], references: Iterable[str]) -> str:
    """Why the references may lack these ids."""
    for what, form in (("case", str.lower), ("way to write accents (NFC, NFD)", nfc)):
        if form(ids[0]) in set(map(form, references)):
            return f"the references have them in another {what}"
    return "wrong file?"


def utterance_counts(ref: Words, hyp: Words, measure: str) -> Counts:
    """Errors of one utterance."""
    return count(_aligned(ref, hyp, measure)[0])


def pick_measure(references: Iterable[Words]) -> str:
    """``cer`` for references that are mostly of scripts without spaces between words, else ``wer``."""
    texts = (" ".join(r.words) if isinstance(r, Network) else " ".join(r) for r in references)
    return "cer" if mostly_unspaced(texts) else "wer"


def differs_in_case(references: Mapping[str, Words], hypotheses: Mapping[str, Words]) -> bool:
    """Whether more than half of the hypotheses' different words are in the references in another case alone."""
    said, heard = (
        {word for words in texts.values() for word in (words.words if isinstance(words, Network) else words)}
        for texts in (references, hypotheses)
    )
    folded = {word.casefold() for word in said}
    return 2 * sum(word not in said and word.casefold() in folded for word in heard) > len(heard)


def _aligned(ref: Words, hyp: Words, measure: str) -> tuple[list[tuple[str, str]], Counts]:
    """The alignment in the units of the measure, and the counts of characters."""
    pairs: list[tuple[str, str]] = []
    if measure == "wer" or isinstance(ref, Network) or isinstance(hyp, Network):
        pairs = align(ref, hyp)
        ref, hyp = [r for r, _ in pairs if r != GAP], [h for _, h in pairs if h != GAP]
    characters = align_characters(ref, hyp)
    if measure == "mer":
        pairs = align(split_characters(" ".join(ref)), split_characters(" ".join(hyp)))
    return (characters if measure == "cer" else pairs), count(characters)


def speaker_of(utt_id: str, speakers: Mapping[str, str] | None = None) -> str:
    """The speaker of an utterance, from the mapping or from the id. Raises `DataError` if the mapping lacks it."""
    if speakers is None:
        return utt_id.split("-", 1)[0]
    if utt_id not in speakers:
        raise DataError(f"utterance {utt_id} is not in the utt2spk mapping")
    return speakers[utt_id]
