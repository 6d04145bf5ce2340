import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from data_checks import RATE, assert_found, edit, nan_wav, validate_kaldi_dir, validate_manifests, write_wav

from asrpar.corpus.checks.folders import Limits, check_paths
from asrpar.errors import DataError


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
KALDI = {
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
        "utterance 'ann-2' is missing in text",
    ),
    "missing speaker": (
        1,
        lambda d: edit(d / "utt2spk", "ann-2 ann\n", ""),
        "segments:2",
        "utterance 'ann-2' is missing in utt2spk",
    ),
    "transcript without audio": (
        0,
        lambda d: edit(d / "wav.scp", f"ann-2 {d}/ann-2.wav\n", ""),
        "text:2",
        "utterance 'ann-2' is not in wav.scp: it has no audio",
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
    "blank line": (0, lambda d: edit(d / "text", "ann-2", "\nann-2"), "text:2", "malformed: 0 fields"),
    "leading blank": (0, lambda d: edit(d / "text", "ann-2", " ann-2"), "text:2", "begins with a space"),
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
        "is inside an archive, which is not read",
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
    "empty transcript": (0, lambda d: edit(d / "text", "ann-2 YES NO", "ann-2"), "text:2", "has an empty transcript"),
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
        "'bob-2' is missing in utt2spk",
    ),
    "not in spk2utt": (0, lambda d: edit(d / "spk2utt", " ann-2", ""), "utt2spk:2", "'ann-2' is missing in spk2utt"),
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
    "unknown speaker": (
        0,
        lambda d: (d / "spk2gender").write_text("ann f\ncat f\n"),
        "spk2gender:2",
        "speaker 'cat' is unknown",
    ),
    "unknown utterance": (
        0,
        lambda d: (d / "utt2dur").write_text("ann-9 1\n"),
        "utt2dur:1",
        "utterance 'ann-9' is unknown",
    ),
}

# The same, for what is only warned of.
KALDI_WARNINGS = {
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


@pytest.mark.parametrize("segments", [False, True])
def test_a_good_kaldi_folder(tmp_path, segments):
    folder = make_kaldi(tmp_path / "train", segments)
    (folder / "spk2gender").write_text("ann f\nbob m\n")
    assert validate_kaldi_dir(folder, Limits(sampling_rate=RATE, read_audio=True)) == []


@pytest.mark.parametrize("case", KALDI)
def test_kaldi_errors(case, tmp_path):
    segments, spoil, place, message = KALDI[case]
    folder = make_kaldi(tmp_path / "train", segments)
    spoil(folder)
    problems = validate_kaldi_dir(folder)
    assert_found(problems, folder, place, message)
    assert problems == validate_kaldi_dir(folder)


@pytest.mark.parametrize("change", [lambda b: b.replace(b"-2", b"-\xe9", 1), lambda b: b.decode().encode("utf-16")])
@pytest.mark.parametrize("name", ["wav.scp", "text", "segments", "utt2spk", "spk2utt"])
def test_a_file_in_another_encoding_is_the_only_error(name, change, tmp_path):
    folder = make_kaldi(tmp_path / "train", segments=True)
    (folder / "spk2gender").write_text("ann f\nbob m\n")
    (folder / "utt2dur").write_text("ann-1 1\nann-2 1\nbob-1 1\n")
    (folder / "reco2dur").write_text("rec 3\n")
    if name == "wav.scp":
        edit(folder / name, "rec ", "rec-2 ")
        edit(folder / "segments", " rec 0", " rec-2 0")
        edit(folder / "segments", " rec 1", " rec-2 1")
        edit(folder / "segments", " rec 2", " rec-2 2")
        edit(folder / "reco2dur", "rec", "rec-2")
    path = folder / name
    path.write_bytes(change(path.read_bytes()))
    (problem,) = validate_kaldi_dir(folder)
    assert problem.file == str(path) and ("is not valid UTF-8" in problem.message or "UTF-16" in problem.message)


@pytest.mark.parametrize("case", KALDI_WARNINGS)
def test_kaldi_warnings(case, tmp_path):
    segments, spoil, place, message = KALDI_WARNINGS[case]
    folder = make_kaldi(tmp_path / "train", segments)
    spoil(folder)
    problems = validate_kaldi_dir(folder)
    assert_found(problems, folder, place, message, warning=True)
    assert all(p.warning for p in problems)


def test_all_problems_are_told_at_once(tmp_path):
    folder = make_kaldi(tmp_path / "train")
    (folder / "ann-1.wav").unlink()
    write_wav(folder / "bob-1.wav", rate=16000)
    edit(folder / "text", "ann-1 YES NO", "ann-1")
    edit(folder / "spk2utt", " ann-2", "")
    assert [f"{Path(p.file).name}:{p.line}" for p in validate_kaldi_dir(folder, Limits(sampling_rate=RATE))] == [
        "text:1", "utt2spk:2", "wav.scp:1", "wav.scp:3",
    ]  # fmt: skip


def test_options_of_kaldi_checks(tmp_path):
    folder = make_kaldi(tmp_path / "train", segments=True)
    assert_found(
        validate_kaldi_dir(folder, Limits(sampling_rate=16000)), folder, "wav.scp:1", "8000 Hz, not the 16000 Hz wanted"
    )
    assert_found(validate_kaldi_dir(folder, Limits(max_chars_per_second=3)), folder, "text:1", "more than 3", True)
    edit(folder / "segments", "2.00 3.00", "2.00 -1")  # to the end
    assert validate_kaldi_dir(folder) == []
    edit(folder / "segments", "2.00 -1", "2.00 3.008")  # rounded up
    assert validate_kaldi_dir(folder) == []
    edit(folder / "wav.scp", f"{folder}/rec.wav", f"touch {tmp_path}/ran |")
    assert validate_kaldi_dir(folder, Limits(allow_pipes=True)) == []
    assert not (tmp_path / "ran").exists()


def test_the_flac_pipe_of_kaldi_recipes_is_a_file(tmp_path):
    folder = make_kaldi(tmp_path / "train")
    flac = tmp_path / "ann-2.flac"
    soundfile.write(str(flac), np.zeros(RATE), RATE)
    edit(folder / "wav.scp", f"{folder}/ann-2.wav", f"flac -c -d -s {flac} |")
    assert validate_kaldi_dir(folder) == []
    flac.unlink()
    assert_found(validate_kaldi_dir(folder), folder, "wav.scp:2", f"no audio file {flac}")


def test_one_file_for_two_recordings(tmp_path):
    folder = make_kaldi(tmp_path / "train")
    edit(folder / "wav.scp", "ann-2.wav", "ann-1.wav")
    (found,) = validate_kaldi_dir(folder)
    assert found.warning and f"'ann-2' is the same file as 'ann-1': {folder}/ann-1.wav" in found.message


def test_one_piece_for_two_segments(tmp_path):
    folder = make_kaldi(tmp_path / "train", segments=True)
    lines = (folder / "segments").read_text().splitlines()
    first, second = lines[0].split(), lines[1].split()
    edit(folder / "segments", lines[1], " ".join([second[0], *first[1:]]))
    found = [p for p in validate_kaldi_dir(folder) if "same piece" in p.message]
    assert [(p.warning, p.message) for p in found] == [
        (True, f"segment '{second[0]}' is the same piece of audio as '{first[0]}'")
    ]


def test_reading_all_audio_finds_a_broken_flac(tmp_path):
    folder = make_kaldi(tmp_path / "train")
    flac = folder / "ann-2.flac"
    soundfile.write(str(flac), np.random.default_rng(0).uniform(-0.5, 0.5, 4 * RATE), RATE)
    whole = flac.read_bytes()
    flac.write_bytes(whole[: len(whole) // 3] + bytes(len(whole) // 3) + whole[2 * len(whole) // 3 :])
    edit(folder / "wav.scp", "ann-2.wav", "ann-2.flac")
    assert validate_kaldi_dir(folder) == []
    assert_found(validate_kaldi_dir(folder, Limits(read_audio=True)), folder, "wav.scp:2", "ann-2.flac")


# ---- several sets


def test_kaldi_folders_are_compared(tmp_path):
    train = make_kaldi(tmp_path / "train")
    test = make_kaldi(tmp_path / "test", speakers=("bob", "cat"))
    sets, problems = check_paths([train, test])
    assert [s.name for s in sets] == ["train", "test"]
    assert_found(problems, test, "utt2spk:1", "speaker 'bob' is in train too")
    assert_found(problems, test, "utt2spk:1", "utterance 'bob-1' is in train too")
    assert len(problems) == 2
    problems = check_paths([train, test], limits=Limits(train_split="test"))[1]
    assert_found(problems, train, "utt2spk:3", "speaker 'bob' is in test too")
    problems = check_paths([train, test], limits=Limits(train_split="all"))[1]
    assert_found(problems, train.parent, "train:0", "none of the sets train, test is called 'all'", warning=True)
    other = make_kaldi(tmp_path / "dev", speakers=("dan", "eve"))
    assert check_paths([train, other])[1] == []


def test_shared_speakers_can_be_allowed(tmp_path):
    train, test = make_kaldi(tmp_path / "train"), make_kaldi(tmp_path / "test", speakers=("bob", "cat"))
    edit(test / "utt2spk", "bob-1", "bob-3")
    for name in ("wav.scp", "text", "spk2utt"):
        edit(test / name, "bob-1", "bob-3")
    for name in ("wav.scp", "text", "utt2spk"):
        (test / name).write_text("".join(sorted((test / name).read_text().splitlines(keepends=True))))
    problems = check_paths([train, test], limits=Limits(allow_shared_speakers=True))[1]
    assert [str(p).split(": ")[1] for p in problems] == ["warning"]


@pytest.mark.parametrize("what", ["nothing", "a file", "an empty folder"])
def test_paths_that_are_no_data(what, tmp_path):
    path = tmp_path / "data"
    if what == "a file":
        path.write_text("x")
    elif what == "an empty folder":
        path.mkdir()
    with pytest.raises(DataError, match=str(path)):
        check_paths([path])
    with pytest.raises(DataError, match=str(path)):
        validate_manifests(path)


# ---- the command


def test_command_tells_all_and_exits_with_1(tmp_path):
    folder = make_kaldi(tmp_path / "train")
    (folder / "ann-1.wav").unlink()
    edit(folder / "text", "ann-1 YES NO", "ann-1")
    edit(folder / "spk2utt", "bob ", "rob ")
    edit(folder / "utt2spk", "bob-1 bob", "bob-1 rob")
    done = subprocess.run(
        [sys.executable, "-m", "asrpar", "validate-data", str(folder)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1 and done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[:2] == [
        f"{folder}/text:1: 'ann-1' has an empty transcript",
        f"{folder}/utt2spk:3: warning: utterance id 'bob-1' does not begin with its speaker 'rob', so utterances and "
        "speakers sort differently",
    ]
    assert lines[2].startswith(f"{folder}/wav.scp:1: 'ann-1': no audio file")
    assert lines[3:] == ["2 errors, 1 warning in 1 set"]


def test_command_with_the_wrong_kind(tmp_path):
    folder = make_kaldi(tmp_path / "train")
    done = subprocess.run(
        [sys.executable, "-m", "asrpar", "validate-data", "--manifests", str(folder)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and "holds no manifests" in done.stderr
