"""Kaldi data folders in and out."""

import re
import shlex
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from lhotse import SupervisionSegment
from lhotse.utils import fastcopy

from asrpar.cli import main
from asrpar.corpus.audio.files import probe
from asrpar.corpus.checks.kaldi import check_kaldi_dir
from asrpar.corpus.checks.report import Limits
from asrpar.corpus.kaldi.ark import read_matrices
from asrpar.corpus.kaldi.exporting import export_split
from asrpar.corpus.kaldi.folder import KaldiDir, Segment, read_kaldi_dir
from asrpar.corpus.kaldi.importing import import_split
from asrpar.corpus.kaldi.pipes import plain_flac
from asrpar.corpus.manifests import Split, make_cuts
from asrpar.errors import DataError

FILES = {
    "wav.scp": "r1 {wav}\nr2 {wav}\n",
    "segments": "a-1 r1 0.00 0.50\na-2 r1 0.50 -1\nb-1 r2 0.25 0.75\n",
    "text": "a-1 ONE TWO\na-2\nb-1 THREE\n",
    "utt2spk": "a-1 a\na-2 a\nb-1 b\n",
    "spk2utt": "a a-1 a-2\nb b-1\n",
}


@pytest.fixture(scope="module")
def wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("audio") / "one second.wav"
    soundfile.write(str(path), (1000 * np.sin(np.arange(8000))).astype(np.int16), 8000)
    return path


def make_dir(path: Path, wav: Path, **changes: str | None) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for name, content in (FILES | {k.replace("__", "."): v for k, v in changes.items()}).items():
        if content is not None:
            (path / name).write_bytes(content.replace("{wav}", str(wav)).encode())
    return path


def by_id(items: list) -> list:
    return sorted(items, key=lambda x: x.id)


def test_a_folder_is_read(tmp_path: Path, wav: Path) -> None:
    data = read_kaldi_dir(make_dir(tmp_path, wav, spk2gender="a f\nb m\n", utt2lang="a-1 en\na-2 en\nb-1 de\n"))
    assert data.segments == {
        "a-1": Segment("r1", 0.0, 0.5),
        "a-2": Segment("r1", 0.5, None),
        "b-1": Segment("r2", 0.25, 0.75),
    }
    assert data.spk2utt == {"a": ["a-1", "a-2"], "b": ["b-1"]}
    split = import_split(data, tmp_path / "audio")
    assert [(s.id, s.start, s.duration, s.text, s.speaker, s.gender, s.language) for s in split.supervisions] == [
        ("a-1", 0.0, 0.5, "ONE TWO", "a", "f", "en"),
        ("a-2", 0.5, 0.5, "", "a", "f", "en"),
        ("b-1", 0.25, 0.5, "THREE", "b", "m", "de"),
    ]
    assert [c.num_samples for c in make_cuts(split)] == [4000, 4000, 4000]
    assert split.recordings[0].sources[0].source == str(wav)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text": None}, "text: is missing"),
        ({"text": "a-1 ONE\nb-1 THREE\n"}, "segments:2: 'a-2' is not in text"),
        ({"text": "a-1 X\na-2 X\nb-1 X\nb-2 X\n"}, "text:4: 'b-2' is not in segments"),
        ({"text": "a-2 X\na-1 X\nb-1 X\n"}, "text:2: 'a-1' comes after 'a-2': sort the file with LC_ALL=C"),
        ({"text": "a-1 X\na-2 X\na-2 Y\nb-1 X\n"}, "text:3: 'a-2' occurs twice"),
        ({"text": "a-1 X\n\na-2 X\nb-1 X\n"}, "text:2: empty line"),
        ({"text": ""}, "text: is empty"),
        ({"utt2spk": "a-1 a\na-2 a\nb-1\n"}, "utt2spk:3: 'b-1' has no value"),
        ({"utt2spk": "a-1 a\na-2 a b\nb-1 b\n"}, "utt2spk:2: 'a-2' has more than one speaker"),
        ({"spk2utt": "a a-1\nb b-1\n"}, "utt2spk:2: 'a-2' is not in spk2utt"),
        ({"spk2utt": "a a-1\nb a-2 b-1\n"}, "spk2utt:2: 'a-2' is of 'a' in utt2spk, not 'b'"),
        ({"spk2utt": "a a-1 a-2 a-2\nb b-1\n"}, "spk2utt:1: 'a-2' is listed twice"),
        ({"spk2utt": "a a-1 a-2 a-3\nb b-1\n"}, "spk2utt:1: 'a-3' is not in utt2spk"),
        ({"segments": "a-1 r1 0 1\na-2 r3 0 1\nb-1 r2 0 1\n"}, "segments:2: recording 'r3' is not in wav.scp"),
        ({"segments": "a-1 r1 0 1\na-2 r1 0\nb-1 r2 0 1\n"}, "segments:2: 'a-2': expected 'UTTERANCE RECORDING"),
        ({"segments": "a-1 r1 0 x\na-2 r1 0 1\nb-1 r2 0 1\n"}, "segments:1: 'a-1': expected 'UTTERANCE RECORDING"),
        ({"segments": "a-1 r1 0.5 0.5\na-2 r1 0 1\nb-1 r2 0 1\n"}, "segments:1: 'a-1': from 0.5 to 0.5 s is no"),
        ({"segments": "a-1 r1 nan 0.5\na-2 r1 0 1\nb-1 r2 0 1\n"}, "segments:1: 'a-1': from nan to 0.5 s is no"),
        ({"segments": None}, "wav.scp:1: 'r1' is not in utt2spk"),
        ({"feats__scp": "a-1 x.ark:3\n"}, "segments:2: 'a-2' is not in feats.scp"),
        ({"spk2gender": "a f\n"}, "spk2utt:2: 'b' is not in spk2gender"),
    ],
)
def test_every_mistake_has_file_and_line(tmp_path: Path, wav: Path, changes: dict, message: str) -> None:
    with pytest.raises(DataError) as e:
        read_kaldi_dir(make_dir(tmp_path, wav, **changes))
    assert message in str(e.value) and str(e.value).startswith(str(tmp_path)) and "\n" not in str(e.value)


def test_ids_that_only_look_alike(tmp_path: Path, wav: Path) -> None:
    files = {"wav.scp": f"é-1 {wav}\n", "text": "e\u0301-1 A\n", "utt2spk": "é-1 é\n", "spk2utt": "é é-1\n"}
    for name, content in files.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    hint = r"; one that looks like it is, but its letters are composed of other characters \(NFC, NFD\)"
    with pytest.raises(DataError, match=rf"'é-1' is not in text{hint}.*'e\u0301-1' is not in wav.scp{hint}"):
        read_kaldi_dir(tmp_path)
    assert any(re.search(f"it has no audio{hint}", p.message) for p in check_kaldi_dir(tmp_path, Limits()).problems)


def test_all_mistakes_are_counted(tmp_path: Path, wav: Path) -> None:
    make_dir(tmp_path, wav, text="z X\ny X\n", spk2utt="a a-9\n")
    with pytest.raises(DataError, match=r"10 problems: .*\(and 7 more\)"):
        read_kaldi_dir(tmp_path)
    with pytest.raises(DataError, match="no Kaldi data folder"):
        read_kaldi_dir(tmp_path / "gone")


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("text", lambda raw: b"\xef\xbb\xbf" + raw, "1 problem: text:1: begins with a byte-order mark"),
        ("utt2spk", lambda raw: b"\xef\xbb\xbf" + raw, "1 problem: utt2spk:1: begins with a byte-order mark"),
        (
            "text",
            lambda raw: raw + "c-1 é\n".encode("latin-1"),
            r"1 problem: text is not UTF-8 text \(line 4, byte 0xe9",
        ),
        ("wav.scp", lambda raw: raw.decode().encode("utf-16"), "1 problem: wav.scp is UTF-16 text"),
    ],
)
def test_encodings_are_named_not_their_consequences(tmp_path: Path, wav: Path, name, change, message) -> None:
    path = make_dir(tmp_path, wav) / name
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DataError, match=message):
        read_kaldi_dir(tmp_path)


def test_segments_and_recordings(tmp_path: Path, wav: Path, caplog: pytest.LogCaptureFixture) -> None:
    tail = "a-2 r1 0 1\nb-1 r2 0 1\n"
    data = read_kaldi_dir(make_dir(tmp_path, wav, segments=f"a-1 r1 0.5 1.4\n{tail}"))
    split = import_split(data, tmp_path / "audio")
    assert (split.supervisions[0].duration, "1 segments outlast" in caplog.text) == (0.5, True)
    for line, message in (
        ("a-1 r1 0.5 1.6", "'a-1' ends at 1.6 s, its recording 'r1' at 1.000 s"),
        ("a-1 r1 1.0 1.2", "'a-1' ends at 1.2 s, its recording 'r1' at 1.000 s"),
        ("a-1 r1 0.5 1.0 1", "'a-1': recording 'r1' has 1 channels"),
    ):
        data = read_kaldi_dir(make_dir(tmp_path, wav, segments=f"{line}\n{tail}"))
        with pytest.raises(DataError, match=message):
            import_split(data, tmp_path / "audio")


def test_two_channels_need_segments(tmp_path: Path) -> None:
    stereo = tmp_path / "stereo.wav"
    soundfile.write(str(stereo), np.zeros((800, 2)), 8000)
    whole = {"wav__scp": f"a {stereo}\n", "text": "a X\n", "utt2spk": "a a\n", "spk2utt": "a a\n", "segments": None}
    with pytest.raises(DataError, match="'a': recording 'a' has 2 channels"):
        import_split(read_kaldi_dir(make_dir(tmp_path / "d", stereo, **whole)), tmp_path)
    make_dir(tmp_path / "d", stereo, **(whole | {"segments": "a a 0 0.05\n"}))
    with pytest.raises(DataError, match="'a': recording 'a' has 2 channels; name an existing one in the fifth column"):
        import_split(read_kaldi_dir(tmp_path / "d"), tmp_path)
    for channel, number in (("1", 1), ("B", 1), ("A", 0)):
        make_dir(tmp_path / "d", stereo, **(whole | {"segments": f"a a 0 0.05 {channel}\n"}))
        split = import_split(read_kaldi_dir(tmp_path / "d"), tmp_path)
        assert make_cuts(split)[0].channel == number
        export_split(split, tmp_path / "again")
        assert import_split(read_kaldi_dir(tmp_path / "again"), tmp_path) == split


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
    assert "data/cmvn.scp is not used: stage 2 computes means and variances itself" in capsys.readouterr().err


def test_relative_paths_are_of_the_current_folder(tmp_path: Path, wav: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = read_kaldi_dir(make_dir(tmp_path / "data", wav, wav__scp=f"r1 {wav.name}\nr2 {wav.name}\n"))
    monkeypatch.chdir(wav.parent)
    assert import_split(data, tmp_path).recordings[0].sources[0].source == str(wav)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=f"wav.scp: 2 problems: no audio file {tmp_path}/one second.wav"):
        import_split(data, tmp_path)


# ---- pipes


def test_pipes_are_refused_unless_allowed(tmp_path: Path, wav: Path) -> None:
    witness = tmp_path / "was run"
    pipe = f"touch {shlex.quote(str(witness))}; cat {shlex.quote(str(wav))} |"
    data = read_kaldi_dir(make_dir(tmp_path / "data", wav, wav__scp=f"r1 {pipe}\nr2 {wav}\n"))
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
        data = read_kaldi_dir(make_dir(tmp_path / "data", wav, wav__scp=f"r1 {command} |\nr2 {wav}\n"))
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


# ---- round trips


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("rec ordings")
    paths = []
    for n, (rate, end) in enumerate(((8000, "wav"), (16000, "flac"), (11025, "wav"))):
        path = folder / f"it's {n}.{end}"
        soundfile.write(str(path), np.linspace(-0.5, 0.5, rate + 100 * n + 7), rate)
        paths.append(path)
    return paths


ids = st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1, max_size=6).filter(lambda s: s.strip() == s)
utterance_ids = ids.filter(lambda s: not set("()") & set(s))
texts = st.lists(ids, max_size=4).map(" ".join)


@st.composite
def splits(draw: st.DrawFn, paths: list[Path]) -> Split:
    names = draw(st.lists(utterance_ids, min_size=1, max_size=4, unique=True))
    recordings = {name: probe(draw(st.sampled_from(paths)), name) for name in names}
    with_language = draw(st.booleans())
    with_gender = draw(st.booleans())
    supervisions = []
    if draw(st.booleans()):
        pieces = [(name, name, 0.0, recordings[name].duration) for name in names]
    else:
        pieces = []
        for utt in draw(st.lists(utterance_ids, min_size=1, max_size=5, unique=True)):
            name = draw(st.sampled_from(names))
            begin = draw(st.integers(0, 900)) / 1000
            if draw(st.booleans()):
                pieces.append((utt, name, 0.0, recordings[name].duration))
                continue
            pieces.append((utt, name, begin, round(draw(st.integers(1, 1000 - int(begin * 1000))) / 1000, 3)))
    for utt, name, start, duration in pieces:
        speaker = draw(ids)
        supervisions.append(
            SupervisionSegment(
                id=utt,
                recording_id=name,
                start=start,
                duration=duration,
                channel=0,
                text=draw(texts),
                speaker=speaker,
                language=draw(ids) if with_language else None,
                gender="fm"[len(speaker) % 2] if with_gender else None,
            )
        )
    return Split(list(recordings.values()), supervisions)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_import_of_an_export_is_the_same(tmp_path_factory: pytest.TempPathFactory, audio: list[Path], data) -> None:
    split = data.draw(splits(audio))
    folder = tmp_path_factory.mktemp("data")
    export_split(split, folder)
    again = import_split(read_kaldi_dir(folder), folder / "audio")
    assert by_id(again.recordings) == by_id(split.recordings)
    assert by_id(again.supervisions) == by_id(split.supervisions)
    assert make_cuts(again) == make_cuts(split)
    # Once more, on the files; and they are sorted as LC_ALL=C sort would.
    export_split(again, folder / "second")
    for path in (folder / "second").iterdir():
        content = path.read_bytes()
        assert content == (folder / path.name).read_bytes()
        lines = content.split(b"\n")[:-1]
        assert lines == sorted(lines, key=lambda line: line.split(b" ")[0])


def test_exported_files_pass_the_sort_of_the_shell(tmp_path: Path, wav: Path) -> None:
    make_dir(tmp_path / "in", wav)
    export_split(import_split(read_kaldi_dir(tmp_path / "in"), tmp_path), tmp_path / "out")
    for name in ("wav.scp", "segments", "text", "utt2spk", "spk2utt"):
        subprocess.run(
            ["sort", "-c", "-k1,1", tmp_path / "out" / name], env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"}, check=True
        )
    assert (tmp_path / "out" / "segments").read_text() == FILES["segments"].replace("-1\nb-1", "1.00\nb-1")


def test_an_export_replaces_an_older_one(tmp_path: Path, wav: Path) -> None:
    split = import_split(read_kaldi_dir(make_dir(tmp_path / "in", wav)), tmp_path)
    export_split(split, tmp_path / "out")
    assert (tmp_path / "out" / "segments").exists()
    recording = probe(wav, "a-1")
    whole = fastcopy(split.supervisions[0], recording_id="a-1", duration=1.0)
    export_split(Split([recording], [whole]), tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["spk2utt", "text", "utt2spk", "wav.scp"]
    assert (tmp_path / "out" / "wav.scp").read_text() == f"a-1 {wav}\n"


def test_what_a_folder_cannot_hold_is_refused(tmp_path: Path, wav: Path) -> None:
    split = import_split(read_kaldi_dir(make_dir(tmp_path / "in", wav)), tmp_path)
    with pytest.raises(DataError, match="utterance a-1 is of recording r1, which is not in the recordings"):
        export_split(Split([], split.supervisions), tmp_path / "out")
    fast = [r.perturb_speed(1.1) for r in split.recordings]
    with pytest.raises(DataError, match="is transformed on the fly"):
        export_split(Split(fast, split.supervisions), tmp_path / "out")
    ogg = wav.with_suffix(".ogg")
    soundfile.write(str(ogg), np.zeros(8000), 8000)
    with pytest.raises(DataError, match=r"Kaldi reads 16-bit wav, and 16-bit flac .*, but not .*\.ogg \(OGG"):
        export_split(Split([probe(ogg, r.id) for r in split.recordings], split.supervisions), tmp_path / "out")
    with pytest.raises(DataError, match="is not one audio file"):
        export_split(Split([r.move_to_memory() for r in split.recordings], split.supervisions), tmp_path / "out")
    for changes, message in (({"id": "a 1"}, "'a 1' cannot be an id"), ({"text": "A\nB"}, "has a line break")):
        with pytest.raises(DataError, match=message):
            export_split(Split(split.recordings, [fastcopy(split.supervisions[0], **changes)]), tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "kind", "samples"),
    [("a.wav", "OGG", "VORBIS"), ("a.wav", "WAV", "FLOAT"), ("a.wav", "WAV", "PCM_24"), ("a.flac", "FLAC", "PCM_24")],
)
def test_audio_that_kaldi_does_not_read(tmp_path: Path, name: str, kind: str, samples: str) -> None:
    soundfile.write(str(tmp_path / name), np.zeros(8000), 8000, format=kind, subtype=samples)
    whole = SupervisionSegment("a", "a", 0.0, 1.0, text="A", speaker="a")
    with pytest.raises(DataError, match=rf"{name} \({kind} of {samples}\): convert it"):
        export_split(Split([probe(tmp_path / name, "a")], [whole]), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_goes_by_the_content(tmp_path: Path) -> None:
    for name, kind in (("a.flac", "WAV"), ("b.wav", "FLAC")):
        soundfile.write(str(tmp_path / name), np.zeros(8000), 8000, format=kind)
    split = Split(
        [probe(tmp_path / "a.flac", "a"), probe(tmp_path / "b.wav", "b")],
        [SupervisionSegment(i, i, 0.0, 1.0, text="A", speaker=i) for i in "ab"],
    )
    export_split(split, tmp_path / "out")
    entries = f"a {tmp_path}/a.flac\nb flac -c -d -s {tmp_path}/b.wav |\n"
    assert (tmp_path / "out/wav.scp").read_text() == entries


def test_features_are_exported_and_all_or_nothing_is(tmp_path: Path, wav: Path) -> None:
    split = import_split(read_kaldi_dir(make_dir(tmp_path / "in", wav)), tmp_path)
    matrices = {i: np.full((4, 3), n, np.float32) for n, i in enumerate(("a-1", "a-2", "b-1"))}
    export_split(split, tmp_path / "out", matrices.items())
    read = dict(read_matrices(tmp_path / "out" / "feats.scp"))
    assert list(read) == list(matrices) and all(np.array_equal(read[i], matrices[i]) for i in read)
    assert read_kaldi_dir(tmp_path / "out").feats.keys() == matrices.keys()
    before = {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}
    split.supervisions[0].text = "ANOTHER"
    matrices["b-1"] = np.full((4, 3), np.nan, np.float32)
    for folder in ("out", "new"):
        with pytest.raises(DataError, match="b-1: the features hold NaN"):
            export_split(split, tmp_path / folder, matrices.items())
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()} == before
    assert not (tmp_path / "new").exists()
    export_split(split, tmp_path / "out")
    assert not (tmp_path / "out" / "feats.scp").exists()


@pytest.mark.corpora
def test_an4_through_kaldi_and_back(corpora: Path, tmp_path: Path) -> None:
    from asrpar.corpus.corpora import an4, librispeech

    split = an4.prepare(corpora / "an4", tmp_path)["train"]
    export_split(split, tmp_path / "an4")
    assert not (tmp_path / "an4" / "segments").exists()
    again = import_split(read_kaldi_dir(tmp_path / "an4"), tmp_path)
    assert again == split
    split = librispeech.prepare_part(corpora / "librispeech_fixture", "test-clean")
    export_split(split, tmp_path / "libri")
    assert "flac -c -d -s" in (tmp_path / "libri" / "wav.scp").read_text()
    again = import_split(read_kaldi_dir(tmp_path / "libri"), tmp_path)
    assert (by_id(again.recordings), by_id(again.supervisions)) == (by_id(split.recordings), by_id(split.supervisions))
