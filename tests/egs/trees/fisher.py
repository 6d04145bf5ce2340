"""Fisher English, parts 1 and 2: discs of compressed audio, transcripts and their tables."""

import shutil
from collections.abc import Collection
from pathlib import Path

from trees.calls import Call, Plan
from trees.sentences import WORDS
from trees.sphere import write_sphere

# What the real corpus has, too:
ODDITIES = (
    "damaged audio",  # call 00446, whose file cannot be decoded
    "faulty time",  # call 11487: a line that starts much too early
    "upper case",  # names of files in capitals, as on older discs
    "no transcript",  # audio without a .txt
    "two people of one PIN",  # of different sex
    "new names of discs",  # fisher_eng_tr_sp_d1 instead of fe_03_p1_sph1
)
_PARTS = (("LDC2004S13", "LDC2004T19", 1), ("LDC2005S13", "LDC2005T19", 5851))


def make_fisher(
    folder: Path, corpora: Path | None = None, oddities: Collection[str] = ODDITIES, **plan: object
) -> Path:
    """Write both parts' audio and transcripts into ``folder``, and return it; ``plan`` as `trees.calls.Plan`."""
    calls = Plan(corpora, **plan).calls("fisher")
    assert len(calls) >= 4, "some of the oddities would have no call"
    half = len(calls) // 2
    people = sorted({speaker for call in calls for speaker in call.speakers})
    pins = {speaker: 10001 + i for i, speaker in enumerate(people)}
    if "two people of one PIN" in oddities:
        pins[calls[1].speakers[1]] = pins[calls[0].speakers[0]]
    for part, (audio, text, first) in enumerate(_PARTS, 1):
        own = calls[:half] if part == 1 else calls[half:]
        numbered = {first + i: call for i, call in enumerate(own)}
        if part == 2 and "faulty time" in oddities:
            numbered[11487] = numbered.pop(max(numbered))
        _part(folder / audio, folder / text / f"fe_03_p{part}_tran", part, numbered, pins, oddities)
    _write_cmudict(folder / "cmudict/cmudict.dict", corpora)
    return folder


def _write_cmudict(path: Path, corpora: Path | None) -> None:
    """Words that Switchboard's dictionary may lack, as cmudict has them."""
    path.parent.mkdir()
    if corpora is not None:
        shutil.copy(corpora / "cmudict/cmudict.dict", path)
        return
    words = {**WORDS, "ja": "Y AA", "mhm": "AH M HH AH M"}
    lines = [f"{word} {phones.replace('AH', 'AH0').replace('AO', 'AO1')}\n" for word, phones in sorted(words.items())]
    path.write_text("".join(lines) + "okay(2) OW0 K EY1\n", encoding="utf-8")


def _part(
    audio: Path, text: Path, part: int, calls: dict[int, Call], pins: dict[str, int], oddities: Collection[str]
) -> None:
    disc = f"fisher_eng_tr_sp_d{part}" if part == 1 and "new names of discs" in oddities else f"fe_03_p{part}_sph1"
    for folder in ("doc", *(f"data/bbn_orig/{kind}" for kind in ("auto-segmented", "reject", "originals"))):
        (text / folder).mkdir(parents=True)
    genders, files, rows = [], [], []
    for position, (number, call) in enumerate(calls.items()):
        name, hundred = f"fe_03_{number:05d}", f"{number // 100:03d}"
        loud = part == 2 and position == 0 and "upper case" in oddities
        sphere = audio / disc / "audio" / hundred / (f"{name}.SPH".upper() if loud else f"{name}.sph")
        write_sphere(sphere, call.samples(8000), compressed=True, conversation_id=name)
        lines = _lines(call, 7 * (position + 3 * part))
        if number == 11487:
            lines[-1] = (lines[-1][0] % 10, *lines[-1][1:])  # a digit is missing, as in the real one
        path = text / "data/trans" / hundred / (f"{name}.TXT".upper() if loud else f"{name}.txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        maker = "at the LDC" if position % 8 == 7 else "by BBN/WordWave"
        body = "\n".join(f"{a:.2f} {b:.2f} {side}: {words} \n" for a, b, side, words in lines)
        path.write_text(f"# {name}.sph\n# Transcribed {maker}\n\n{body}", encoding="utf-8")
        sexes = "".join(call.sexes)
        a, b = (pins[s] for s in call.speakers)
        genders.append(f"{disc} {name}.sph {sexes}\n")
        files.append(f"{disc}\t{number:05d}\t{sexes}\n")
        rows.append(f"{number:05d},20030101_12:00:00,ENG01,4,3,{a},{sexes[0]}.a,1111,1,1,{b},{sexes[1]}.a,2222,1,1\n")
    if part == 1 and "damaged audio" in oddities:
        whole = next((audio / disc).rglob("fe_03_00001.sph"))
        damaged = audio / disc / "audio/004/fe_03_00446.sph"
        damaged.parent.mkdir(parents=True)
        damaged.write_bytes(whole.read_bytes()[:3000])
        copy = text / "data/trans/004/fe_03_00446.txt"
        copy.parent.mkdir(parents=True)
        copy.write_text((text / "data/trans/000/fe_03_00001.txt").read_text(encoding="utf-8"), encoding="utf-8")
        rows.append(rows[0].replace("00001", "00446", 1))
    if part == 1 and "no transcript" in oddities:
        whole = next((audio / disc).rglob("fe_03_00001.sph"))
        whole.with_name("fe_03_00099.sph").write_bytes(whole.read_bytes())
    _tables(audio / disc, text / "doc", part, genders, files, rows)


def _tables(disc: Path, doc: Path, part: int, genders: list[str], files: list[str], rows: list[str]) -> None:
    place = disc / "filetable.txt" if part == 1 else disc.parent / "docs/filetable2.txt"
    place.parent.mkdir(exist_ok=True)
    place.write_text("".join(genders), encoding="utf-8")
    (doc / f"fe_03_p{part}_filelist.tbl").write_text("".join(files), encoding="utf-8")
    title = "CALL_ID,DATE_TIME,TOPICID,SIG_GRADE,CNV_GRADE,"
    title += ",".join(f"{x}{field}" for x in "AB" for field in ("PIN", "SX.DL", "PHNUM", "PHSET", "PHTYP"))
    (doc / f"fe_03_p{part}_calldata.tbl").write_text(title + "\n" + "".join(rows), encoding="utf-8")
    seen: dict[str, list[str]] = {}
    for row in rows:
        fields = row.split(",")
        for side, pin, sex in (("A", fields[5], fields[6]), ("B", fields[10], fields[11])):
            seen.setdefault(pin, []).append(f"{fields[0]}_{side}/{sex}")
    lines = [f"{pin},{calls[0].rpartition('/')[2][0].upper()},40,{';'.join(calls)}\n" for pin, calls in seen.items()]
    (doc / "fe_03_pindata.tbl").write_text("PIN,S_SEX,S_AGE,SIDES\n" + "".join(lines), encoding="utf-8")


def _lines(call: Call, number: int) -> list[tuple[float, float, str, str]]:
    """Start, end, side and text of each line, both sides together."""
    lines = []
    for side in (0, 1):
        for i, (start, end, turn) in enumerate(call.segments(side)):
            if turn:
                end = min(end, turn.end + 0.3)
                lines.append((start, end, "AB"[side], " ".join(_marked(turn.words, number + i))))
    return sorted(lines)


def _marked(words: tuple[str, ...], number: int) -> list[str]:
    """The words of utterance ``number`` with Fisher's markup; acronyms in one piece."""
    tokens: list[str] = []
    spelled = False
    for word in words:
        if word.isupper():
            tokens[-1:] = [f"{tokens[-1]}_{word.lower()}."] if spelled else [*tokens[-1:], f"{word.lower()}."]
        else:
            tokens.append(word)
        spelled = word.isupper()
    match number % 14:
        case 1:
            return [*tokens, "[laugh]"]
        case 3:
            return ["th-", *tokens]
        case 4:
            return ["((", *tokens, "))"]
        case 5:
            return ["[noise]", *tokens]
        case 6:
            return [*tokens, "[mn]"]
        case 8:
            return [*tokens[:-1], f"*{tokens[-1]}"]
        case 9:
            return ["[sigh]", *tokens, "[lipsmack]"]
        case 11:
            return [*tokens, "[[skip]]"]
        case 12:
            return [*tokens, "<german ((", "ja", "wohl", "))>"]
        case 13:
            return ["((", "))"]
    return tokens
