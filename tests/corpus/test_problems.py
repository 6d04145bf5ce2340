"""How problems of data are collected and told."""

import pytest

from asrpar.corpus.problems import Place, Problem, Problems, grouped
from asrpar.errors import DataError


def test_names_from_data_do_nothing_to_a_terminal():
    assert str(Problem("f", 1, "'a\nb\x1b[2J\x9bé\u200cی\ud800' is odd")) == (
        "f:1: 'a b\\x1b[2J\\x9bé\u200cی\\ud800' is odd"
    )


def test_ids_that_look_alike():
    data = Problems("x")
    data.check_order([("e\u0301", Place("f", 1)), ("é", Place("f", 2))])
    assert [(p.line, p.warning, p.message.partition(",")[0]) for p in data.problems] == [
        (2, True, "'é' looks like 'e\u0301' of line 1")
    ]
    data = Problems("x")
    # One of them is ASCII: KELVIN SIGN is composed to K.
    data.check_order(
        [("K", Place("f", 1)), ("a", Place("f", 2)), ("\u212a", Place("f", 3)), ("a", Place("f", 4))], False
    )
    assert [(p.line, p.warning, p.message.partition(",")[0]) for p in data.problems] == [
        (4, False, "'a' is a duplicate of line 2"),
        (3, True, "'\u212a' looks like 'K' of line 1"),
    ]


def test_many_of_a_kind_are_told_by_the_first_and_a_count():
    same = [Problem("utt2spk", n, f"id 'u{n}' is not like 's{n}', so", warning=True) for n in range(1, 3001)]
    other = Problem("utt2spk", 7, "id 'u7' is something else", warning=True)
    errors = [Problem("text", n, f"'u{n}' has {n} words") for n in range(1, 31)]
    kept = grouped([*errors, *same[:7], other, *same[7:]], most=20)
    assert kept[:19] == errors[:19]
    assert kept[19].message == "'u20' has 20 words (and 10 more like this: 'u21', 'u22', 'u23', ...)"
    assert [str(p) for p in kept[20:]] == [
        "utt2spk:1: warning: id 'u1' is not like 's1', so (and 2999 more like this: 'u2', 'u3', 'u4', ...)",
        str(other),
    ]
    assert grouped(same[:2], 20) == same[:2]


def test_errors_are_refused_in_one_line():
    data = Problems("dir")
    data.warn(Place("dir/text", 1), "is odd")
    data.refuse()
    for n in range(1, 5):
        data.error(Place("dir/text", n), f"'u{n}' is wrong")
    with pytest.raises(DataError) as error:
        data.refuse(show=2, more="; see there")
    assert str(error.value) == "dir: 4 problems: text:1: 'u1' is wrong; text:2: 'u2' is wrong (and 2 more; see there)"
