"""Transcripts counted by sclite itself, case-sensitive."""

import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from asrpar.errors import DataError
from asrpar.files.text import nfc
from asrpar.score.align import GAP
from asrpar.score.sctk.programs import Sctk
from asrpar.score.sctk.sgml import check_total, read_sgml, to_score
from asrpar.score.trn import read_texts
from asrpar.score.wer import Score, check_ids, speaker_of

REPORTS = ("sys", "raw", "pra", "sgml")
# What sclite takes for tags or escapes, or its alignments for marks; and what undoes this writing.
_MARKS = re.compile(r'[;\\",:<>&]|%(?=[0-9A-F]{2})')
_CODED = re.compile(r"%([0-9A-F]{2})")


def score_transcripts(
    sctk: Sctk,
    ref: Path,
    hyp: Path,
    folder: Path,
    speakers: Mapping[str, str] | None = None,
    optional_words: bool = False,
) -> Score:
    """Score a file of hypotheses; an utterance without one counts as deletions.

    Args:
        sctk: the programs.
        ref, hyp: trn or Kaldi text, as `asrpar.score.trn.read_transcripts` reads them.
        folder: where sclite's reports go: ``all.sys``, ``all.pra``...
        speakers: speaker of each utterance; by default the id's part before its first ``-``.
        optional_words: words in brackets may be left out (``-D``).

    Raises:
        DataError: a file that cannot be read, hypotheses without reference, or sclite stopped, with what it said.
    """
    sides = [_texts(path, may_be_empty) for path, may_be_empty in ((ref, False), (hyp, True))]
    references, hypotheses = sides
    check_ids(references, hypotheses)
    ids = sorted(references)
    with tempfile.TemporaryDirectory(prefix="asrpar-sclite-") as name:
        place = Path(name)
        # Ids of ours may have what sclite's cannot; its own say the speaker before the dash.
        for side, texts in (("ref.trn", references), ("hyp.trn", hypotheses)):
            lines = (f"{texts.get(utt_id, '')} (s-{n:08d})\n" for n, utt_id in enumerate(ids))
            (place / side).write_text("".join(lines), encoding="utf-8")
        options = ["-s", *(["-D"] if optional_words else []), "-i", "spu_id", "-f", "0", "-n", "out"]
        files = ["-r", "ref.trn", "trn", "-h", "hyp.trn", "trn", "-o", "sum", "rsum", "pra", "sgml"]
        sctk.run("sclite", *options, *files, cwd=place)
        aligned = read_sgml(place / "out.sgml")
        if len(aligned) != len(ids):
            raise DataError(f"sclite aligned {len(aligned)} of {len(ids)} utterances of {ref}")
        segments = []
        for segment in aligned:
            utt_id = ids[int(segment.segment_id.rpartition("-")[2])]
            pairs = [(_plain(r), _plain(h)) for r, h in segment.pairs]
            segments.append((utt_id, speaker_of(utt_id, speakers), pairs))
        score = to_score(segments, set(references) - set(hypotheses))
        check_total(score, place / "out.raw")
        folder.mkdir(parents=True, exist_ok=True)
        for kind in REPORTS:
            shutil.copyfile(place / f"out.{kind}", folder / f"all.{kind}")
    return score


def _texts(path: Path, may_be_empty: bool) -> dict[str, str]:
    """Words of each utterance as sclite can read them."""
    is_trn, texts = read_texts(path, may_be_empty)
    coded = {utt_id: _MARKS.sub(_code, " ".join(nfc(text).split())) for utt_id, (_, text) in texts.items()}
    if is_trn:
        return coded
    # Kaldi's text has no alternatives.
    return {utt_id: re.sub(r"[{}@/]", _code, text) for utt_id, text in coded.items()}


def _code(match: re.Match[str]) -> str:
    return f"%{ord(match[0]):02X}"


def _plain(word: str) -> str:
    return word if word == GAP else _CODED.sub(lambda m: chr(int(m[1], 16)), word)
