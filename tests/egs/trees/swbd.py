"""Switchboard-1 as LDC97S62 and openslr.org/resources/5 have it, with things that are wrong in the real one."""

import re
from collections.abc import Collection
from pathlib import Path

from trees.calls import Call, Plan
from trees.ms98 import write_transcripts
from trees.sentences import pronunciations
from trees.sphere import write_sphere

# What the real corpus has, too:
ODDITIES = (
    "quiet side",  # 2167 B, on which next to nothing is said
    "no transcript",  # a side without its two files
    "no audio",  # a call that is not on the discs, as in the older pressing
    "beyond the end",  # a segment that ends behind the recording
    "empty",  # a segment without a word
    "upper case",  # a file's name in capitals
    "both channels counted",  # sample_count of the first pressing
    "unknown caller",  # a call that the tables lack
    "not a call",  # Sphere files of others under the same folder
)


def make_swbd(folder: Path, corpora: Path | None = None, oddities: Collection[str] = ODDITIES, **plan: object) -> Path:
    """Write LDC97S62 and swb_ms98_transcriptions into ``folder``, and return it; ``plan`` as `trees.calls.Plan`."""
    made = Plan(corpora, **plan).calls("swbd")
    assert len(made) >= 8, "some of the oddities would have no call"
    calls = numbered(made)
    discs = folder / "LDC97S62"
    transcripts = folder / "swb_ms98_transcriptions"
    if "quiet side" in oddities and "2167" in calls:
        calls["2167"].turns[1][1:] = []
    write_transcripts(transcripts, calls, pronunciations(corpora))
    places = []
    for i, (number, call) in enumerate(calls.items()):
        disc = f"swb1_d{1 + i * 4 // len(calls)}"
        fields = {"conversation_id": number}
        samples = call.samples(8000)
        if "both channels counted" in oddities and i == 1:
            fields["sample_count"] = 2 * samples.shape[1]
        if number == "2167" and "quiet side" in oddities:
            samples[1, int(8000 * (call.turns[1][0].end + 0.2)) :] *= 0.01
        write_sphere(discs / disc / "data" / f"sw0{number}.sph", samples, **fields)
        places.append(f"{disc.upper()} sw0{number}.sph\n")
    _tables(discs, calls, places, "unknown caller" in oddities)
    _spoil(discs, transcripts, calls, oddities)
    return folder


def numbered(calls: list[Call]) -> dict[str, Call]:
    """Calls by numbers, sorted; those that something is known of are among them."""
    special = {0: 2167, 1: 2671, 2: 3170, len(calls) - 1: 4940}
    return dict(sorted((str(special.get(i, 2001 + 4 * i)), call) for i, call in enumerate(calls)))


def _tables(discs: Path, calls: dict[str, Call], places: list[str], incomplete: bool) -> None:
    people = sorted({(s, x) for call in calls.values() for s, x in zip(call.speakers, call.sexes, strict=True)})
    pins = {speaker: 1001 + i for i, (speaker, _) in enumerate(people)}
    rows = [
        f"{number}, Y, {pins[call.speakers[0]]}, {pins[call.speakers[1]]}, 303, 0, 910304, 1218, 1222, , \n"
        for number, call in calls.items()
    ]
    callers = [f'{pins[s]}, 40, 44, "{"MALE" if x == "m" else "FEMALE"}", 1960, 3\n' for s, x in people]
    docs = discs / "docs"
    docs.mkdir()
    (docs / "conv_tab.csv").write_text("".join(rows[:-1] if incomplete else rows), encoding="utf-8")
    (docs / "caller_tab.csv").write_text("".join(callers), encoding="utf-8")
    (docs / "swb1_all.dvd.tbl").write_text("".join(places), encoding="utf-8")


def _spoil(discs: Path, transcripts: Path, calls: dict[str, Call], oddities: Collection[str]) -> None:
    numbers = list(calls)
    if "no transcript" in oddities:
        for path in (transcripts / numbers[3][:2] / numbers[3]).glob("*B-ms98-a-*.text"):
            path.unlink()
    if "no audio" in oddities:
        next(discs.rglob(f"sw0{numbers[2]}.sph")).unlink()
    if "beyond the end" in oddities:
        last = r"(?<= )(\d+\.\d+)(?= \D[^\n]*\n\Z)"
        _edit(_trans(transcripts, numbers[5], "A"), last, lambda m: f"{float(m[1]) + 0.7:.6f}")
    if "empty" in oddities:
        _edit(_trans(transcripts, numbers[6], "B"), r"(?m)^(\S+ \S+ \S+) \[silence\]$", r"\1 ")
    if "upper case" in oddities:
        path = next(discs.rglob(f"sw0{numbers[7]}.sph"))
        path.rename(path.with_name(path.name.upper()))
    if "not a call" in oddities:
        (discs / "swb1_d1/data/index.sph.txt").write_text("no audio\n", encoding="utf-8")


def _trans(transcripts: Path, number: str, side: str) -> Path:
    return transcripts / number[:2] / number / f"sw{number}{side}-ms98-a-trans.text"


def _edit(path: Path, pattern: str, new: object) -> None:
    path.write_text(re.sub(pattern, new, path.read_text(encoding="utf-8"), count=1), encoding="utf-8")
