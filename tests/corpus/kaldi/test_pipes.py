"""Commands in wav.scp."""

import shlex
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from kaldi_dirs import make_dir, read_kaldi

from asrpar.corpus.kaldi.folder import KaldiDir
from asrpar.corpus.kaldi.importing import import_split
from asrpar.corpus.kaldi.pipes import plain_flac
from asrpar.errors import DataError


def test_pipes_are_refused_unless_allowed(tmp_path: Path, wav: Path) -> None:
    witness = tmp_path / "was run"
    pipe = f"touch {shlex.quote(str(witness))}; cat {shlex.quote(str(wav))} |"
    data = read_kaldi(make_dir(tmp_path / "data", wav, wav__scp=f"r1 {pipe}\nr2 {wav}\n"))
    with pytest.raises(DataError, match=r"'r1' is a command .*look through wav.scp, then give --allow-pipes"):
        import_split(data, tmp_path / "audio")
    assert not witness.exists() and not (tmp_path / "audio").exists()
    split = import_split(data, tmp_path / "audio", allow_pipes=True)
    kept = tmp_path / "audio" / "r1.wav"
    assert split.recordings[0].sources[0].source == str(kept)
    np.testing.assert_array_equal(soundfile.read(kept)[0], soundfile.read(wav)[0])
    witness.unlink()
    import_split(data, tmp_path / "audio", allow_pipes=True)
    assert not witness.exists()  # the same command is not run twice


def test_pipes_that_fail(tmp_path: Path, wav: Path) -> None:
    for command, message in (
        ("echo oh no >&2; exit 3", "'r1': the command .* ended with 3: oh no"),
        ("no-such-program-here -x", "ended with 127"),
        ("false | cat", "ended with 1"),
        ("echo text", "wrote no readable audio"),
        ("true", "wrote no readable audio"),
    ):
        data = read_kaldi(make_dir(tmp_path / "data", wav, wav__scp=f"r1 {command} |\nr2 {wav}\n"))
        with pytest.raises(DataError, match=message):
            import_split(data, tmp_path / "audio", allow_pipes=True)
        assert list((tmp_path / "audio").iterdir()) == []


@pytest.mark.parametrize("length", [0, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FFFF000])
def test_wav_of_unknown_length_from_a_pipe(tmp_path: Path, wav: Path, length: int) -> None:
    streamed = bytearray(wav.read_bytes())
    streamed[4:8] = struct.pack("<I", 0 if length == 0 else 0xFFFFFFFF)
    streamed[40:44] = struct.pack("<I", length)
    (tmp_path / "streamed").write_bytes(streamed)
    pipe = f"cat {tmp_path}/streamed |"
    data = KaldiDir(wav={"a/b": pipe}, text={"a/b": "X"}, utt2spk={"a/b": "a"})
    split = import_split(data, tmp_path / "audio", allow_pipes=True)
    assert split.recordings[0].num_samples == 8000
    assert [p.name for p in (tmp_path / "audio").glob("*.wav")] == ["a%2Fb.wav"]


@pytest.mark.parametrize(
    ("entry", "path"),
    [
        ("flac -c -d -s x.flac |", "x.flac"),
        ("flac -d -c -s 'a b$.flac'|", "a b$.flac"),
        ("flac -c -d -s x.flac y.flac |", None),
        ("flac -c -d -s $(touch x) |", None),
        ("flac -c -d -s `x` |", None),
        ("flac -c -d -s x.flac>y |", None),
        ("flac -c -d -f x.flac |", None),
        ("sox -c -d -s x.flac |", None),
        ("flac -c -d -s 'x |", None),
        ("flac -c -d -s ~/x.flac |", None),
        ("flac -c -d -s '' |", None),
    ],
)
def test_the_plain_flac_command(entry: str, path: str | None) -> None:
    assert plain_flac(entry) == path


@pytest.mark.parametrize(
    ("entry", "message"), [("| cat", "a pipe to write to"), ("{wav}:17", "audio inside an archive"), ("-", "no audio")]
)
def test_other_entries_are_refused(tmp_path: Path, wav: Path, entry: str, message: str) -> None:
    data = KaldiDir(wav={"a": entry.replace("{wav}", str(wav))}, text={"a": "X"}, utt2spk={"a": "a"})
    with pytest.raises(DataError, match=message):
        import_split(data, tmp_path, allow_pipes=True)
