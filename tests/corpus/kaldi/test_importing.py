"""Kaldi data folders in."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from data_checks import edit
from kaldi_cases import ERRORS, WARNINGS, make_kaldi
from kaldi_dirs import make_dir, read_kaldi
from lhotse import SupervisionSegment

from asrpar.cli import main
from asrpar.corpus.audio.files import probe
from asrpar.corpus.kaldi.exporting import export_split
from asrpar.corpus.kaldi.importing import import_split
from asrpar.corpus.manifests import Split, make_cuts
from asrpar.errors import DataError


def said_by(capsys: pytest.CaptureFixture, *args: object) -> tuple[int, list[str]]:
    """Exit code and lines of a command."""
    code = 0
    try:
        main([str(a) for a in args])
    except SystemExit as e:
        code = int(e.code or 0)
    told = capsys.readouterr()
    return code, (told.out + told.err).splitlines()


@pytest.mark.parametrize("case", [*ERRORS, *WARNINGS])
def test_both_commands_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, case: str
) -> None:
    segments, spoil, place, message = (ERRORS | WARNINGS)[case]
    spoil(make_kaldi(tmp_path / "train", segments))
    monkeypatch.chdir(tmp_path)
    code, told = said_by(capsys, "validate-data", "train", "--all")
    refused, lines = said_by(capsys, "import-kaldi", "train", "--split", "train", "--output", "m")
    assert code == refused == (case in ERRORS)
    assert any(line.startswith(f"train/{place}: ") and message in line for line in told), told
    if case in ERRORS:
        count = sum(": warning: " not in line for line in told[:-1])
        (line,) = lines
        assert line.startswith(f"asrpar: error: train: {count} problem")
        assert message in line or count > 3
        assert not (tmp_path / "m").exists()
    else:
        assert any(f"train/{place}: " in line and message in line for line in lines), lines
        assert (tmp_path / "m" / "cuts_train.jsonl.gz").is_file()


def test_options_are_those_of_the_check(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folder = make_kaldi(tmp_path / "train")
    edit(folder / "text", "ann-2 YES NO", "ann-2" + " YES" * 22)
    command = ["import-kaldi", folder, "--split", "train", "--output", tmp_path / "m"]
    assert said_by(capsys, *command)[0] == 1
    assert said_by(capsys, *command, "--max-chars-per-second", 100)[0] == 0


def test_segments_and_recordings(tmp_path: Path, wav: Path, caplog: pytest.LogCaptureFixture) -> None:
    tail = "a-2 r1 0 1\nb-1 r2 0 1\n"
    data = read_kaldi(make_dir(tmp_path, wav, segments=f"a-1 r1 0.5 1.4\n{tail}"))
    split = import_split(data, tmp_path / "audio")
    assert (split.supervisions[0].duration, "1 segments outlast" in caplog.text) == (0.5, True)
    for line, message in (
        ("a-1 r1 0.5 1.6", "'a-1' ends at 1.6 s, its recording 'r1' at 1.000 s"),
        ("a-1 r1 1.0 1.2", "'a-1' ends at 1.2 s, its recording 'r1' at 1.000 s"),
        ("a-1 r1 0.5 1.0 1", "'a-1': recording 'r1' has 1 channels"),
    ):
        data = read_kaldi(make_dir(tmp_path, wav, segments=f"{line}\n{tail}"))
        with pytest.raises(DataError, match=message):
            import_split(data, tmp_path / "audio")


def test_two_channels_need_segments(tmp_path: Path) -> None:
    stereo = tmp_path / "stereo.wav"
    soundfile.write(str(stereo), np.zeros((800, 2)), 8000)
    whole = {"wav__scp": f"a {stereo}\n", "text": "a X\n", "utt2spk": "a a\n", "spk2utt": "a a\n", "segments": None}
    with pytest.raises(DataError, match="'a': recording 'a' has 2 channels"):
        import_split(read_kaldi(make_dir(tmp_path / "d", stereo, **whole)), tmp_path)
    make_dir(tmp_path / "d", stereo, **(whole | {"segments": "a a 0 0.05\n"}))
    with pytest.raises(DataError, match="'a': recording 'a' has 2 channels; name an existing one in the fifth column"):
        import_split(read_kaldi(tmp_path / "d"), tmp_path)
    for channel, number in (("1", 1), ("B", 1), ("A", 0)):
        make_dir(tmp_path / "d", stereo, **(whole | {"segments": f"a a 0 0.05 {channel}\n"}))
        split = import_split(read_kaldi(tmp_path / "d"), tmp_path)
        assert make_cuts(split)[0].channel == number
        export_split(split, tmp_path / "again")
        assert import_split(read_kaldi(tmp_path / "again"), tmp_path) == split


def test_an_utterance_on_several_channels(tmp_path: Path) -> None:
    stereo = tmp_path / "stereo.wav"
    soundfile.write(str(stereo), np.zeros((800, 2)), 8000)
    both = SupervisionSegment("a", "a", 0.0, 0.1, channel=[0, 1], text="X", speaker="a")
    for use in (make_cuts, lambda split: export_split(split, tmp_path / "out")):
        with pytest.raises(DataError, match=r"utterance a is on the channels \[0, 1\]: choose one"):
            use(Split([probe(stereo, "a")], [both]))


def test_files_that_are_not_used_are_named(
    tmp_path: Path, wav: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_dir(tmp_path / "data", wav)
    (tmp_path / "data" / "cmvn.scp").write_text("a x.ark:2\nb x.ark:9\n")
    main(["import-kaldi", "data", "--output", "m", "--split", "train"])
    assert "data/cmvn.scp:0: is not used: stage 2 computes means and variances itself" in capsys.readouterr().err


def test_relative_paths_are_of_the_current_folder(tmp_path: Path, wav: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = read_kaldi(make_dir(tmp_path / "data", wav, wav__scp=f"r1 {wav.name}\nr2 {wav.name}\n"))
    monkeypatch.chdir(wav.parent)
    assert import_split(data, tmp_path).recordings[0].sources[0].source == str(wav)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=f"wav.scp: 2 problems: no audio file {tmp_path}/one second.wav"):
        import_split(data, tmp_path)
