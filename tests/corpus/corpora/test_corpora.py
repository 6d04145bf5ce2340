"""Preparation of the recipe corpora, on small copies of their layouts and on the real ones."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import CutSet, RecordingSet, SupervisionSet

from asrpar.corpus.corpora import an4, librispeech, mini_librispeech, yesno
from asrpar.corpus.manifests import check_recordings, write_manifests
from asrpar.corpus.registry import corpus_names, get_corpus
from asrpar.errors import ConfigError, DataError


def tone(path: Path, seconds: float = 0.3, rate: int = 16000, **options) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = (3000 * np.sin(np.arange(int(seconds * rate)) * 0.1)).astype(np.int16)
    soundfile.write(str(path), samples, rate, **options)


# ---- registry


def test_every_corpus_of_the_recipes_is_known() -> None:
    assert set(corpus_names()) >= {"aishell", "an4", "cmudict", "librispeech", "mini", "mini_librispeech", "yesno"}
    assert "cmudict" not in corpus_names(prepared=True)
    with pytest.raises(ConfigError, match="corpus 'libri_speech' is unknown; did you mean 'librispeech'"):
        get_corpus("libri_speech")


def test_every_archive_can_be_verified_and_found() -> None:
    for name in corpus_names():
        corpus = get_corpus(name)
        assert set(corpus.default_parts) <= set(corpus.parts)
        for archive in (a for part in corpus.parts.values() for a in part):
            assert archive.md5 or archive.sha256 or archive.content
            assert len(archive.md5 or "0" * 32) == 32 and len(archive.sha256 or "0" * 64) == 64
            assert all(url.startswith("https://") for url in archive.urls) and archive.provides
            assert archive.size is None or archive.size > 0


@pytest.mark.parametrize(
    ("name", "text", "normal"),
    [
        ("an4", " <s> Go  Rubout </s>", "GO RUBOUT"),
        ("an4", "YES\t", "YES"),
        ("yesno", "yes no", "YES NO"),
        ("librispeech", "IT'S  FINE", "IT'S FINE"),
    ],
)
def test_normalisers(name: str, text: str, normal: str) -> None:
    normalise = get_corpus(name).normalise
    assert normalise(text) == normal
    assert normalise(normal) == normal


@pytest.mark.parametrize(
    ("name", "text"), [("an4", "<s> </s>"), ("yesno", "YES MAYBE"), ("librispeech", "NUMBER 7"), ("librispeech", "")]
)
def test_normalisers_refuse(name: str, text: str) -> None:
    with pytest.raises(DataError):
        get_corpus(name).normalise(text)


# ---- AN4


def make_an4(root: Path, end: str = ".wav") -> Path:
    lists = {
        "train": [("fash", "an251-fash-b", "YES"), ("mabc", "cen1-mabc-b", "A B"), ("fash", "an253-fash-b", "GO")],
        "test": [("fcaw", "an406-fcaw-b", "RUBOUT G M")],
    }
    (root / "etc").mkdir(parents=True)
    for name, rows in lists.items():
        folder = "an4_clstk" if name == "train" else "an4test_clstk"
        marks = ("<s> ", " </s>") if name == "train" else ("", "")
        (root / "etc" / f"an4_{name}.fileids").write_text("".join(f"{folder}/{s}/{f}\n" for s, f, _ in rows))
        (root / "etc" / f"an4_{name}.transcription").write_text(
            "".join(f"{marks[0]}{t}{marks[1]} ({f})\n" for _, f, t in rows)
        )
        for speaker, stem, _ in rows:
            path = root / "wav" / folder / speaker / f"{stem}{end}"
            if end == ".sph":
                tone(path, format="NIST", subtype="PCM_16")
            elif end == ".raw":
                tone(path, format="RAW", subtype="PCM_16", endian="BIG")
            else:
                tone(path)
    return root


@pytest.mark.parametrize("end", [".wav", ".sph", ".raw"])
def test_an4_in_its_three_forms(tmp_path: Path, end: str) -> None:
    corpus = make_an4(tmp_path / "an4", end)
    splits = an4.prepare(corpus, tmp_path / "audio", dev_size=1)
    ids = {name: [s.id for s in split.supervisions] for name, split in splits.items()}
    assert ids == {
        "train": ["fash-an253-fash-b", "mabc-cen1-mabc-b"],
        "dev": ["fash-an251-fash-b"],
        "test": ["fcaw-an406-fcaw-b"],
    }
    assert [s.text for s in splits["train"].supervisions] == ["GO", "A B"]
    assert splits["test"].supervisions[0].text == "RUBOUT G M"
    recording = splits["test"].recordings[0]
    expected = (3000 * np.sin(np.arange(4800) * 0.1)).astype(np.int16)
    np.testing.assert_array_equal((recording.load_audio()[0] * 32768).astype(np.int16), expected)
    # Nothing was written where the corpus lies, and a second run decodes nothing again.
    assert (tmp_path / "audio").exists() == (end != ".wav")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "audio").rglob("*.wav")}
    an4.prepare(corpus, tmp_path / "audio", dev_size=1)
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "audio").rglob("*.wav")}


@pytest.mark.parametrize("name", ["an4_train.fileids", "an4_test.transcription"])
def test_an4_in_another_encoding(tmp_path: Path, name: str) -> None:
    corpus = make_an4(tmp_path / "an4")
    path = corpus / "etc" / name
    path.write_bytes(path.read_bytes() + "CAFÉ\n".encode("latin-1"))
    with pytest.raises(DataError, match=rf"{name} is not UTF-8 text \(line \d, byte 0xc9\)"):
        an4.prepare(corpus, tmp_path / "audio", dev_size=1)


def test_librispeech_in_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "1-2.trans.txt").write_bytes(b"1-2-0000 A\n1-2-0001 CAF\xc9\n")
    with pytest.raises(DataError, match=r"1-2\.trans\.txt is not UTF-8 text \(line 2"):
        librispeech.read_transcripts(tmp_path)


def test_an4_counts_what_is_missing(tmp_path: Path) -> None:
    corpus = make_an4(tmp_path / "an4")
    for path in (corpus / "wav" / "an4_clstk" / "fash").iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"2 problems in the train list; the first: no audio file .*an251-fash-b\.wav"):
        an4.prepare(corpus, tmp_path / "audio", dev_size=1)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("YES an409-fcaw-b", r"an4_test\.transcription:2: expected 'WORDS \(file-id\)'"),
        ("GO (an406-fcaw-b)", r"an4_test\.transcription:2: an406-fcaw-b has a transcript already"),
        ("GO (an999-fcaw-b)", "an999-fcaw-b has a transcript, but is not in an4_test.fileids"),
        (" (an999-fcaw-b)", r"an4_test\.transcription:2: the transcript is empty"),
    ],
)
def test_an4_refuses_odd_transcripts(tmp_path: Path, line: str, message: str) -> None:
    corpus = make_an4(tmp_path / "an4")
    with (corpus / "etc" / "an4_test.transcription").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(DataError, match=message):
        an4.prepare(corpus, tmp_path / "audio", dev_size=1)


def test_an4_needs_more_than_the_dev_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing is left to train on"):
        an4.prepare(make_an4(tmp_path / "an4"), tmp_path / "audio")


def test_checks_say_where_the_corpus_is(tmp_path: Path) -> None:
    make_an4(tmp_path / "an4")
    with pytest.raises(DataError, match=r"no folder etc/ in it; give .*/an4"):
        an4.check(tmp_path)
    with pytest.raises(DataError, match="give its parent"):
        an4.check(tmp_path / "an4" / "wav")
    (tmp_path / "waves_yesno").mkdir()
    with pytest.raises(DataError, match="give its parent"):
        yesno.check(tmp_path / "waves_yesno")
    with pytest.raises(DataError, match=r"should hold 60 recordings.* it has 0"):
        yesno.check(tmp_path)
    (tmp_path / "LibriSpeech").mkdir()
    with pytest.raises(DataError, match="give its parent"):
        mini_librispeech.check(tmp_path / "LibriSpeech")
    with pytest.raises(DataError, match="none of train-clean-5"):
        mini_librispeech.check(tmp_path)


# ---- yesno


def make_yesno(root: Path) -> Path:
    for n in range(60):
        tone(root / "waves_yesno" / ("_".join(f"{n * 4 + 1:08b}") + ".wav"), 0.1, 8000)
    return root


def test_yesno_splits(tmp_path: Path) -> None:
    splits = yesno.prepare(make_yesno(tmp_path), tmp_path / "audio")
    assert {name: len(split.supervisions) for name, split in splits.items()} == {"train": 24, "dev": 6, "test": 30}
    names = sorted(p.stem for p in (tmp_path / "waves_yesno").iterdir())
    assert [s.id for s in splits["test"].supervisions] == [f"global-{n}" for n in names[::2]]
    assert [s.id for s in splits["dev"].supervisions] == [f"global-{n}" for n in names[1::2][4::5]]
    first = splits["test"].supervisions[0]
    assert (first.id, first.speaker, first.text) == ("global-0_0_0_0_0_0_0_1", "global", "NO " * 7 + "YES")
    for split in splits.values():
        check_recordings(split, 8000)
        with pytest.raises(DataError, match=r"recordings are not 16000 Hz mono; the first is .*8000 Hz, 1 channels"):
            check_recordings(split, 16000)


def test_yesno_refuses_odd_names_and_silent_files(tmp_path: Path) -> None:
    make_yesno(tmp_path)
    last = tmp_path / "waves_yesno" / "1_1_1_0_1_1_0_1.wav"
    content = last.read_bytes()
    last.write_bytes(content[:44])
    with pytest.raises(DataError, match=r"1_1_1_0_1_1_0_1.wav holds no samples"):
        yesno.prepare(tmp_path, tmp_path / "audio")
    last.rename(last.with_name("maybe.wav"))
    with pytest.raises(DataError, match=r"maybe.wav is not named like"):
        yesno.prepare(tmp_path, tmp_path / "audio")


# ---- LibriSpeech


def make_libri(root: Path, part: str, speakers: list[int], utterances: int = 2) -> Path:
    for speaker in speakers:
        folder = root / "LibriSpeech" / part / str(speaker) / "7"
        lines = []
        for n in range(utterances):
            utt = f"{speaker}-7-{n:04d}"
            tone(folder / f"{utt}.flac", 0.2 + 0.1 * n)
            lines.append(f"{utt} IT'S {'VERY ' * n}FINE\n")
        (folder / f"{speaker}-7.trans.txt").write_text("".join(lines))
    return root


def test_mini_librispeech_divides_dev_by_speaker(tmp_path: Path) -> None:
    make_libri(tmp_path, "train-clean-5", [19, 226])
    make_libri(tmp_path, "dev-clean-2", [7312, 32, 100])
    splits = mini_librispeech.prepare(tmp_path, tmp_path / "audio")
    assert {name: split.speakers for name, split in splits.items()} == {
        "train": {"19", "226"},
        "dev": {"32", "7312"},
        "test": {"100"},
    }
    assert {r.id for r in splits["test"].recordings} == {"100-7-0000", "100-7-0001"}
    make_libri(tmp_path, "test-clean", [5])
    splits = mini_librispeech.prepare(tmp_path, tmp_path / "audio")
    assert splits["test"].speakers == {"5"} and len(splits["dev"].speakers) == 3
    assert set(mini_librispeech.prepare(tmp_path, tmp_path, ["train-clean-5"])) == {"train"}


def test_librispeech_joins_the_training_parts(tmp_path: Path) -> None:
    for n, part in enumerate(("train-clean-100", "train-other-500", "dev-clean", "dev-other", "test-clean")):
        make_libri(tmp_path, part, [n + 1])
    splits = librispeech.prepare(tmp_path, tmp_path / "audio", partial=True)
    assert {name: split.speakers for name, split in splits.items()} == {
        "train": {"1", "2"},
        "dev": {"3"},
        "dev_other": {"4"},
        "test": {"5"},
    }
    with pytest.raises(DataError, match="has no folder test-other; it has train-clean-100"):
        librispeech.prepare(tmp_path, tmp_path / "audio", ["test-other"])


def test_librispeech_compares_the_number_of_utterances(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_libri(tmp_path, "train-clean-100", [1, 2])
    make_libri(tmp_path, "dev-clean", [3])
    with pytest.raises(DataError) as error:
        librispeech.prepare(tmp_path, tmp_path / "audio")
    assert "2 of 2 counts are not those of LibriSpeech: utterances of train-clean-100: 4 instead of 28,539 (28,535" in (
        str(error.value)
    )
    monkeypatch.setitem(librispeech.PARTS, "dev-clean", librispeech.Part("dev", "", utterances=2))
    assert set(librispeech.prepare(tmp_path, tmp_path / "audio", ["dev-clean"])) == {"dev"}


def test_librispeech_refuses_what_lhotse_would_skip(tmp_path: Path) -> None:
    make_libri(tmp_path, "train-clean-5", [19], utterances=4)
    folder = tmp_path / "LibriSpeech" / "train-clean-5" / "19" / "7"
    flac = folder / "19-7-0001.flac"
    content = flac.read_bytes()
    flac.unlink()
    (folder / "19-7-0002.flac").rename(folder / "19-7-0009.flac")
    with pytest.raises(DataError, match=r"2 of 4 utterances have no audio; the first: .*19-7-0001\.flac"):
        librispeech.prepare_part(tmp_path, "train-clean-5")
    (folder / "19-7-0009.flac").rename(folder / "19-7-0002.flac")
    flac.write_bytes(content[:20])
    with pytest.raises(DataError, match=r"19-7-0001\.flac is not readable as audio"):
        librispeech.prepare_part(tmp_path, "train-clean-5")
    flac.write_bytes(content)
    (folder / "19-7-0008.flac").write_bytes(content)
    with pytest.raises(DataError, match=r"1 flac files have no transcript; the first: .*19-7-0008\.flac"):
        librispeech.prepare_part(tmp_path, "train-clean-5")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("19-7-0000 AGAIN", r"19-7\.trans\.txt:3: 19-7-0000 has a transcript already"),
        ("19-7-0002", r"19-7\.trans\.txt:3: the transcript is empty"),
        ("19-7-0002 WORD #", "unexpected word '#'"),
        ("AUDIO TEXT", "expected 'SPEAKER-CHAPTER-NUMBER TEXT'"),
    ],
)
def test_librispeech_refuses_odd_transcripts(tmp_path: Path, line: str, message: str) -> None:
    make_libri(tmp_path, "train-clean-5", [19])
    with (tmp_path / "LibriSpeech/train-clean-5/19/7/19-7.trans.txt").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(DataError, match=message):
        librispeech.read_transcripts(tmp_path / "LibriSpeech" / "train-clean-5")


# ---- the real ones


def check_manifests(folder: Path, sizes: dict[str, int], rate: int) -> dict[str, CutSet]:
    """The contract of stage 1."""
    sets = {}
    for split, size in sizes.items():
        recordings = RecordingSet.from_file(folder / f"recordings_{split}.jsonl.gz")
        supervisions = SupervisionSet.from_file(folder / f"supervisions_{split}.jsonl.gz")
        cuts = CutSet.from_file(folder / f"cuts_{split}.jsonl.gz").to_eager()
        ids = [c.id for c in cuts]
        assert len(ids) == size and ids == sorted(ids) == [s.id for s in supervisions]
        assert {r.id for r in recordings} == {s.recording_id for s in supervisions}
        for cut in cuts:
            (s,) = cut.supervisions
            assert cut.id == s.id and cut.id.startswith(s.speaker + "-") and cut.sampling_rate == rate
            assert s.text and s.text == s.text.upper() == " ".join(s.text.split())
            assert (s.start, s.duration) == (0, cut.duration) and cut.num_samples > 0
        sets[split] = cuts
    return sets


@pytest.mark.corpora
@pytest.mark.parametrize(
    ("name", "folder", "sizes", "rate"),
    [
        ("an4", "an4", {"train": 848, "dev": 100, "test": 130}, 16000),
        ("yesno", "yesno", {"train": 24, "dev": 6, "test": 30}, 8000),
        ("mini_librispeech", "mini_librispeech", {"train": 228, "dev": 20, "test": 26}, 16000),
        ("librispeech", "librispeech_fixture", {"test": 4}, 16000),
    ],
)
def test_real_corpora(corpora: Path, tmp_path: Path, name: str, folder: str, sizes: dict[str, int], rate: int) -> None:
    corpus = get_corpus(name)
    corpus.check(corpora / folder)
    options = {"partial": True} if corpus.counted else {}
    splits = corpus.prepare(corpora / folder, tmp_path / "audio", (), **options)
    for split in splits.values():
        check_recordings(split, corpus.sampling_rate)
    write_manifests(tmp_path / "manifests", splits)
    assert set(splits) == set(sizes)
    sets = check_manifests(tmp_path / "manifests", sizes, rate)
    first = next(iter(sets["test"]))
    assert first.load_audio().shape == (1, first.num_samples)
    if name == "an4":
        assert next(iter(sets["dev"])).id == "fash-an251-fash-b"
        lexicon = {line.split()[0] for line in (corpora / "an4/etc/an4.dic").read_text().splitlines() if line.strip()}
        words = Counter(w for cuts in sets.values() for c in cuts for w in c.supervisions[0].text.split())
        assert set(words) <= lexicon
        assert sum(len(c.supervisions[0].text.split()) for c in sets["test"]) == 773
    if name == "mini_librispeech":
        assert {c.supervisions[0].speaker for c in sets["dev"]} == {"32"}
        assert {c.supervisions[0].speaker for c in sets["test"]} == {"7312"}
        texts = librispeech.read_transcripts(corpora / folder / "LibriSpeech" / "train-clean-5")
        assert texts == {c.id: c.supervisions[0].text for c in sets["train"]}


@pytest.mark.corpora
def test_the_recorded_digest_of_an4_is_that_of_the_corpus(corpora: Path) -> None:
    from asrpar.corpus.unpack import content_digest

    # The copy for tests has other language models in etc/, so only the speech can be compared with the archive's.
    assert (
        content_digest(corpora / "an4", ("wav",)) == "c2b285ce4d0b212903e7566ef728c36d806f5227c01e309755e8537095884185"
    )


def test_manifests_are_the_same_bytes_each_time(tmp_path: Path) -> None:
    corpus = make_an4(tmp_path / "an4")
    for name in ("one", "two"):
        write_manifests(tmp_path / name, an4.prepare(corpus, tmp_path / "audio", dev_size=1))
    files = sorted(p.name for p in (tmp_path / "one").iterdir())
    kinds = ("cuts", "recordings", "supervisions")
    assert files == sorted(f"{k}_{s}.jsonl.gz" for k in kinds for s in ("train", "dev", "test"))
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert json.dumps(str(tmp_path))[1:-1] in str(RecordingSet.from_file(tmp_path / "one" / files[3])[0].sources)
