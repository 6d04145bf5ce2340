"""Scores of calls as NIST's evaluations count them: hubscr.pl maps words by the GLM, and sclite counts."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from asrpar.corpus.nist.stm import Stm, mended, read_stm
from asrpar.errors import DataError, MissingInputError
from asrpar.files.json_files import read_json
from asrpar.files.paths import require_file
from asrpar.files.text import read_text
from asrpar.score.sctk.ctm import ACRONYMS, Segment
from asrpar.score.sctk.programs import Sctk
from asrpar.score.sctk.sgml import check_total, read_sgml, to_score
from asrpar.score.wer import Score

WHOLE = "all"
# Of sclite's reports those that are kept.
REPORTS = ("sys", "raw", "pra", "dtl", "lur", "sgml")


@dataclass(frozen=True)
class Reference:
    """A set's reference, as stage 1 has left it beside the manifests.

    Attributes:
        name: of the set, for messages.
        stm: what was said.
        glm: the word map.
        acronyms: how the reference writes acronyms, one of `ACRONYMS`.
        subsets: name of a part → how its calls' names begin; parts of which there is nothing are left out.
        counts: part → (segments, words after the GLM) of the whole set; empty for a set of which nobody knows.
    """

    name: str
    stm: Stm
    glm: Path
    acronyms: str = "letters"
    subsets: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, Sequence[int]] = field(default_factory=dict)

    def parts(self) -> dict[str, str]:
        """Name → beginning of the calls' names, the whole first."""
        there = [s.recording for s in self.stm.segments if not s.ignored]
        own = {name: begin for name, begin in self.subsets.items() if any(r.startswith(begin) for r in there)}
        return {WHOLE: "", **own}


def has_reference(manifests: Path, set_name: str) -> bool:
    """Whether a set comes with an STM."""
    return (manifests / f"stm_{set_name}.stm").is_file()


def read_reference(manifests: Path, set_name: str) -> Reference:
    """``stm_SET.stm``, ``glm_SET.glm`` and, if there is one, ``hubscr_SET.json``.

    Raises:
        MissingInputError: the STM or the GLM is not there. DataError: a file that cannot be used.
    """
    stm_path, glm = manifests / f"stm_{set_name}.stm", manifests / f"glm_{set_name}.glm"
    for path in (stm_path, glm):
        require_file(path, "stage 1 (asrpar prepare-manifests)")
    stm = mended(read_stm(stm_path), stm_path)
    path = manifests / f"hubscr_{set_name}.json"
    if not path.is_file():
        return Reference(set_name, stm, glm)
    told = read_json(path)
    try:
        reference = Reference(
            str(told["name"]), stm, glm, told["acronyms"], dict(told["subsets"]), dict(told.get("counts") or {})
        )
        for name, (segments, words) in reference.counts.items():
            int(segments), int(words), (reference.subsets | {WHOLE: ""})[name]
    except (KeyError, TypeError, ValueError, AttributeError) as e:
        raise DataError(f"{path} is not what asrpar prepare-manifests writes ({e}): make it again") from e
    if reference.acronyms not in ACRONYMS:
        raise DataError(f"{path}: acronyms {reference.acronyms!r}: {' or '.join(ACRONYMS)}")
    return reference


def score_calls(
    sctk: Sctk,
    reference: Reference,
    ctm: Sequence[str],
    folder: Path,
    utterances: Mapping[str, Segment],
    missing: set[str],
) -> dict[str, Score]:
    """Score the whole set and each of its parts, each by a run of its own as published scores are made.

    Args:
        sctk: the programs.
        reference: of the set.
        ctm: the hypotheses, lines of calls that the reference has.
        folder: where sclite's reports go, as ``all.sys``, ``all.pra``...
        utterances: where each lies; scores call segments after them.
        missing: utterances without any hypothesis. Segments of no utterance have none either.

    Raises:
        DataError: a call in the CTM that the reference lacks, or hubscr.pl stopped, with what it said.
    """
    calls = {(s.recording.lower(), s.channel) for s in reference.stm.segments}
    strange = sorted({tuple(line.split()[:2]) for line in ctm if _side(line) not in calls})
    if strange:
        raise DataError(
            f"the hypotheses have {len(strange)} sides of calls that the reference of {reference.name} lacks, such as "
            f"{' '.join(strange[0])}: sclite would stop"
        )
    folder.mkdir(parents=True, exist_ok=True)
    names = {_key(s.recording, s.channel, s.start): utt_id for utt_id, s in utterances.items()}
    scores = {}
    for name, begin in reference.parts().items():
        stm = replace(reference.stm, segments=[s for s in reference.stm.segments if s.recording.startswith(begin)])
        lines = [line for line in ctm if line.startswith(begin)]
        with tempfile.TemporaryDirectory(prefix="asrpar-hubscr-") as place:
            run_hubscr(sctk, Path(place), stm.text(), "".join(lines), reference.glm)
            scores[name] = _read(Path(place), names, missing)
            for kind in REPORTS:
                made = Path(place) / f"hyp.ctm.filt.{kind}"
                if made.is_file():
                    shutil.copyfile(made, folder / f"{name}.{kind}")
    return scores


def run_hubscr(sctk: Sctk, place: Path, stm: str, ctm: str, glm: Path) -> str:
    """Run hubscr.pl in the folder ``place``, which gets ``ref.stm``, ``hyp.ctm``, ``map.glm`` and the reports beside.

    ``-V``: the validators refuse markup that official references have. Returns what it printed.

    Raises:
        DataError: it stopped, or its filter did, whose message it would score as words.
    """
    for name, content in (("ref.stm", stm), ("hyp.ctm", ctm), ("map.glm", read_text(glm))):
        (place / name).write_text(content, encoding="utf-8")
    options = ("-V", "-l", "english", "-h", "hub5", "-g", "map.glm", "-r", "ref.stm", "hyp.ctm")
    printed = sctk.run("hubscr.pl", *options, cwd=place)
    fault = next((line for line in printed.splitlines() if "*ERR" in line), None)
    if fault is not None:
        raise DataError(f"hubscr.pl: its filter cannot read the word map {glm}: {fault.strip()}")
    if not (place / "hyp.ctm.filt.raw").is_file():
        raise DataError("hubscr.pl ended without a report: is all of SCTK installed?")
    return printed


def count_faults(reference: Reference, scores: Mapping[str, Score]) -> list[str]:
    """What is told of each count of the whole set that differs from what was scored, and by how much."""
    faults = []
    for name, expected in reference.counts.items():
        if name not in scores:
            faults.append(f"{name}: nothing of {expected[0]} segments")
            continue
        found = len(scores[name].utterances), scores[name].total.ref
        for what, there, wanted in zip(("segments", "words"), found, expected, strict=True):
            if there != wanted:
                faults.append(f"{name}: {there} {what}, {there - wanted:+d} against {wanted}")
    return faults


def read_scored(folder: Path, part: str = WHOLE) -> Score:
    """What `score_calls` has left of a set or a part of it. Raises `MissingInputError` if there is nothing."""
    path = folder / f"{part}.sgml"
    if not path.is_file():
        raise MissingInputError(f"{path} is missing: score again (asrpar score --engine sctk)")
    return to_score([(_key(s.recording, s.channel, s.start), s.speaker, s.pairs) for s in read_sgml(path)], set())


def _read(place: Path, names: Mapping[str, str], missing: set[str]) -> Score:
    segments = []
    for s in read_sgml(place / "hyp.ctm.filt.sgml"):
        key = _key(s.recording, s.channel, s.start)
        segments.append((names.get(key, key), s.speaker, s.pairs))
    without = {name for name, *_ in segments} - set(names.values())
    score = to_score(segments, missing | without)
    check_total(score, place / "hyp.ctm.filt.raw")
    return score


def _key(recording: str, channel: str, start: float) -> str:
    """What a segment is called in reports; sclite has names in lower case."""
    return f"{recording.lower()}-{channel.upper()}_{round(start * 1000):08d}"


def _side(line: str) -> tuple[str, str]:
    recording, channel = line.split()[:2]
    return recording.lower(), channel
