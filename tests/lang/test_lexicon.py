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
    # Where somebody says so, a number is a unit like any other.
    assert read(tmp_path, "ONE 1\n", format="lexicon") == [("ONE", 1.0, "1")]


MFA = """'bout\t0.99\t0.22\t1.0\t1.0\tB AW1 T
a\t0.9\t0.1\t1.3\t0.9\tAH0
a\t0.35\t0.1\t1.3\t0.9\tEY1
<cutoff>\tspn
"""


@pytest.mark.parametrize("name", ["english.dict", "lexicon.txt", "cmudict.dic"])
def test_the_format_is_seen_in_the_content(tmp_path, name):
    mfa = [("'bout", 0.99, "B AW T"), ("a", 0.9, "AH"), ("a", 0.35, "EY"), ("<cutoff>", 1.0, "spn")]
    assert read(tmp_path, MFA, name, strip_stress=True) == mfa
    # With a probability alone, for all words or where a column says so; Kaldi's lexiconp_silprob.txt.
    assert read(tmp_path, "a\t0.9\tAH\nb\tB IY\n", name) == [("a", 0.9, "AH"), ("b", 1.0, "B IY")]
    assert read(tmp_path, "a 0.9 0.1 1.3 0.9 AH\n", name) == [("a", 0.9, "AH")]
    # Our own LANG/lexicon.txt, which writes 1 for 1.0.
    assert read(tmp_path, "A 1 AH\nA 0.5 EY\n", name) == [("A", 1.0, "AH"), ("A", 0.5, "EY")]
    # Variants, comments.
    assert read(tmp_path, ";;; x\nA AH # y\nA(2) EY\nB(1) B IY\n", name) == [
        ("A", 1.0, "AH"),
        ("A", 1.0, "EY"),
        ("B", 1.0, "B IY"),
    ]
    assert read(tmp_path, "A 0.5 AH\nA(2) 0.25 EY\n", name)[1] == ("A", 0.25, "EY")


@pytest.mark.parametrize("format", ["auto", "lexicon", "lexiconp", "cmudict", "mfa"])
@pytest.mark.parametrize(
    "text",
    [
        "A AH 0.5\n",  # the probability at the end
        "A 0.5\n",
        "A 0.5 0.2 AH\n",
        "A 0.5 0.2 1.0 AH\n",
        "A 0.9 0.1 1.3 0.9 1.0 AH\n",
    ],
)
def test_numbers_of_no_format_never_become_units(tmp_path, text, format):
    with pytest.raises(DataError, match=r"lexicon.txt:1: .*(number|no pronunciation|expected a prob)"):
        read(tmp_path, text, format=format)


@pytest.mark.parametrize(
    ("text", "format", "message"),
    [
        (MFA, "cmudict", r":1: '0.99' in the pronunciation of ''bout' is a number, .* seems to be 'mfa'"),
        (MFA, "lexicon", r":1: '0.99' .* seems to be 'mfa'"),
        (MFA, "lexiconp", r":1: '0.22' .* seems to be 'mfa'"),
        (
            "A 0.5 AH\nB 1 B\n",
            "lexicon",
            r":1: '0.5' .* seems to be 'lexiconp' \(WORD prob P P\): set unit_settings",
        ),
        ("A 1 AH\n", "cmudict", r":1: '1' .* seems to be 'lexiconp'"),
        ("A AH\nB B\nC 0.5 K\n", "auto", r":3: 1 number follows the word 'C', and no number follows 'A' in line 1"),
        ("A 0.5 AH\nB B\n", "auto", r":2: no number follows the word 'B', and 1 number follows 'A' in line 1"),
        ("ONE 1\nTWO 2\n", "auto", r":1: numbers alone are the pronunciation of 'ONE'"),
        (
            "A a 1\n",
            "auto",
            r":1: '1' .* if numbers are units, set unit_settings.phones.format to lexicon",
        ),
        ("# words\nA AH\n", "auto", r":1: a comment\? They begin with ';;;'"),
        (";;; words\nA AH\n", "lexicon", r":1: a comment\?"),
        ("NEW YORK\tN UW Y AO R K\n", "auto", r":1: the word 'NEW YORK' has a space in it"),
        ("A 0.5 1 AH\nB 1 2 B\n", "auto", r":1: 2 numbers follow the word 'A', as in all lines: this is no format"),
        ("A 95% AH\nB 90% B\n", "auto", r":1: '95%' .* is a number, not a unit; probabilities are written as 0\.95"),
        ("A 0,95 AH\n", "lexicon", r":1: '0,95' .* is a number"),
        ("A ０．９ AH\n", "auto", r":1: '０．９' .* is a number"),
        ("A 95 AH\nB 5 B\n", "auto", r":1: .* 95 is not in \(0, 1\]: a percentage or a count\?"),
        ("A -0.1 AH\n", "lexiconp", r":1: .* -0\.1 is not in \(0, 1\]: a logarithm\?"),
        ("A AH\nA (2) EY\n", "auto", r":2: '\(2\)' stands apart from its word: write A\(2\)"),
        ("A [A] ah sp\nB [] b sp\n", "auto", r":1: each line has '\[A\]' between word and units \(HTK's"),
        ("A | AH\nB | B\n", "auto", r":1: each line has '\|' between word and units: take it out"),
        ("A, AH\nB, B\n", "auto", r":1: each line has ',' after the word"),
        ('"A" AH\n"B" B\n', "auto", r""":1: each line has '"' before the word"""),
        ("A /ə/\nB /b i/\n", "auto", r":1: each line has slashes around the units"),
        ("// words\nA AH\n", "auto", r":1: a comment\?"),
        ("A 2 AH\n", "auto", r":1: pronunciation probability 2 is not in \(0, 1\]"),
    ],
)
def test_what_does_not_fit_the_format(tmp_path, text, format, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, text, format=format)


def test_marks_that_only_some_lines_have_are_words_and_units(tmp_path):
    text = "@ a t\n/ / s\n(B b\n, k /\n= i\n妈 m a1\n% p @\n"
    assert len(read(tmp_path, text, format="auto")) == 7


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
    assert read(tmp_path, "A(2) EY\n", format="lexicon") == [("A(2)", 1.0, "EY")]


def test_duplicates_keep_the_likelier(tmp_path):
    assert read(tmp_path, "A 0.2 X\nA 0.9 X\nA 0.5 X\n", "lexiconp.txt") == [("A", 0.9, "X")]


def test_gzip(tmp_path):
    (tmp_path / "lexiconp.txt.gz").write_bytes(gzip.compress(b"A 0.5 X\n"))
    assert read_lexicon(tmp_path / "lexiconp.txt.gz").entries[0].prob == 0.5


@pytest.mark.parametrize(
    ("text", "format", "message"),
    [
        ("A X\nB\n", "auto", r"lexicon.txt:2: word 'B' has no pronunciation"),
        ("A X Y\n", "lexiconp", r":1: expected a probability after the word, found 'X'"),
        ("A\n", "lexiconp", r":1: expected a probability"),
        ("A 1.5 Y\n", "lexiconp", r":1: pronunciation probability 1.5 is not in \(0, 1\]"),
        ("A 0.5\n", "lexiconp", r":1: word 'A' has no pronunciation"),
        ("<s> SIL\n", "auto", r":1: '<s>' is a reserved word"),
        ("A #1\n", "auto", r":1: '#1' is a reserved unit"),
        ("\n\n", "auto", r"no pronunciations"),
    ],
)
def test_mistakes(tmp_path, text, format, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, text, format=format)


def test_disambiguate():
    prons = [("T", "UW"), ("T", "UW"), ("A",), ("A", "T"), ("B",), ("T", "UW", "N"), ("C", "D")]
    numbers, highest = disambiguate(prons)
    assert numbers == [1, 2, 1, 0, 0, 0, 0]
    assert highest == 2
    assert len({(*p, n) for p, n in zip(prons, numbers, strict=True)}) == len(prons)
    assert disambiguate([]) == ([], 0)
