"""What validate-data tells of data that are right, and how it tells the same of many entries."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from data_checks import RATE, assert_found, validate_kaldi_dir, write_wav

from asrpar.commands.validate_data import command
from asrpar.corpus.checks.report import DataSet, Limits
from asrpar.corpus.kaldi.ark import write_matrices
from asrpar.corpus.problems import Place
from asrpar.errors import DataError
from asrpar.feats.shard import read_matrix


def found(text: str, seconds: float) -> list[bool]:
    """Whether each finding about a transcript is a warning."""
    data = DataSet("x", "x")
    data.check_transcript(Place("text", 1), "u", text, seconds, Limits())
    return [p.warning for p in data.problems]


@pytest.mark.parametrize(
    ("text", "seconds", "warnings"),
    [
        ("SEVEN", 0.2, []),  # an isolated digit
        ("THREE", 0.12, []),
        ("EIGHTEEN", 0.25, []),
        ("七", 0.1, []),
        ("A" * 27, 1.0, []),
        ("A" * 40, 1.0, [True]),
        ("A" * 70, 1.0, [False]),
        ("A" * 300, 10.0, [True]),
        ("今" * 110, 10.0, []),
        ("今" * 150, 10.0, [True]),
        ("", 1.0, [True]),
    ],
)
def test_rate_of_speech(text: str, seconds: float, warnings: list[bool]):
    assert found(text, seconds) == warnings


def test_ids_that_files_of_transcripts_cannot_hold():
    data = DataSet("x", "x")
    for name in ("a b", "a(1", "a(1)"):
        data.add_utterance(name, "a", Place("f", 1))
    assert [p.message for p in data.problems] == [
        "utterance id 'a b' has a space in it: transcripts are 'WORDS (id)'",
        "utterance id 'a(1' has a bracket without its partner: transcripts are 'WORDS (id)'",
    ]


def kaldi(folder: Path, utterances: int = 4) -> dict[str, np.ndarray]:
    """A data folder whose ids do not begin with their speakers, with features."""
    folder.mkdir()
    write_wav(folder / "a.wav")
    ids = [f"u{n:02d}" for n in range(utterances)]
    for name, value in (("wav.scp", f"{folder}/a.wav"), ("text", "YES"), ("utt2spk", "s")):
        (folder / name).write_text("".join(f"{i} {value}\n" for i in ids))
    (folder / "spk2utt").write_text(f"s {' '.join(ids)}\n")
    rng = np.random.default_rng(0)
    matrices = {i: (5 + rng.standard_normal((98, 13))).astype(np.float32) for i in ids}
    write_matrices(folder / "feats.ark", matrices.items())
    return matrices


def test_the_command_groups_unless_told_otherwise(tmp_path: Path):
    kaldi(tmp_path / "train", 30)
    (tmp_path / "train/cmvn.scp").write_text("s x.ark:2\n")
    told = CliRunner().invoke(command, [str(tmp_path / "train")])
    assert told.exit_code == 0 and told.output.endswith("0 errors, 60 warnings: 1 set checked\n")
    lines = told.output.splitlines()
    assert len(lines) == 5 and "cmvn.scp:0: warning: is not used: stage 2 computes means and variances" in lines[0]
    assert "(and 29 more like this: 'u01', 'u02', 'u03', ...)" in lines[1]
    assert "'u01' is the same file as 'u00'" in lines[2] and "(and 28 more like this: 'u02', " in lines[2]
    assert len(CliRunner().invoke(command, [str(tmp_path / "train"), "--all"]).output.splitlines()) == 62


@pytest.mark.parametrize("compression", [None, 2, 3, 5])
def test_damaged_features(tmp_path: Path, compression: int | None):
    folder = tmp_path / "train"
    matrices = kaldi(folder)
    write_matrices(folder / "feats.ark", matrices.items(), compression)
    assert all(p.warning for p in validate_kaldi_dir(folder))
    ark = folder / "feats.ark"
    whole = ark.read_bytes()
    at = int((folder / "feats.scp").read_text().splitlines()[2].rpartition(":")[2])
    noise = np.random.default_rng(1).bytes(len(whole))
    damaged = {
        "the whole file": noise,
        "a header": whole[:at] + noise[:30] + whole[at + 30 :],
        "its sizes": whole[: at + 5] + noise[:17] + whole[at + 22 :],
        "the end": whole[:-700],
    }
    if compression is None:
        damaged["numbers"] = whole[: at + 300] + noise[:300] + whole[at + 600 :]
    for what, content in damaged.items():
        ark.write_bytes(content)
        errors = [p for p in validate_kaldi_dir(folder) if not p.warning]
        assert errors and all("feats.scp" in p.file and "features of 'u" in p.message for p in errors), what


def test_absurd_and_unlike_features(tmp_path: Path):
    folder = tmp_path / "train"
    matrices = kaldi(folder)
    matrices["u01"][3, 3] = 1e20
    matrices["u02"] = matrices["u02"][:, :12]
    write_matrices(folder / "one.ark", ((i, matrices[i]) for i in ("u00", "u01", "u03")))
    write_matrices(folder / "two.ark", [("u02", matrices["u02"])])
    lines = sorted(((folder / "one.scp").read_text() + (folder / "two.scp").read_text()).splitlines())
    (folder / "feats.scp").write_text("\n".join(lines) + "\n")
    problems = validate_kaldi_dir(folder)
    assert_found(problems, folder, "feats.scp:2", "u01 holds values up to 1e+20, as only damaged features do")
    assert_found(problems, folder, "feats.scp:3", "'u02' has 12 features a frame, 'u00' has 13")
    with pytest.raises(DataError, match="values up to"):  # as stage 2 reads it
        read_matrix("u01", *(lines[1].split()[1].rsplit(":", 1)[0], int(lines[1].rsplit(":", 1)[1])))
    shutil.rmtree(folder / "two.ark", ignore_errors=True)
    (folder / "two.ark").unlink()
    assert_found(validate_kaldi_dir(folder), folder, "feats.scp:0", "two.ark")


def test_stereo_needs_a_channel_in_segments_too(tmp_path: Path):
    kaldi(tmp_path / "train", 2)
    soundfile.write(tmp_path / "train/a.wav", np.zeros((RATE, 2)), RATE)
    (tmp_path / "train/segments").write_text("u00 u00 0 0.5\nu01 u01 0 0.5 B\n")
    problems = validate_kaldi_dir(tmp_path / "train")
    assert_found(problems, tmp_path / "train", "segments:1", "'u00' has 2 channels: choose one in the fifth column")
    assert sum(not p.warning for p in problems) == 1
