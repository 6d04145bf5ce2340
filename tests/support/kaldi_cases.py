"""Every kind of thing that can be wrong with a Kaldi data folder."""

import gzip
import re

import numpy as np
import soundfile
from data_checks import RATE, edit, nan_wav, write_wav

from asrpar.corpus.kaldi.ark import write_matrices


def recode(path, encoding):
    path.write_bytes(path.read_text().encode(encoding))


def rename(folder, *pairs):
    """Other names for some utterances, in all tables; they are sorted again."""
    for name in ("wav.scp", "text", "utt2spk", "spk2utt"):
        text = (folder / name).read_text()
        for old, new in zip(pairs[::2], pairs[1::2], strict=True):
            text = re.sub(rf"(?<![\w/]){old}(?!\.wav)", new, text)
        (folder / name).write_text("".join(sorted(text.splitlines(keepends=True))))


def damaged_features(folder):
    write_matrices(folder / "feats.ark", [(i, np.ones((9, 3), np.float32)) for i in ("ann-1", "ann-2", "bob-1")])
    offset = int((folder / "feats.scp").read_text().splitlines()[1].rpartition(":")[2])
    raw = bytearray((folder / "feats.ark").read_bytes())
    raw[offset : offset + 8] = b"x" * 8
    (folder / "feats.ark").write_bytes(raw)


def make_kaldi(folder, segments=False, speakers=("ann", "bob")):
    """Utterances ann-1, ann-2, bob-1 of a second each (with segments: of one recording)."""
    folder.mkdir(parents=True)
    ids = [f"{speakers[0]}-1", f"{speakers[0]}-2", f"{speakers[1]}-1"]
    if segments:
        write_wav(folder / "rec.wav", 3.0)
        (folder / "wav.scp").write_text(f"rec {folder}/rec.wav\n")
        (folder / "segments").write_text("".join(f"{u} rec {i:.2f} {i + 1:.2f}\n" for i, u in enumerate(ids)))
    else:
        for u in ids:
            write_wav(folder / f"{u}.wav")
        (folder / "wav.scp").write_text("".join(f"{u} {folder}/{u}.wav\n" for u in ids))
    (folder / "text").write_text("".join(f"{u} YES NO\n" for u in ids))
    (folder / "utt2spk").write_text("".join(f"{u} {u[:3]}\n" for u in ids))
    (folder / "spk2utt").write_text(f"{speakers[0]} {ids[0]} {ids[1]}\n{speakers[1]} {ids[2]}\n")
    return folder


# name: (with segments, what breaks the folder, file and line that are named, part of the message)
ERRORS = {
    "no wav.scp": (0, lambda d: (d / "wav.scp").unlink(), "wav.scp:0", "is missing"),
    "no text": (0, lambda d: (d / "text").unlink(), "text:0", "is missing"),
    "no utt2spk": (0, lambda d: (d / "utt2spk").unlink(), "utt2spk:0", "is missing"),
    "no spk2utt": (0, lambda d: (d / "spk2utt").unlink(), "spk2utt:0", "is missing (utils/utt2spk_to_spk2utt.pl"),
    "empty file": (0, lambda d: (d / "text").write_text(""), "text:0", "is empty"),
    "duplicate recording": (
        0,
        lambda d: edit(d / "wav.scp", "ann-2 ", "ann-1 "),
        "wav.scp:2",
        "'ann-1' is a duplicate of line 1",
    ),
    "duplicate transcript": (
        0,
        lambda d: edit(d / "text", "ann-2", "ann-1"),
        "text:2",
        "'ann-1' is a duplicate of line 1",
    ),
    "duplicate segment": (1, lambda d: edit(d / "segments", "ann-2", "ann-1"), "segments:2", "duplicate of line 1"),
    "duplicate speaker": (0, lambda d: edit(d / "utt2spk", "ann-2", "ann-1"), "utt2spk:2", "duplicate of line 1"),
    "utterance twice in spk2utt": (
        0,
        lambda d: edit(d / "spk2utt", "bob bob-1", "bob bob-1 ann-1"),
        "spk2utt:2",
        "duplicate",
    ),
    "unsorted": (
        0,
        lambda d: (d / "text").write_text("ann-2 A\nann-1 A\nbob-1 A\n"),
        "text:2",
        "unsorted: 'ann-1' comes after 'ann-2'; sort with LC_ALL=C",
    ),
    "missing transcript": (
        0,
        lambda d: edit(d / "text", "ann-2 YES NO\n", ""),
        "wav.scp:2",
        "utterance 'ann-2' is not in text",
    ),
    "missing speaker": (
        1,
        lambda d: edit(d / "utt2spk", "ann-2 ann\n", ""),
        "segments:2",
        "utterance 'ann-2' is not in utt2spk",
    ),
    "transcript without audio": (
        0,
        lambda d: edit(d / "wav.scp", f"ann-2 {d}/ann-2.wav\n", ""),
        "text:2",
        "utterance 'ann-2' is not in wav.scp",
    ),
    "transcript without segment": (
        1,
        lambda d: edit(d / "segments", "ann-2 rec 1.00 2.00\n", ""),
        "text:2",
        "utterance 'ann-2' is not in segments",
    ),
    "segment without recording": (
        1,
        lambda d: edit(d / "segments", "ann-2 rec", "ann-2 tape"),
        "segments:2",
        "'tape', not in wav.scp",
    ),
    "malformed wav.scp": (0, lambda d: edit(d / "wav.scp", f" {d}/ann-2.wav", ""), "wav.scp:2", "`recording path`"),
    "malformed utt2spk": (
        0,
        lambda d: edit(d / "utt2spk", "ann-2 ann", "ann-2 ann x"),
        "utt2spk:2",
        "malformed: 3 fields",
    ),
    "malformed spk2utt": (0, lambda d: edit(d / "spk2utt", " bob-1", ""), "spk2utt:2", "malformed: 1 fields"),
    "malformed segments": (1, lambda d: edit(d / "segments", " 2.00", ""), "segments:2", "malformed: 3 fields"),
    "malformed times": (
        1,
        lambda d: edit(d / "segments", "1.00 2.00", "1.00 x"),
        "segments:2",
        "not two times in seconds",
    ),
    "NaN time": (1, lambda d: edit(d / "segments", "1.00 2.00", "1.00 nan"), "segments:2", "not two times in seconds"),
    "empty line": (0, lambda d: edit(d / "text", "ann-2", "\nann-2"), "text:2", "malformed: 0 fields"),
    "leading space": (0, lambda d: edit(d / "text", "ann-2", " ann-2"), "text:2", "begins with a space"),
    "odd white space": (0, lambda d: edit(d / "text", "ann-2 YES NO", "ann-2 YES\u00a0NO"), "text:2", "U+00A0"),
    "missing audio": (0, lambda d: (d / "ann-2.wav").unlink(), "wav.scp:2", "no audio file"),
    "folder as audio": (0, lambda d: edit(d / "wav.scp", "/ann-2.wav", ""), "wav.scp:2", "is not a file"),
    "empty audio": (0, lambda d: (d / "ann-2.wav").write_bytes(b""), "wav.scp:2", "is empty (0 bytes)"),
    "zero-length audio": (0, lambda d: write_wav(d / "ann-2.wav", 0), "wav.scp:2", "zero length"),
    "unreadable audio": (0, lambda d: (d / "ann-2.wav").write_bytes(b"RIFF" * 20), "wav.scp:2", "is not readable"),
    "NaN in audio": (0, lambda d: nan_wav(d / "ann-2.wav"), "wav.scp:2", "has 2 samples that are NaN or infinite"),
    "other rate": (0, lambda d: write_wav(d / "ann-2.wav", rate=16000), "wav.scp:2", "has 16000 Hz, not the 8000 Hz"),
    "pipe": (0, lambda d: edit(d / "wav.scp", f"{d}/ann-2.wav", "sox x.wav -t wav - |"), "wav.scp:2", "--allow-pipes"),
    "archive": (
        0,
        lambda d: edit(d / "wav.scp", f"{d}/ann-2.wav", "raw.ark:17"),
        "wav.scp:2",
        "audio inside an archive (raw.ark:17) is not read",
    ),
    "stereo": (
        0,
        lambda d: soundfile.write(str(d / "ann-2.wav"), np.full((RATE, 2), 0.1), RATE),
        "wav.scp:2",
        "has 2 channels",
    ),
    "no such channel": (
        1,
        lambda d: edit(d / "segments", "1.00 2.00", "1.00 2.00 B"),
        "segments:2",
        "channel B is wanted of a recording with 1",
    ),
    "malformed channel": (1, lambda d: edit(d / "segments", "1.00 2.00", "1 2 left"), "segments:2", "channel 'left'"),
    "segment beyond audio": (
        1,
        lambda d: edit(d / "segments", "2.00 3.00", "2.00 3.60"),
        "segments:3",
        "ends at 3.6 s, beyond its audio of 3.000 s",
    ),
    "segment after audio": (1, lambda d: edit(d / "segments", "2.00 3.00", "7 8"), "segments:3", "beyond its audio"),
    "segment ends at start": (
        1,
        lambda d: edit(d / "segments", "1.00 2.00", "1 1"),
        "segments:2",
        "not after its start 1 s",
    ),
    "segment before audio": (1, lambda d: edit(d / "segments", "0.00", "-0.5"), "segments:1", "starts at -0.5 s"),
    "too long a transcript": (
        0,
        lambda d: edit(d / "text", "ann-2 YES NO", "ann-2" + " YES" * 22),
        "text:2",
        "66 characters in 1.00 s are 66 per second, where hardly anybody speaks more than 25 (--max-chars-per-second)",
    ),
    "speakers disagree": (
        0,
        lambda d: edit(d / "utt2spk", "bob-1 bob", "bob-1 bo"),
        "spk2utt:2",
        "is of 'bob' here and of 'bo' in utt2spk (line 3)",
    ),
    "only in spk2utt": (
        0,
        lambda d: edit(d / "spk2utt", "bob-1", "bob-1 bob-2"),
        "spk2utt:2",
        "'bob-2' is not in utt2spk",
    ),
    "not in spk2utt": (0, lambda d: edit(d / "spk2utt", " ann-2", ""), "utt2spk:2", "'ann-2' is not in spk2utt"),
    "invalid UTF-8": (
        0,
        lambda d: (d / "text").write_bytes(b"ann-1 A\nann-2 \xff\nbob-1 A\n"),
        "text:2",
        "byte 0xff at position 7",
    ),
    "CR LF": (
        0,
        lambda d: (d / "text").write_bytes(b"ann-1 A\nann-2 A\r\nbob-1 A\r\n"),
        "text:2",
        "lines end in CR LF, 2 of",
    ),
    "byte-order mark": (
        0,
        lambda d: (d / "text").write_bytes(b"\xef\xbb\xbf" + (d / "text").read_bytes()),
        "text:1",
        "byte-order mark",
    ),
    "another encoding": (0, lambda d: recode(d / "utt2spk", "utf-16"), "utt2spk:1", "is UTF-16 text"),
    "packed": (0, lambda d: (d / "text").write_bytes(gzip.compress(b"x")), "text:1", "is compressed: unpack it"),
    "zero byte": (0, lambda d: edit(d / "text", "ann-2 YES", "ann-2 Y\0S"), "text:2", "has a zero byte in it"),
    "byte-order mark in utt2spk": (0, lambda d: recode(d / "utt2spk", "utf-8-sig"), "utt2spk:1", "byte-order mark"),
    "CR LF everywhere": (
        1,
        lambda d: [p.write_bytes(p.read_bytes().replace(b"\n", b"\r\n")) for p in d.glob("[!r]*")],
        "wav.scp:1",
        "lines end in CR LF, 1 of 1",
    ),
    "CR inside": (0, lambda d: edit(d / "text", "YES NO", "YES\rNO"), "text:1", "white-space character U+000D"),
    "bracket in an id": (
        0,
        lambda d: rename(d, "ann-2", "ann-(2"),
        "utt2spk:1",
        "utterance id 'ann-(2' has a bracket without its partner",
    ),
    "pipe to write to": (0, lambda d: edit(d / "wav.scp", f"{d}/ann-2.wav", "| cat"), "wav.scp:2", "to write to"),
    "missing gender": (
        0,
        lambda d: (d / "spk2gender").write_text("ann f\n"),
        "spk2utt:2",
        "speaker 'bob' is not in spk2gender",
    ),
    "missing language": (
        0,
        lambda d: (d / "utt2lang").write_text("ann-1 en\nann-2 en\n"),
        "wav.scp:3",
        "utterance 'bob-1' is not in utt2lang",
    ),
    "missing features": (
        0,
        lambda d: (d / "feats.scp").write_text("ann-1 x.ark:3\n"),
        "wav.scp:2",
        "utterance 'ann-2' is not in feats.scp",
    ),
    "no archive": (
        0,
        lambda d: (d / "feats.scp").write_text("ann-1 x.ark:3\nann-2 x.ark:9\nbob-1 x.ark:9\n"),
        "feats.scp:0",
        "no such file: x.ark",
    ),
    "damaged features": (0, lambda d: damaged_features(d), "feats.scp:2", "features of 'ann-2' at"),
    "link to no features": (
        0,
        lambda d: (d / "feats.scp").symlink_to("elsewhere/feats.scp"),
        "feats.scp:0",
        "is no file, or a link to none",
    ),
    "folder as segments": (0, lambda d: (d / "segments").mkdir(), "segments:0", "is no file, or a link to none"),
    "link to no segments": (
        1,
        lambda d: ((d / "segments").unlink(), (d / "segments").symlink_to("no")),
        "segments:0",
        "is no file, or a link to none",
    ),
    "unknown speaker": (
        0,
        lambda d: (d / "spk2gender").write_text("ann f\ncat f\n"),
        "spk2gender:2",
        "speaker 'cat' is not in spk2utt",
    ),
    "unknown utterance": (
        0,
        lambda d: (d / "utt2dur").write_text("ann-9 1\n"),
        "utt2dur:1",
        "utterance 'ann-9' is not in wav.scp",
    ),
}

# The same, for what is only warned of.
WARNINGS = {
    "empty transcript": (0, lambda d: edit(d / "text", "ann-2 YES NO", "ann-2"), "text:2", "has an empty transcript"),
    "no line end": (
        0,
        lambda d: (d / "text").write_text((d / "text").read_text().removesuffix("\n")),
        "text:3",
        "has no line end: the file may be cut short",
    ),
    "another gender": (
        0,
        lambda d: (d / "spk2gender").write_text("ann f\nbob male\n"),
        "spk2gender:2",
        "the gender of 'bob' is 'male', where Kaldi has m and f",
    ),
    "alike ids": (
        0,
        lambda d: rename(d, "ann-2", "ann-\u00e9", "bob-1", "ann-e\u0301"),
        "text:3",
        "'ann-\u00e9' looks like 'ann-e\u0301' of line 2",
    ),
    "one file for two": (
        0,
        lambda d: edit(d / "wav.scp", "ann-2.wav", "ann-1.wav"),
        "wav.scp:2",
        "'ann-2' is the same file as 'ann-1'",
    ),
    "one piece for two": (
        1,
        lambda d: edit(d / "segments", "1.00 2.00", "0.00 1.00"),
        "segments:2",
        "segment 'ann-2' is the same piece of audio as 'ann-1'",
    ),
    "unused file": (0, lambda d: (d / "vad.scp").write_text("ann-1 x.ark:2\n"), "vad.scp:0", "is not used"),
    "fast speech": (0, lambda d: edit(d / "text", "ann-2 YES NO", "ann-2" + " YES" * 11), "text:2", "is too long"),
    "markup": (0, lambda d: edit(d / "text", "ann-2 YES", "ann-2 @"), "text:2", "markup of trn files"),
    "id without speaker": (
        0,
        lambda d: (edit(d / "utt2spk", "bob-1 bob", "bob-1 rob"), edit(d / "spk2utt", "bob bob-1", "rob bob-1")),
        "utt2spk:3",
        "'bob-1' does not begin with its speaker 'rob'",
    ),
    "unused recording": (
        1,
        lambda d: edit(d / "wav.scp", "rec ", f"a {d}/rec.wav\nrec "),
        "wav.scp:1",
        "recording 'a' has no segment",
    ),
    "segment slightly beyond audio": (
        1,
        lambda d: edit(d / "segments", "2.00 3.00", "2.00 3.10"),
        "segments:3",
        "ends at 3.1 s, beyond its audio of 3.000 s; import-kaldi will cut it",
    ),
}
