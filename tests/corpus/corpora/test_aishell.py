"""AISHELL-1 in its nested archives, unpacked in place, whole and in part, and what is refused."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from trees.aishell import Utterance, unpack_in_place, write_aishell

from asrpar.corpus.corpora import aishell
from asrpar.errors import AsrparError, DataError

WAV, TRANSCRIPT = aishell.WAV, aishell.TRANSCRIPT
ROWS = [
    ("BAC009S0002W0122", "train", "今天 天气 很 好"),
    ("BAC009S0002W0123", "train", "Ｔ 恤 ｋ 歌"),
    ("BAC009S0002W0124", "train", ""),
    ("BAC009S0724W0122", "dev", "明天"),
    ("BAC009S0764W0122", "test", "今天"),
]


def tone() -> np.ndarray:
    return (3000 * np.sin(np.arange(4000) * 0.1)).astype(np.int16)


def tree(folder: Path, rows: list[tuple[str, str, str]] = ROWS) -> Path:
    return write_aishell(folder, [Utterance(utt, utt[6:11], split, tuple(t.split()), tone) for utt, split, t in rows])


def prepared(folder: Path, work: Path, partial: bool = True) -> dict[str, list[tuple[str, str, str]]]:
    splits = aishell.prepare(folder, work, partial=partial)
    for split in splits.values():
        for recording in split.recordings:
            np.testing.assert_array_equal((recording.load_audio()[0] * 32768).astype(np.int16), tone())
    return {name: [(s.id, s.speaker, s.text) for s in split.supervisions] for name, split in splits.items()}


EXPECTED = {
    "train": [("BAC009S0002W0122", "S0002", "今天 天气 很 好"), ("BAC009S0002W0123", "S0002", "T 恤 K 歌")],
    "dev": [("BAC009S0724W0122", "S0724", "明天")],
    "test": [("BAC009S0764W0122", "S0764", "今天")],
}


def files(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_archives_are_opened_elsewhere_and_stay(tmp_path, caplog):
    corpus, work = tree(tmp_path / "corpus"), tmp_path / "audio"
    before = files(corpus)
    assert prepared(corpus, work) == EXPECTED
    assert "1 of 5 recordings have no transcript and are left out, such as BAC009S0002W0124" in caplog.text
    assert files(corpus) == before
    again = files(work)
    assert prepared(corpus, work) == EXPECTED and files(work) == again


@pytest.mark.parametrize("keep", [True, False])
def test_a_copy_that_is_unpacked_in_place(tmp_path, keep):
    corpus = tree(tmp_path / "corpus")
    unpack_in_place(corpus, keep=keep)
    for _ in range(2):
        assert prepared(corpus, tmp_path / "audio") == EXPECTED
    assert not list((tmp_path / "audio").rglob("*.wav"))


def test_a_copy_of_which_some_speakers_are_unpacked(tmp_path):
    corpus = tree(tmp_path / "corpus")
    unpack_in_place(corpus, keep=True)
    (corpus / WAV / "dev/S0724/BAC009S0724W0122.wav").unlink()
    (corpus / WAV / "dev/S0724").rmdir()
    assert prepared(corpus, tmp_path / "audio") == EXPECTED
    assert [path.name for path in (tmp_path / "audio").iterdir()] == ["S0724"]


def test_another_archive_is_unpacked_anew(tmp_path):
    corpus = tree(tmp_path / "corpus")
    prepared(corpus, tmp_path / "audio")
    tree(tmp_path / "other", [*ROWS, ("BAC009S0724W0125", "dev", "上海")])
    (tmp_path / "other").rename(tmp_path / "moved")
    assert prepared(tmp_path / "moved", tmp_path / "audio")["dev"][1:] == [("BAC009S0724W0125", "S0724", "上海")]


def test_counts_of_the_whole_corpus(tmp_path, monkeypatch):
    corpus = tree(tmp_path / "corpus")
    with pytest.raises(DataError) as error:
        aishell.prepare(corpus, tmp_path / "audio")
    assert "9 of 9 counts are not those of AISHELL-1" in str(error.value)
    assert "recordings: 5 instead of 141,925 (141,920 too few)" in str(error.value)
    assert "characters of test: 2 instead of 104,765 (104,763 too few)" in str(error.value)
    monkeypatch.setattr(aishell, "SPLITS", {"train": (1, 2, None), "dev": (1, 1, 2), "test": (1, 1, 2)})
    monkeypatch.setattr(aishell, "RECORDINGS", 5)
    assert prepared(corpus, tmp_path / "audio", partial=False) == EXPECTED


def test_transcripts_without_recordings(tmp_path, caplog):
    corpus = tree(tmp_path / "corpus")
    (corpus / WAV / "S0724.tar.gz").unlink()
    with pytest.raises(DataError, match=r"1 transcripts of 1 speakers have no recording; the first: BAC009S0724W0122"):
        aishell.prepare(corpus, tmp_path / "audio")
    assert set(prepared(corpus, tmp_path / "audio")) == {"train", "test"}
    assert "1 of 4 transcripts have no recording here" in caplog.text


# ---- bad trees


def add_line(line: bytes):
    def change(corpus: Path) -> None:
        with (corpus / TRANSCRIPT).open("ab") as file:
            file.write(line)

    return change


def archive(name: str, speaker: str = "S0724"):
    """Another archive for ``speaker``, with one file of that name."""

    def change(corpus: Path) -> None:
        with tarfile.open(corpus / WAV / f"{speaker}.tar.gz", "w:gz") as tar:
            entry = tarfile.TarInfo(name)
            entry.size = 4
            tar.addfile(entry, io.BytesIO(b"RIFF"))

    return change


def cut(corpus: Path) -> None:
    path = corpus / WAV / "S0724.tar.gz"
    path.write_bytes(path.read_bytes()[:300])


def twice(corpus: Path) -> None:
    unpack_in_place(corpus, keep=False)
    (corpus / WAV / "dev/S0002").mkdir()
    (corpus / WAV / "dev/S0002/BAC009S0002W0122.wav").write_bytes(b"")


BAD = [
    pytest.param(lambda c: (c / TRANSCRIPT).unlink(), "no file data_aishell/transcript", id="no transcript"),
    pytest.param(cut, r"S0724.tar.gz is damaged", id="archive cut short"),
    pytest.param(archive("../../x.wav"), r"S0724.tar.gz is refused: it would write outside", id="archive that escapes"),
    pytest.param(archive("dev/S0725/BAC009S0725W0122.wav"), r"not hold {train,dev,test}/S0724", id="other speaker"),
    pytest.param(archive("dev/S0724/BAC009S0725W0122.wav"), r"is not named like BAC009S0724W0122", id="other name"),
    pytest.param(archive("dev/S0724/BAC009S0724W0122.wav"), r"BAC009S0724W0122.wav .*audio", id="no audio"),
    pytest.param(twice, "BAC009S0002W0122 lies in two places", id="in two sets"),
    pytest.param(add_line("BAC009S0764W0122 明天\n".encode()), "has a transcript already", id="duplicate"),
    pytest.param(add_line(b"BAC009S0764W0123\n"), ":5: the transcript is empty", id="empty transcript"),
    pytest.param(add_line("BAC009S0764W0123 一（二）\n".encode()), r"unexpected word '一\(二\)'", id="brackets"),
    pytest.param(add_line("S0764W0123 明天\n".encode()), "expected 'BAC009S0002W0999 TEXT'", id="other id"),
    pytest.param(add_line("BAC009S0764W0123 明天\n".encode("gbk")), "is not UTF-8", id="other encoding"),
    pytest.param(lambda c: (c / TRANSCRIPT).write_text("BAC009S0001W0001 一\n"), "none of 5 recordings", id="no texts"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_bad_trees_are_told_in_a_line(tmp_path, change, message):
    corpus = tree(tmp_path / "corpus")
    change(corpus)
    with pytest.raises(AsrparError, match=message) as error:
        aishell.prepare(corpus, tmp_path / "audio", partial=True)
    assert ("\n" not in str(error.value) and str(corpus) in str(error.value)) or "BAC009" in str(error.value)


def test_the_folder_is_told_where_a_neighbour_was_given(tmp_path):
    corpus = tree(tmp_path / "corpus")
    for folder, message in (
        (corpus / "data_aishell", f"give its parent {corpus}"),
        (tmp_path, "no folder data_aishell"),
    ):
        with pytest.raises(DataError, match=message):
            aishell.check(folder)
    (tmp_path / "data_aishell.tgz").touch()
    with pytest.raises(DataError, match=r"unpack .*data_aishell.tgz there"):
        aishell.check(tmp_path)


# ---- text and lexicon


@pytest.mark.parametrize(
    ("text", "normal"),
    [("今天 天气", "今天 天气"), ("ａ股 Ｂ超", "A股 B超"), ("t　恤", "T 恤"), ("二〇一五", "二〇一五")],
)
def test_text(text, normal):
    assert aishell.normalise(text) == normal == aishell.normalise(normal)


@pytest.mark.parametrize("text", ["", "3D", "一，二", "[n]一", "\ufeff一", "小·小"])
def test_text_that_no_transcript_has(text):
    with pytest.raises(DataError):
        aishell.normalise(text)


def test_the_dictionary_has_the_words_of_the_transcripts(tmp_path, caplog):
    corpus = tree(tmp_path / "corpus")
    with (corpus / aishell.LEXICON).open("a", encoding="utf-8") as file:
        file.write("二% q i1\nｔ恤 t i4 x v4\nT恤 t i4 x v4\n")
    aishell.dictionary(corpus, tmp_path / "manifests", tmp_path / "local")
    lines = (tmp_path / "local/lexicon.txt").read_text(encoding="utf-8").splitlines()
    assert lines.count("T恤 t i4 x v4") == 1 and lines == sorted(lines)
    assert not [line for line in lines if line.startswith(("SIL", "<", "二%"))]
    assert "1 entries are left out, which no transcript can have, such as 二%" in caplog.text
    (corpus / aishell.LEXICON).write_text("一\n", encoding="utf-8")
    with pytest.raises(DataError, match="expected 'WORD PHONE PHONE', found '一'"):
        aishell.dictionary(corpus, tmp_path / "manifests", tmp_path / "local")
    (corpus / aishell.LEXICON).unlink()
    with pytest.raises(AsrparError, match="asrpar download --corpus aishell --part resource"):
        aishell.dictionary(corpus, tmp_path / "manifests", tmp_path / "local")
