"""Scores of a decoded set of calls: its words are put where they were said, and counted by hubscr.pl."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asrpar.files.replacing import replacing_text
from asrpar.score.alternatives import Network
from asrpar.score.report import summary, write_report
from asrpar.score.sctk.ctm import Segment, make_ctm, timed_words
from asrpar.score.sctk.hubscr import WHOLE, count_faults, read_reference, score_calls
from asrpar.score.sctk.programs import Sctk
from asrpar.score.trn import read_transcripts
from asrpar.score.wer import Score, check_ids

FOLDER = "sctk"  # of SCTK's reports, below that of the results


@dataclass
class CallScores:
    """The scores of a set, ``all`` and each of its parts, and what is to be told of them."""

    scores: dict[str, Score]
    notes: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def segments_of(manifests: Path, set_name: str) -> dict[str, Segment]:
    """Where each utterance of a set lies. Raises as `asrpar.corpus.manifests.read_split`."""
    from asrpar.corpus.manifests import one_channel, read_split

    supervisions = read_split(manifests, set_name).supervisions
    return {
        s.id: Segment(
            s.recording_id, "AB"[channel] if (channel := one_channel(s)) < 2 else str(channel), s.start, s.end
        )
        for s in supervisions
    }


def score_decoded(
    sctk: Sctk, manifests: Path, set_name: str, hyp: Path, times: Path, results: Path, facts: Mapping[str, Any]
) -> CallScores:
    """Score a set, and write ``sctk/`` (the CTM and SCTK's reports), ``recogs``, ``errs`` and ``wer.json``.

    ``wer.json`` has the whole set in the usual keys, and each part below ``subsets``.

    Args:
        sctk: the programs.
        manifests: of stage 1, with the set's reference.
        set_name: of the set.
        hyp: hypotheses, trn or Kaldi text.
        times: ``times.ctm`` of the decoding; words that are not there share their segment's time.
        results: folder that is written to.
        facts: for ``wer.json``.

    Raises:
        MissingInputError, DataError: files that are missing or cannot be used, or hubscr.pl stopped.
    """
    reference = read_reference(manifests, set_name)
    segments = segments_of(manifests, set_name)
    words = {utt_id: _words(said) for utt_id, said in read_transcripts(hyp, may_be_empty=True).items()}
    check_ids(segments, words)
    spoken, guessed = timed_words(times, words, segments)
    ctm = make_ctm(spoken, segments, reference.acronyms)
    folder = results / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with replacing_text(folder / "hyp.ctm") as file:
        file.writelines(ctm.lines)
    scores = score_calls(sctk, reference, ctm.lines, folder, segments, set(segments) - set(words))
    found = CallScores(scores, faults=count_faults(reference, scores))
    if guessed:
        found.notes.append(
            f"{len(guessed)} of {len(words)} hypotheses have no times in {times}, such as {guessed[0]}: their words "
            "share the segment's time"
        )
    numbers = summary(scores[WHOLE], facts) | {
        "scored_by": "hubscr",
        "subsets": {name: summary(score, {}) for name, score in scores.items() if name != WHOLE},
        "left_out": dict(sorted(ctm.left_out.items())),
        "reference_sha256": hashlib.sha256(
            reference.stm.text().encode() + reference.glm.read_bytes() + reference.acronyms.encode()
        ).hexdigest(),
        "count_faults": found.faults,
    }
    write_report(results, scores[WHOLE], numbers)
    return found


def _words(said: list[str] | Network) -> list[str]:
    # Of alternatives, which no decoding writes, the first way through.
    return said if isinstance(said, list) else [w for w in said.words if w not in ("", "@")]
