import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from data_checks import RATE, assert_found, edit, validate_kaldi_dir, validate_manifests, write_wav
from kaldi_cases import ERRORS, WARNINGS, make_kaldi

from asrpar.corpus.checks.folders import check_paths
from asrpar.corpus.checks.report import Limits
from asrpar.corpus.kaldi.ark import write_matrices
from asrpar.errors import DataError


@pytest.mark.parametrize("segments", [False, True])
def test_a_good_kaldi_folder(tmp_path, segments):
    folder = make_kaldi(tmp_path / "train", segments)
    (folder / "spk2gender").write_text("ann f\nbob m\n")
    assert validate_kaldi_dir(folder, Limits(sampling_rate=RATE, read_audio=True)) == []


@pytest.mark.parametrize("case", ERRORS)
def test_kaldi_errors(case, tmp_path):
    segments, spoil, place, message = ERRORS[case]
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


@pytest.mark.parametrize("case", WARNINGS)
def test_kaldi_warnings(case, tmp_path):
    segments, spoil, place, message = WARNINGS[case]
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
        f"{folder}/text:1: warning: 'ann-1' has an empty transcript",
        f"{folder}/utt2spk:3: warning: utterance id 'bob-1' does not begin with its speaker 'rob', so utterances and "
        "speakers sort differently",
    ]
    assert lines[2].startswith(f"{folder}/wav.scp:1: 'ann-1': no audio file")
    assert lines[3:] == ["1 error, 2 warnings in 1 set"]


def test_command_with_the_wrong_kind(tmp_path):
    folder = make_kaldi(tmp_path / "train")
    done = subprocess.run(
        [sys.executable, "-m", "asrpar", "validate-data", "--manifests", str(folder)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and "holds no manifests" in done.stderr


@pytest.mark.parametrize(
    "spoil",
    [
        lambda raw: b"\xef\xbb\xbf" + raw,
        lambda raw: raw.replace(b"\n", b"\r\n"),
        lambda raw: raw.replace(b"ann-2 ", b"\nann-2 "),
        lambda raw: raw.replace(b"ann-2", b"ann-\xff"),
    ],
)
def test_what_is_wrong_with_a_list_of_features_is_told_once(tmp_path: Path, spoil) -> None:
    folder = make_kaldi(tmp_path / "train")
    write_matrices(folder / "feats.ark", [(i, np.ones((9, 3), np.float32)) for i in ("ann-1", "ann-2", "bob-1")])
    (folder / "feats.scp").write_bytes(spoil((folder / "feats.scp").read_bytes()))
    (problem,) = validate_kaldi_dir(folder)
    assert Path(problem.file).name == "feats.scp" and problem.line
