import unicodedata

import pytest
from data_checks import write_wav

from asrpar.corpus.checks.folders import check_paths
from asrpar.corpus.checks.report import DataSet
from asrpar.corpus.checks.text import check_texts
from asrpar.corpus.problems import Place


def warnings(*texts):
    data = DataSet("train", "data")
    check_texts(data, [(Place("text", n), f"u{n}", text) for n, text in enumerate(texts, 1)])
    assert all(p.warning for p in data.problems)
    return [str(p) for p in data.problems]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (unicodedata.normalize("NFD", "thé"), "letters that are not composed (NFC), here 'the\u0301'"),
        ("A\u200bB", "invisible characters, here U+200B ZERO WIDTH SPACE"),
        ("\ufeffA B", "invisible characters, here U+FEFF ZERO WIDTH NO-BREAK SPACE"),
        ("A\u00adB", "invisible characters, here U+00AD SOFT HYPHEN"),
        ("\u200fA", "invisible characters, here U+200F RIGHT-TO-LEFT MARK"),
        ("A\ufffdB", "control or damaged characters, here U+FFFD"),
        ("A\x01B", "control or damaged characters, here U+0001"),
        ("A\x85B", "control or damaged characters, here U+0085"),
        ("Ｂ超", "letters of another width or shape, or joined ones, here U+FF22 FULLWIDTH LATIN CAPITAL LETTER B"),
        ("ﬁne", "letters of another width or shape, or joined ones, here U+FB01"),
        ("\ufe8d\ufedf", "letters of another width or shape, or joined ones, here U+FE8D ARABIC LETTER ALEF ISOLATED"),
        ("می\u200c خواهم", "invisible characters, here U+200C ZERO WIDTH NON-JOINER"),
        ("a\u200db", "invisible characters, here U+200D ZERO WIDTH JOINER"),
        ("YES NO\u0421", "words of two alphabets, here 'NO\u0421'"),
        ("CAFÃ©", "letters that seem to be UTF-8 read as Latin-1, here 'Ã©'"),
        ("DONâ€™T", "letters that seem to be UTF-8 read as Latin-1"),
        ("A &amp; B", "characters written as in HTML, here '&amp;'"),
        ("DON&#39;T", "characters written as in HTML, here '&#39;'"),
        ("A { B / C }", "markup of trn files, here '{'"),
        ("SEND @ ONCE", "markup of trn files, here '@'"),
    ],
)
def test_one_warning_names_kind_character_and_utterances(text, said):
    (warning,) = warnings("GOOD", *[text] * 5, "GOOD")
    assert warning.startswith(f"text:2: warning: 5 transcripts have {said}")
    assert "(u2, u3, u4, ...)" in warning


def test_text_of_any_language_is_no_cause_to_warn():
    latin = ("DON'T <NOISE> A/B (LAUGHTER)", "ça über", "NÃO Âge", "AT&T; R&D")
    assert warnings(*latin, "ё щука", "設定（二十九度）、！", "नमस्ते", "ไทยน้ำ", "한국어") == []
    assert warnings("می\u200cخواهم", "क्\u200dष", "👨\u200d👩\u200d👧", "ا\u064eل") == []


def test_a_kaldi_folder_is_told_of_it(tmp_path):
    write_wav(tmp_path / "a.wav")
    for name, line in (
        ("wav.scp", f"a {tmp_path}/a.wav"),
        ("text", "a A\u200bB"),
        ("utt2spk", "a a"),
        ("spk2utt", "a a"),
    ):
        (tmp_path / name).write_text(line + "\n", encoding="utf-8")
    _, problems = check_paths([tmp_path])
    assert [(p.line, p.warning, p.message[:39]) for p in problems] == [
        (1, True, "1 transcript has invisible characters, ")
    ]
