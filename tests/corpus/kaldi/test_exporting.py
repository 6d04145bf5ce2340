"""Kaldi data folders out, and in again."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from kaldi_dirs import FILES, make_dir, read_kaldi
from lhotse import SupervisionSegment
from lhotse.utils import fastcopy

from asrpar.corpus.audio.files import probe
from asrpar.corpus.kaldi.ark import read_matrices
from asrpar.corpus.kaldi.exporting import export_split
from asrpar.corpus.kaldi.importing import import_split
from asrpar.corpus.manifests import Split, make_cuts
from asrpar.errors import DataError


def by_id(items: list) -> list:
    return sorted(items, key=lambda x: x.id)


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
    again = import_split(read_kaldi(folder), folder / "audio")
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
    export_split(import_split(read_kaldi(tmp_path / "in"), tmp_path), tmp_path / "out")
    for name in ("wav.scp", "segments", "text", "utt2spk", "spk2utt"):
        subprocess.run(
            ["sort", "-c", "-k1,1", tmp_path / "out" / name], env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"}, check=True
        )
    assert (tmp_path / "out" / "segments").read_text() == FILES["segments"].replace("-1\nb-1", "1.00\nb-1")


def test_an_export_replaces_an_older_one(tmp_path: Path, wav: Path) -> None:
    split = import_split(read_kaldi(make_dir(tmp_path / "in", wav)), tmp_path)
    export_split(split, tmp_path / "out")
    assert (tmp_path / "out" / "segments").exists()
    recording = probe(wav, "a-1")
    whole = fastcopy(split.supervisions[0], recording_id="a-1", duration=1.0)
    export_split(Split([recording], [whole]), tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["spk2utt", "text", "utt2spk", "wav.scp"]
    assert (tmp_path / "out" / "wav.scp").read_text() == f"a-1 {wav}\n"


def test_what_a_folder_cannot_hold_is_refused(tmp_path: Path, wav: Path) -> None:
    split = import_split(read_kaldi(make_dir(tmp_path / "in", wav)), tmp_path)
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
    split = import_split(read_kaldi(make_dir(tmp_path / "in", wav)), tmp_path)
    matrices = {i: np.full((4, 3), n, np.float32) for n, i in enumerate(("a-1", "a-2", "b-1"))}
    export_split(split, tmp_path / "out", matrices.items())
    read = dict(read_matrices(tmp_path / "out" / "feats.scp"))
    assert list(read) == list(matrices) and all(np.array_equal(read[i], matrices[i]) for i in read)
    assert read_kaldi(tmp_path / "out").feats.keys() == matrices.keys()
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
    again = import_split(read_kaldi(tmp_path / "an4"), tmp_path)
    assert again == split
    split = librispeech.prepare_part(corpora / "librispeech_fixture", "test-clean")
    export_split(split, tmp_path / "libri")
    assert "flac -c -d -s" in (tmp_path / "libri" / "wav.scp").read_text()
    again = import_split(read_kaldi(tmp_path / "libri"), tmp_path)
    assert (by_id(again.recordings), by_id(again.supervisions)) == (by_id(split.recordings), by_id(split.supervisions))
