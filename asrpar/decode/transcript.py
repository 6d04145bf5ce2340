"""Transcripts of recordings as files: text, NIST's trn and ctm, subtitles, JSON."""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from asrpar.decode.output import ctm_lines
from asrpar.decode.transcribe import Transcript
from asrpar.decode.words import Hypothesis
from asrpar.files.replacing import replacing_text
from asrpar.lang.unspaced import join_words
from asrpar.score.trn import trn_line

ENDINGS = {"text": "txt", "json": "json"}
# Of subtitles: a new one begins after so many seconds without a word, or before it would be longer than this.
CUE_GAP, CUE_SECONDS, CUE_CHARACTERS = 0.8, 7.0, 84
LINE_CHARACTERS = 42
# For which it stays after its last word, whose end a CTC model sees too early.
CUE_STAYS = 0.3


def lines_of(transcript: Transcript, form: str) -> Iterator[str]:
    """The lines of a transcript, with newlines, in a form: ``text``, ``trn``, ``ctm``, ``srt`` or ``json``."""
    found = transcript.hypothesis
    if form == "ctm":
        yield from ctm_lines(found)
    elif form == "trn":
        yield trn_line(" ".join(found.words), transcript.name)
    elif form == "srt":
        yield from srt_lines(found)
    elif form == "json":
        yield json.dumps(as_json(transcript), ensure_ascii=False) + "\n"
    else:
        yield f"{transcript.name}\t{join_words(found.words)}\n"


def as_json(transcript: Transcript) -> dict:
    """A transcript as plain values; times in seconds."""
    found = transcript.hypothesis
    times = zip(found.words, found.start_times, found.end_times, strict=True)
    return {
        "name": transcript.name,
        "file": str(transcript.path),
        "text": join_words(found.words),
        "words": [{"word": word, "start": round(start, 3), "end": round(end, 3)} for word, start, end in times],
        "pieces": [round(begin, 3) for begin in transcript.pieces],
        "complete": found.complete,
    }


def cues(found: Hypothesis) -> Iterator[tuple[float, float, str]]:
    """Begin, end and text of each subtitle."""
    begin = 0
    for i in range(1, len(found.words) + 1):
        if i < len(found.words):
            gap = found.start_times[i] - found.end_times[i - 1]
            long = found.end_times[i] - found.start_times[begin] > CUE_SECONDS
            wide = len(join_words(found.words[begin : i + 1])) > CUE_CHARACTERS
            if gap <= CUE_GAP and not long and not wide:
                continue
            stays = min(found.end_times[i - 1] + CUE_STAYS, max(found.start_times[i], found.end_times[i - 1]))
        else:
            stays = found.end_times[i - 1] + CUE_STAYS
        yield found.start_times[begin], stays, join_words(found.words[begin:i])
        begin = i


def srt_lines(found: Hypothesis) -> Iterator[str]:
    """SubRip: number, times, text in at most two lines, an empty line."""
    for number, (start, end, text) in enumerate(cues(found), 1):
        yield f"{number}\n{srt_time(start)} --> {srt_time(end)}\n{two_lines(text)}\n\n"


def srt_time(seconds: float) -> str:
    """``00:01:02,345``."""
    whole = round(1000 * seconds)
    return f"{whole // 3_600_000:02d}:{whole // 60_000 % 60:02d}:{whole // 1000 % 60:02d},{whole % 1000:03d}"


def two_lines(text: str) -> str:
    """Broken at the blank nearest to its middle, if it is long."""
    blanks = [i for i, char in enumerate(text) if char == " "]
    if len(text) <= LINE_CHARACTERS or not blanks:
        return text
    at = min(blanks, key=lambda i: abs(i - len(text) / 2))
    return f"{text[:at]}\n{text[at + 1 :]}"


def write_all(
    transcripts: Iterable[Transcript], form: str, output: Path | None = None, folder: Path | None = None
) -> None:
    """Write transcripts as they come: to stdout, to one file or to one each in a folder.

    Args:
        transcripts: of recordings with names of their own.
        form: see `lines_of`.
        output: for all of them; it appears once all are there.
        folder: for a file each, NAME and the form's ending.
    """
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        for transcript in transcripts:
            with replacing_text(folder / f"{transcript.name}.{ENDINGS.get(form, form)}") as file:
                file.writelines(lines_of(transcript, form))
    elif output is not None:
        with replacing_text(output) as file:
            for transcript in transcripts:
                file.writelines(lines_of(transcript, form))
    else:
        for transcript in transcripts:
            sys.stdout.writelines(lines_of(transcript, form))
            sys.stdout.flush()
