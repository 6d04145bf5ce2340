"""Kaldi data folders: what is read, and what is wrong with them."""

from pathlib import Path

import pytest
from kaldi_dirs import make_dir, read_kaldi

from asrpar.corpus.kaldi.folder import Segment
from asrpar.corpus.kaldi.importing import import_split
from asrpar.corpus.manifests import make_cuts
from asrpar.errors import DataError


def test_a_folder_is_read(tmp_path: Path, wav: Path) -> None:
    data = read_kaldi(make_dir(tmp_path, wav, spk2gender="a f\nb m\n", utt2lang="a-1 en\na-2 en\nb-1 de\n"))
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
        ({"text": "a-1 ONE\nb-1 THREE\n"}, "segments:2: utterance 'a-2' is not in text"),
        ({"text": "a-1 X\na-2 X\nb-1 X\nb-2 X\n"}, "text:4: utterance 'b-2' is not in segments"),
        ({"text": "a-2 X\na-1 X\nb-1 X\n"}, "text:2: unsorted: 'a-1' comes after 'a-2'; sort with LC_ALL=C"),
        ({"text": "a-1 X\na-2 X\na-2 Y\nb-1 X\n"}, "text:3: 'a-2' is a duplicate of line 2"),
        ({"text": "a-1 X\n\na-2 X\nb-1 X\n"}, "text:2: malformed: 0 fields; the form is `utterance word word ...`"),
        ({"text": ""}, "text: is empty"),
        ({"utt2spk": "a-1 a\na-2 a\nb-1\n"}, "utt2spk:3: malformed: 1 fields; the form is `utterance speaker`"),
        ({"utt2spk": "a-1 a\na-2 a b\nb-1 b\n"}, "utt2spk:2: malformed: 3 fields; the form is `utterance speaker`"),
        ({"spk2utt": "a a-1\nb b-1\n"}, "utt2spk:2: utterance 'a-2' is not in spk2utt"),
        ({"spk2utt": "a a-1\nb a-2 b-1\n"}, "spk2utt:2: utterance 'a-2' is of 'b' here and of 'a' in utt2spk (line 2)"),
        ({"spk2utt": "a a-1 a-2 a-2\nb b-1\n"}, "spk2utt:1: utterance 'a-2' is a duplicate of line 1"),
        ({"spk2utt": "a a-1 a-2 a-3\nb b-1\n"}, "spk2utt:1: utterance 'a-3' is not in utt2spk"),
        (
            {"segments": "a-1 r1 0 1\na-2 r3 0 1\nb-1 r2 0 1\n"},
            "segments:2: segment 'a-2' is of recording 'r3'",
        ),
        (
            {"segments": "a-1 r1 0 1\na-2 r1 0\nb-1 r2 0 1\n"},
            "segments:2: malformed: 3 fields; the form is",
        ),
        (
            {"segments": "a-1 r1 0 x\na-2 r1 0 1\nb-1 r2 0 1\n"},
            "segments:1: malformed: '0 x' are not two times",
        ),
        (
            {"segments": "a-1 r1 0.5 0.5\na-2 r1 0 1\nb-1 r2 0 1\n"},
            "segments:1: segment 'a-1' ends at 0.5 s, not",
        ),
        (
            {"segments": "a-1 r1 nan 0.5\na-2 r1 0 1\nb-1 r2 0 1\n"},
            "segments:1: malformed: 'nan 0.5' are not two",
        ),
        ({"segments": None}, "wav.scp:1: utterance 'r1' is not in utt2spk"),
        ({"feats__scp": "a-1 x.ark:3\n"}, "segments:2: utterance 'a-2' is not in feats.scp"),
        ({"spk2gender": "a f\n"}, "spk2utt:2: speaker 'b' is not in spk2gender"),
    ],
)
def test_every_mistake_has_file_and_line(tmp_path: Path, wav: Path, changes: dict, message: str) -> None:
    with pytest.raises(DataError) as e:
        read_kaldi(make_dir(tmp_path, wav, **changes))
    assert message in str(e.value) and str(e.value).startswith(str(tmp_path)) and "\n" not in str(e.value)


def test_ids_that_only_look_alike(tmp_path: Path, wav: Path) -> None:
    files = {"wav.scp": f"é-1 {wav}\n", "text": "e\u0301-1 A\n", "utt2spk": "é-1 é\n", "spk2utt": "é é-1\n"}
    for name, content in files.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    hint = r"; one that looks like it is, but its letters are composed of other characters \(NFC, NFD\)"
    with pytest.raises(DataError, match=rf"'é-1' is not in text{hint}.*'e\u0301-1' is not in wav.scp{hint}"):
        read_kaldi(tmp_path)


def test_all_mistakes_are_counted(tmp_path: Path, wav: Path) -> None:
    make_dir(tmp_path, wav, text="z X\ny X\n", spk2utt="a a-9\n")
    with pytest.raises(DataError, match=r"10 problems: .*\(and 7 more\)"):
        read_kaldi(tmp_path)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("text", lambda raw: b"\xef\xbb\xbf" + raw, "1 problem: text:1: begins with a byte-order mark"),
        ("utt2spk", lambda raw: b"\xef\xbb\xbf" + raw, "1 problem: utt2spk:1: begins with a byte-order mark"),
        (
            "text",
            lambda raw: raw + "c-1 é\n".encode("latin-1"),
            r"1 problem: text:4: is not valid UTF-8: byte 0xe9 at position 5",
        ),
        ("wav.scp", lambda raw: raw.decode().encode("utf-16"), "1 problem: wav.scp:1: is UTF-16 text"),
    ],
)
def test_encodings_are_named_not_their_consequences(tmp_path: Path, wav: Path, name, change, message) -> None:
    path = make_dir(tmp_path, wav) / name
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DataError, match=message):
        read_kaldi(tmp_path)
