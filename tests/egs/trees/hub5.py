"""Hub5'00 (LDC2002S09, LDC2002T43) and RT03 (LDC2007S10): audio, segments to recognise, references and mappings."""

import re
import shutil
from pathlib import Path

from trees.calls import Call, Plan
from trees.sphere import write_sphere

_HEAD = """;; CATEGORY "0" "" ""
;; LABEL "O" "Overall" "Overall"
;; CATEGORY "1" "Sets" ""
;; LABEL "{0}" "{0}" "{0}"
;; LABEL "{1}" "{1}" "{1}"
;; CATEGORY "2" "Sexes" ""
;; LABEL "F" "Female" "Female"
;; LABEL "M" "Male" "Male"
;; CATEGORY "3" "Sets and sexes" ""
;; LABEL "{0}-F" "{0} F" "{0}, female"
;; LABEL "{0}-M" "{0} M" "{0}, male"
;; LABEL "{1}-F" "{1} F" "{1}, female"
;; LABEL "{1}-M" "{1} M" "{1}, male"
"""
_WHOLE = {"can't": "CANNOT", "won't": "WILL NOT", "shan't": "SHALL NOT", "um": "(%HESITATION)", "uh": "(%HESITATION)"}
_PRONOUNS = r"(?:i|you|he|she|it|we|they|that|there|what|who|where|here)"
_ENDINGS = ((r"(.+)n't", "NOT"), (r"(.+)'re", "ARE"), (r"(.+)'m", "AM"), (r"(.+)'ll", "WILL"), (r"(.+)'ve", "HAVE"))
_ENDINGS += ((rf"({_PRONOUNS})'s", "IS"), (rf"({_PRONOUNS})'d", "WOULD"))


# How calls of the first and of the second group of people are named, and their first numbers.
HUB5 = ("sw_{}", 4390, "en_{}", 4156)
RT03 = ("fsh_{}", 60262, "sw_{}", 45097)


def expanded(word: str, dots: bool = False) -> str:
    """A word as a reference has it: in capitals, contractions expanded, hesitations optional, letters with ``dots``."""
    if word.isupper():
        return f"{word}." if dots else word
    if word in _WHOLE:
        return _WHOLE[word]
    for pattern, end in _ENDINGS:
        if match := re.fullmatch(pattern, word):
            return f"{match[1].upper()} {end}"
    return word.upper()


def make_hub5(folder: Path, corpora: Path | None = None, **plan: object) -> Path:
    """Write Hub5'00's audio and references into ``folder``, and return it; ``plan`` as `trees.calls.Plan`.

    With what the real one has: a reference that begins with two brackets, an aside, double spaces, an ignored segment,
    an optional fragment, and the transcripts of LDC, which are of other segments and not for scoring.
    """
    audio, text = folder / "LDC2002S09/hub5e_00/english", folder / "LDC2002T43/reference"
    calls = named(Plan(corpora, **plan).calls("hub5"), *HUB5)
    segments, references = [";; File, side, speaker, begin, end"], [_HEAD.format("sw", "en").rstrip()]
    for name, call in calls.items():
        write_sphere(audio / f"{name}.sph", call.samples(8000), conversation_id=name)
        for side in (0, 1):
            for i, (start, end, words) in enumerate(_segments(call, side)):
                letter, kind = "AB"[side], name[:2]
                if i == 1 and side == 0:
                    words = f"((%HESITATION) {words}"
                elif i == 1:
                    words = f"<B_ASIDE> {words} <E_ASIDE>"
                elif i == 2 and side == 0:
                    words += " (TH-)"
                elif i == 3 and side == 0:
                    words = "IGNORE_TIME_SEGMENT_IN_SCORING"
                sex = call.sexes[side].upper()
                label = f"<O,{kind},{sex},{kind}-{sex}>"
                segments.append(f"{name} {letter} unknown_speaker {start:.2f} {end:.2f}")
                references.append(f"{name} {letter} {name}_{letter} {start:.2f} {end:.2f} {label}  {words}")
        raw = text / f"english/{name}.txt"
        raw.parent.mkdir(parents=True, exist_ok=True)
        raw.write_text("0.00 9.00 A: this is another text of the whole beginning\n", encoding="utf-8")
    (audio / "hub5e_00.pem").write_text("\n".join(segments) + "\n", encoding="utf-8")
    (text / "hub5e00.english.000405.stm").write_text("\n".join(references) + "\n", encoding="utf-8")
    _write_glm(text / "en20000405_hub5.glm", corpora)
    return folder


def make_rt03(folder: Path, corpora: Path | None = None, **plan: object) -> Path:
    """Write RT03's telephone data, LDC2007S10, into ``folder``, and return it; ``plan`` as `trees.calls.Plan`.

    Its references have channels 1 and 2, lines for the gaps between segments, a line without words, letters with dots.
    """
    root = folder / "LDC2007S10"
    audio, text = root / "data/audio/eval03/english/cts", root / "data/references/eval03/english/cts"
    text.mkdir(parents=True)
    for name, call in named(Plan(corpora, **plan).calls("rt03"), *RT03).items():
        write_sphere(audio / f"{name}.sph", call.samples(8000), conversation_id=name)
        lines, last = [], [0.0, 0.0]
        for side in (0, 1):
            for i, (start, end, words) in enumerate(_segments(call, side, dots=True)):
                kind, sex = name.split("_")[0], call.sexes[side].upper() or "F"
                if start > last[side]:
                    lines.append(f"{name} {side + 1} inter_segment_gap {last[side]:.3f} {start:.3f} <O,{kind},{sex}> ")
                words = "" if (i, side) == (3, 0) else words
                lines.append(f"{name} {side + 1} {name}_{side + 1} {start:.3f} {end:.3f} <O,{kind},{sex}> {words}")
                last[side] = end
        body = _HEAD.format("fsh", "sw") + "\n".join(lines) + "\n"
        (text / f"{name}.stm").write_text(body, encoding="utf-8")
    rules = root / "data/trans_rules/en20030506.glm"
    rules.parent.mkdir(parents=True)
    _write_glm(rules, corpora)
    return folder


def named(calls: list[Call], first: str, number: int, second: str, other: int) -> dict[str, Call]:
    """Calls of the first group of people are of one set, those of the second of the other."""
    one = [call for call in calls if call.group == 0]
    named = {first.format(number + 3 * i): call for i, call in enumerate(one)}
    return named | {second.format(other + 3 * i): call for i, call in enumerate(c for c in calls if c.group)}


def _segments(call: Call, side: int, dots: bool = False) -> list[tuple[float, float, str]]:
    spoken = [(a, min(b, turn.end + 0.4), turn) for a, b, turn in call.segments(side) if turn]
    found = []
    for start, end, turn in spoken:
        start = max(start, turn.start - 0.3)
        found.append((round(start, 2), round(end, 2), " ".join(expanded(word, dots) for word in turn.words)))
    return found


def _write_glm(path: Path, corpora: Path | None) -> None:
    if corpora is not None:
        shutil.copy(corpora / "hub5_formats/en20030506.glm", path)
        return
    rules = [f"{word} => %HESITATION / [ ] __ [ ]" for word in ("UH", "UM", "AH", "EH", "HM")]
    rules += ["UH-HUH => %BCACK / [ ] __ [ ]", "UM-HUM => %BCACK / [ ] __ [ ]", "OKAY => O. K. / [ ] __ [ ]"]
    both = "\n".join(rules)
    rules = [f"[{a.upper()}] => [{b}] / [ ] __ [ ]" for a in ("don't", "we're", "they're") for b in [expanded(a)]]
    rules += ["[CAN'T] => [{CAN NOT / CANNOT}] / [ ] __ [ ]", "[HE'S] => [{HE IS / HE HAS}] / [ ] __ [ ]"]
    rules += ["[IT'S] => [{IT IS / IT HAS}] / [ ] __ [ ]", "[THAT'S] => [{THAT'S / THAT IS / THAT HAS}] / [ ] __ [ ]"]
    path.write_text(_GLM.format(both, "\n".join(rules)), encoding="utf-8")


_GLM = """;; Mappings of this miniature
* name "miniature.glm"
* desc "made for tests"
* format = 'NIST1'
* max_nrules = '2500'
* copy_no_hit = 'T'
* case_sensitive = 'F'
{}
;; INPUT_DEPENDENT_APPLICATION = "ctm"
{}
"""
