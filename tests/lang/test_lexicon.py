import gzip

import pytest

from asrpar.errors import DataError
from asrpar.lang.lexicon import disambiguate, read_lexicon


def read(tmp_path, text, name="lexicon.txt", **options):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return [(e.word, e.prob, " ".join(e.tokens)) for e in read_lexicon(path, **options).entries]


def test_kaldi_formats(tmp_path):
    assert read(tmp_path, "YES Y EH S\n\nYES Y AE\nNO\tN OW \n") == [
        ("YES", 1.0, "Y EH S"),
        ("YES", 1.0, "Y AE"),
        ("NO", 1.0, "N OW"),
    ]
    assert read(tmp_path, "YES 1 Y EH S\nYES 0.25 Y AE\n", "lexiconp.txt")[1] == ("YES", 0.25, "Y AE")
    assert read(tmp_path, "A 0.5 A\n", "x.txt", format="lexiconp") == [("A", 0.5, "A")]
    # In lexicon.txt a number is a unit like any other.
    assert read(tmp_path, "ONE 1\n") == [("ONE", 1.0, "1")]


def test_cmudict(tmp_path):
    text = (
        ";;; comment\naachen AA1 K AH0 N # place, german\na AH0\na(2) EY1\n'cause K AH0 Z\nthe DH AH0\nthe(2) DH AH1\n"
    )
    assert read(tmp_path, text, "cmudict.dict", case="upper", strip_stress=True) == [
        ("AACHEN", 1.0, "AA K AH N"),
        ("A", 1.0, "AH"),
        ("A", 1.0, "EY"),
        ("'CAUSE", 1.0, "K AH Z"),
        ("THE", 1.0, "DH AH"),  # the alternative differed in stress only
    ]
    assert read(tmp_path, "A(2) EY\n", "an4.dic") == [("A", 1.0, "EY")]
    assert read(tmp_path, "A(2) EY\n") == [("A(2)", 1.0, "EY")]


def test_duplicates_keep_the_likelier(tmp_path):
    assert read(tmp_path, "A 0.2 X\nA 0.9 X\nA 0.5 X\n", "lexiconp.txt") == [("A", 0.9, "X")]


def test_gzip(tmp_path):
    (tmp_path / "lexiconp.txt.gz").write_bytes(gzip.compress(b"A 0.5 X\n"))
    assert read_lexicon(tmp_path / "lexiconp.txt.gz").entries[0].prob == 0.5


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("A X\nB\n", "l.txt", r"l.txt:2: word 'B' has no pronunciation"),
        ("A X Y\n", "lexiconp.txt", r":1: expected a probability after the word, found 'X'"),
        ("A\n", "lexiconp.txt", r":1: expected a probability"),
        ("A 1.5 Y\n", "lexiconp.txt", r":1: pronunciation probability 1.5 is not in \(0, 1\]"),
        ("A 0.5\n", "lexiconp.txt", r":1: word 'A' has no pronunciation"),
        ("<s> SIL\n", "l.txt", r":1: '<s>' is a reserved word"),
        ("A #1\n", "l.txt", r":1: '#1' is a reserved unit"),
        ("\n\n", "l.txt", r"no pronunciations"),
    ],
)
def test_mistakes(tmp_path, text, name, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, text, name)


def test_disambiguate():
    prons = [("T", "UW"), ("T", "UW"), ("A",), ("A", "T"), ("B",), ("T", "UW", "N"), ("C", "D")]
    numbers, highest = disambiguate(prons)
    assert numbers == [1, 2, 1, 0, 0, 0, 0]
    assert highest == 2
    assert len({(*p, n) for p, n in zip(prons, numbers, strict=True)}) == len(prons)
    assert disambiguate([]) == ([], 0)
