"""The files of a scored set: ``recogs``, ``errs`` and ``wer.json``."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from asrpar.files.json_files import write_json
from asrpar.files.replacing import replacing
from asrpar.score.align import GAP, Counts
from asrpar.score.significance import drawn_by, wer_interval
from asrpar.score.speakers import write_speakers
from asrpar.score.wer import Score


def wer_line(score: Score, name: str = "WER") -> str:
    """Kaldi's line: ``%WER 3.75 [ 29 / 773, 3 ins, 8 del, 18 sub ]``."""
    return _rate_line(name, score.total)


def summary(score: Score, facts: Mapping[str, Any], metric: str = "WER") -> dict[str, Any]:
    """What ``wer.json`` holds: the counts, the rates in percent, the 95 % interval, then ``facts``.

    Intervals are of resampled speakers, or of utterances where there are too few of them, as ``ci95_of`` says.
    ``wer``, ``errors`` to ``sub`` and ``ci95`` are of the measure that ``metric`` names, in its units; what begins with
    ``cer`` is of characters in any case.
    """
    speakers = [u.speaker for u in score.utterances]
    return {
        "metric": metric,
        "wer": round(score.wer, 4),
        "errors": score.total.errors,
        "ref_words": score.total.ref,
        "ins": score.total.ins,
        "del": score.total.dele,
        "sub": score.total.sub,
        "sentences": len(score.utterances),
        "sentence_errors": score.sentence_errors,
        "ser": round(score.ser, 4),
        "ci95": _interval([u.counts for u in score.utterances], speakers),
        "ci95_of": drawn_by(speakers),
        "speakers": len(set(speakers)),
        "cer": round(score.cer, 4),
        "cer_errors": score.characters.errors,
        "cer_ref_characters": score.characters.ref,
        "cer_ci95": _interval([u.characters for u in score.utterances], speakers),
        "missing_hypotheses": score.missing,
        **facts,
    }


def _interval(counts: Sequence[Counts], speakers: Sequence[str]) -> list[float]:
    return [round(v, 4) for v in wer_interval([c.errors for c in counts], [c.ref for c in counts], speakers)]


def write_report(folder: Path, score: Score, numbers: Mapping[str, Any]) -> None:
    """Write ``recogs``, ``errs``, ``utt2spk`` and, last, ``wer.json``, each under a temporary name first."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "recogs", recogs_lines(score))
    _write(folder / "errs", errs_lines(score, numbers))
    write_speakers(folder, score)
    write_json(folder / "wer.json", dict(numbers))


def recogs_lines(score: Score) -> Iterable[str]:
    """Reference and hypothesis of each utterance as lists of words."""
    for u in score.utterances:
        yield f"{u.utt_id}:\tref={[r for r, _ in u.pairs if r != GAP]}"
        yield f"{u.utt_id}:\thyp={[h for _, h in u.pairs if h != GAP]}"


def errs_lines(score: Score, numbers: Mapping[str, Any]) -> Iterable[str]:
    """The rates, speakers, confusions, and the alignment of each utterance that has errors."""
    low, high = numbers["ci95"]
    yield wer_line(score, numbers["metric"])
    yield f"%SER {score.ser:.2f} [ {score.sentence_errors} / {len(score.utterances)} ]"
    if numbers["metric"] != "CER":
        yield _rate_line("CER", score.characters)
    yield f"95 % interval of the {numbers['metric']} (bootstrap over {numbers['ci95_of']}): {low:.2f} to {high:.2f}"
    if score.missing:
        yield f"MISSING HYPOTHESES ({len(score.missing)}, counted as deletions): {' '.join(score.missing)}"
    yield ""
    words = "characters" if numbers["metric"] == "CER" else "words"
    yield f"SPEAKERS: rate, errors / {words}, ins, del, sub, wrong sentences / sentences"
    for speaker, (counts, sentences, wrong) in score.speakers().items():
        rate = f"{counts.rate:7.2f}" if counts.ref else f"{'-':>7}"
        yield (
            f"{speaker}\t{rate}\t{counts.errors} / {counts.ref}\t{counts.ins}\t{counts.dele}\t{counts.sub}"
            f"\t{wrong} / {sentences}"
        )
    substituted, inserted, deleted = score.confusions()
    yield from _counted("SUBSTITUTIONS: count ref -> hyp", substituted)
    yield from _counted("DELETIONS: count ref", deleted)
    yield from _counted("INSERTIONS: count hyp", inserted)
    yield ""
    yield "ALIGNMENTS of utterances with errors: (ref->hyp), * for no word"
    for u in score.utterances:
        if u.counts.errors or u.missing:
            yield f"{u.utt_id}:\t" + " ".join(_pair(r, h) for r, h in u.pairs)


def _pair(ref: str, hyp: str) -> str:
    return ref if ref == hyp else f"({'*' if ref == GAP else ref}->{'*' if hyp == GAP else hyp})"


def _counted(title: str, counter: Counter) -> Iterable[str]:
    yield ""
    yield title
    for item, n in sorted(counter.items(), key=lambda pair: (-pair[1], pair[0])):
        yield f"{n}\t{' -> '.join(item) if isinstance(item, tuple) else item}"


def _rate_line(name: str, c: Counts) -> str:
    return f"%{name} {c.rate:.2f} [ {c.errors} / {c.ref}, {c.ins} ins, {c.dele} del, {c.sub} sub ]"


def _write(path: Path, lines: Iterable[str]) -> None:
    with replacing(path) as temporary:
        temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
