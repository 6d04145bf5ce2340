import pytest

from asrpar.corpus.conversations.acronyms import (
    LETTERS,
    is_spelled,
    letters_of,
    pronunciation,
    said_by_letters,
    spelled,
)


@pytest.mark.parametrize(
    ("word", "letters", "dotted"),
    [
        ("i._b._m.", ["i", "b", "m"], ["i.", "b.", "m."]),
        ("b.", ["b"], ["b."]),
        ("p._c.s", ["p", "c's"], ["p.", "c.'s"]),
        ("t._v.'s", ["t", "v's"], ["t.", "v.'s"]),
        ("ibm", None, None),
        ("i", None, None),
        ("th-", None, None),
        ("[noise]", None, None),
    ],
)
def test_letters_for_scoring(word, letters, dotted):
    assert letters_of(word) == letters
    assert letters_of(word, dots=True) == dotted
    assert is_spelled(word) == (letters is not None)


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
