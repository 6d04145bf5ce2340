import pytest

from asrpar.corpus.conversations.acronyms import LETTERS, is_spelled, pronunciation, said_by_letters, spelled
from asrpar.score.sctk.ctm import Spoken, split_acronym


@pytest.mark.parametrize(
    ("word", "letters", "dotted"),
    [
        ("i._b._m.", ["i", "b", "m"], ["i.", "b.", "m."]),
        ("b.", ["b"], ["b."]),
        ("p._c.s", ["p", "c's"], ["p.", "c.'s"]),
        ("t._v.'s", ["t", "v's"], ["t.", "v.'s"]),
        ("ibm", ["ibm"], ["ibm"]),
        ("th-", ["th-"], ["th-"]),
    ],
)
def test_scoring_splits_what_is_spelled_here(word, letters, dotted):
    for how, expected in (("letters", letters), ("dots", dotted)):
        assert [part.word for part in split_acronym(Spoken(word, 0.0, 1.0), how)] == expected
    assert is_spelled(word) == (letters != [word])


def test_spelling_and_pronunciation():
    assert spelled("IBM", "'s") == "i._b._m.'s"
    assert pronunciation("i._b._m.") == tuple("ay b iy eh m".split())  # noqa: SIM905
    assert pronunciation("c._e._o.'s") == ("s", "iy", "iy", "ow", "z")
    assert pronunciation("s.'s") == ("eh", "s", "ax", "z")
    assert pronunciation("f.s") == ("eh", "f", "s")
    assert pronunciation("ibm") is None
    assert len(LETTERS) == 26 and LETTERS["w"] == ("d", "ah", "b", "ax", "l", "y", "uw")


@pytest.mark.parametrize(
    ("letters", "suffix", "phones", "by_letters"),
    [
        ("ibm", "", "ay b iy eh m", True),
        ("pc", "s", "p iy s iy z", True),
        ("www", "", "d ah b el y uw d ah b ax l y uw d ah b el y uw", True),
        ("nasa", "", "n ae s ax", False),
        ("am", "", "ae m", False),
    ],
)
def test_words_that_are_spelled_are_known_by_their_pronunciation(letters, suffix, phones, by_letters):
    assert said_by_letters(letters, suffix, tuple(phones.split())) == by_letters
