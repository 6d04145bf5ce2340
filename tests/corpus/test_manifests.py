"""Writing and reading the manifests of a split."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import CutSet, Recording, SupervisionSegment
from lhotse.utils import fastcopy

from asrpar.corpus.audio.files import decode_to_wav, probe
from asrpar.corpus.manifests import Split, check_split_name, cut_lines, make_cuts, read_split, write_manifests
from asrpar.errors import ConfigError, DataError, MissingInputError


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    path = tmp_path / "x.wav"
    soundfile.write(str(path), np.full(8000, 0.1), 8000)
    return path


def supervision(utt: str, **changes) -> SupervisionSegment:
    plain = {"recording_id": "r", "start": 0.0, "duration": 0.5, "channel": 0, "text": "A", "speaker": "s"}
    return SupervisionSegment(id=utt, **(plain | changes))


def test_probe_agrees_with_lhotse(wav: Path) -> None:
    assert probe(wav, "x") == Recording.from_file(wav)


def test_round_trip_is_sorted(tmp_path: Path, wav: Path) -> None:
    split = Split([probe(wav, "r")], [supervision("s-2", start=0.25), supervision("s-10")])
    write_manifests(tmp_path / "m", {"train": split})
    again = read_split(tmp_path / "m", "train")
    assert [s.id for s in again.supervisions] == ["s-10", "s-2"]
    assert again.recordings == split.recordings
    assert sorted(again.supervisions, key=lambda s: s.start) == sorted(split.supervisions, key=lambda s: s.start)
    cuts = list(CutSet.from_file(tmp_path / "m" / "cuts_train.jsonl.gz"))
    assert [(c.id, c.start, c.duration, c.supervisions[0].start) for c in cuts] == [
        ("s-10", 0.0, 0.5, 0.0),
        ("s-2", 0.25, 0.5, 0.0),
    ]
    assert again.seconds == 1.0 and again.speakers == {"s"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recording_id": "other"}, "there is no recording other"),
        ({"duration": 1.1}, "is not inside recording r"),
        ({"start": -0.1}, "is not inside recording r"),
        ({"duration": 0.0}, "is not inside recording r"),
        ({"speaker": None}, "has no speaker"),
        ({"text": None}, "has no text"),
    ],
)
def test_bad_supervisions_are_refused_and_leave_nothing(tmp_path: Path, wav: Path, changes, message: str) -> None:
    split = Split([probe(wav, "r")], [supervision("s-1"), supervision("s-2", **changes)])
    with pytest.raises(DataError, match=f"split dev: utterance s-2.*{message}"):
        write_manifests(tmp_path / "m", {"dev": split})
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("name", ["a b", "", "a(1", "a)(", "a\n"])
def test_ids_that_files_of_transcripts_cannot_hold(tmp_path: Path, wav: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"split dev: the utterance id .*, which files of transcripts"):
        write_manifests(tmp_path / "m", {"dev": Split([probe(wav, "r")], [supervision(name)])})
    make_cuts(Split([probe(wav, "r")], [supervision("a(1)-é😀")]))


def test_double_ids_and_empty_splits(tmp_path: Path, wav: Path) -> None:
    recording = probe(wav, "r")
    with pytest.raises(DataError, match="utterance id s-1 occurs twice"):
        make_cuts(Split([recording], [supervision("s-1"), supervision("s-1")]))
    with pytest.raises(DataError, match="recording id r occurs twice"):
        make_cuts(Split([recording, fastcopy(recording)], [supervision("s-1")]))
    with pytest.raises(DataError, match="split test has no utterances"):
        write_manifests(tmp_path, {"test": Split([], [])})


def test_reading_what_is_not_there_names_the_stage(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="run stage 1"):
        read_split(tmp_path, "dev")


@pytest.mark.parametrize("name", ["", "../dev", "a b", ".dev", "dev/1"])
def test_split_names(name: str) -> None:
    with pytest.raises(ConfigError, match="use letters"):
        check_split_name(name)


def test_audio_that_cannot_be_used(tmp_path: Path, wav: Path) -> None:
    with pytest.raises(DataError, match=r"no audio file .*gone.wav .recording x."):
        probe(tmp_path / "gone.wav", "x")
    (tmp_path / "text.wav").write_text("no audio")
    with pytest.raises(DataError, match=r"text.wav is not readable as audio"):
        probe(tmp_path / "text.wav", "x")
    with pytest.raises(DataError, match=r"text.wav is not readable as audio"):
        decode_to_wav(tmp_path / "text.wav", tmp_path / "out.wav")
    with pytest.raises(DataError, match="no audio file"):
        decode_to_wav(tmp_path / "gone.sph", tmp_path / "out.wav")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["text.wav", "x.wav"]


def test_lines_of_cuts_are_those_of_the_cuts_themselves(wav: Path) -> None:
    recordings = [probe(wav, "r"), fastcopy(probe(wav, "r"), id="ü")]
    supervisions = [supervision("s-2", start=0.25), supervision("s-1", recording_id="ü", text='É "quoted" \\')]
    split = Split(recordings, supervisions)
    assert list(cut_lines(split)) == [json.dumps(cut.to_dict(), ensure_ascii=False) for cut in make_cuts(split)]
