from types import SimpleNamespace

import pytest

from asrpar.errors import DataError
from asrpar.hmm.phones import NONE, Phones


def test_ids_are_those_of_the_tokens_and_silence_comes_last():
    phones = Phones.of_lang(SimpleNamespace(tokens=["<blk>", "AA", "T"]))
    assert phones.names == ("AA", "T", "SIL") and list(phones.ids) == [1, 2, 3] and len(phones) == 3
    assert phones.silence == 3 and [phones.is_silence(p) for p in phones.ids] == [False, False, True]
    assert [phones.id(phones.name(p)) for p in (0, 1, 2, 3)] == [0, 1, 2, 3]
    assert phones.name(0) == NONE and phones.listed({3, 1, 0}) == f"{NONE} AA SIL"


def test_units_that_have_a_silence_keep_it():
    phones = Phones.with_silence(["SIL", "AA"])
    assert phones.names == ("SIL", "AA") and phones.silence == 1


@pytest.mark.parametrize(
    ("names", "silences", "message"),
    [
        (("A", "B C"), (1,), "'B C' cannot be the name of a phone"),
        ((NONE, "A"), (1,), "'<none>' cannot be"),
        (("A", "B", "A"), (1,), "two phones are called A"),
        (("A",), (), "need a silence"),
        (("A",), (2,), "need a silence"),
    ],
)
def test_phones_that_cannot_be(names, silences, message):
    with pytest.raises(DataError, match=message):
        Phones(names, silences)


def test_unknown_phones():
    with pytest.raises(DataError, match="'X' is not a phone"):
        Phones(("A",), (1,)).id("X")
