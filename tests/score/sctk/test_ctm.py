"""Hypotheses as CTM: acronyms, what is left out, times."""

import pytest

from asrpar.corpus.conversations.acronyms import is_spelled, spelled
from asrpar.errors import DataError
from asrpar.score.sctk.ctm import Segment, Spoken, make_ctm, split_acronym, timed_words, what_is_not_scored

SEGMENTS = {"b": Segment("sw_1", "B", 2.0, 3.0), "a": Segment("sw_1", "A", 10.0, 11.5)}


def ctm(words, acronyms="letters"):
    return make_ctm(words, SEGMENTS, acronyms)


@pytest.mark.parametrize(
    ("word", "letters", "dots"),
    [
        ("i._b._m.", "i b m", "i. b. m."),
        # Kaldi's script for RT03 takes the dot before 's away; but its word map has A.'S, and no A'S.
        ("t._v.'s", "t v's", "t. v.'s"),
        ("p._c.s", "p c's", "p. c.'s"),
        ("i.", "i", "i."),
        ("u.'s", "u's", "u.'s"),
        ("I._B._M.", "i b m", "i. b. m."),
        ("i", "i", "i"),
        ("okay", "okay", "okay"),
        ("mr.", "mr.", "mr."),
        ("at&t", "at&t", "at&t"),
    ],
)
def test_acronyms(word, letters, dots):
    for acronyms, expected in (("letters", letters), ("dots", dots)):
        parts = split_acronym(Spoken(word, 1.0, 0.6), acronyms)
        assert [p.word for p in parts] == expected.split()
        assert parts[0].start == 1.0 and parts[-1].start + parts[-1].duration == pytest.approx(1.6)


def test_whatever_the_lexicon_spells_is_split():
    for suffix, end in (("", "m"), ("'s", "m's"), ("s", "m's")):
        word = spelled("ibm", suffix)
        assert is_spelled(word) and [p.word for p in split_acronym(Spoken(word, 0, 1), "letters")] == ["i", "b", end]


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("[noise]", "noises"),
        ("[LAUGHTER]", "noises"),
        ("<unk>", "noises"),
        ("uh", "hesitations"),
        ("%HESITATION", "hesitations"),
        ("th-", "fragments"),
        ("-kay", "fragments"),
        # Kaldi's expression takes out the first two, and leaves the third.
        ("slaughter", None),
        ("laughter", None),
        ("noise", None),
        ("uh-huh", None),
        ("a", None),
        ("-", None),
    ],
)
def test_what_is_not_scored(word, kind):
    assert what_is_not_scored(word) == kind


def test_times_are_those_of_the_call():
    words = {
        "b": [Spoken("so", 0.1, 0.2), Spoken("[noise]", 0.3, 0.1), Spoken("uh", 0.4, 0.1), Spoken("yes", 0.5, 0.25)],
        "a": [Spoken("t._v.'s", 0.5, 0.5)],
    }
    found = ctm(words)
    assert found.lines == [
        "sw_1 A 10.500 0.250 t\n",
        "sw_1 A 10.750 0.250 v's\n",
        "sw_1 B 2.100 0.200 so\n",
        "sw_1 B 2.500 0.250 yes\n",
    ]
    assert found.left_out == {"noises": 1, "hesitations": 1}


def test_words_are_cut_to_their_segment():
    words = {
        "b": [Spoken("one", -0.2, 0.4), Spoken("two", 0.9, 0.5), Spoken("three", 1.2, 0.1), Spoken("four", 1.3, 0)]
    }
    lines = [line.split() for line in ctm(words).lines]
    assert [(line[2], line[3], line[4]) for line in lines] == [
        ("2.000", "0.400", "one"),
        ("2.900", "0.100", "two"),
        ("2.999", "0.001", "three"),
        ("2.999", "0.000", "four"),
    ]


def test_utterances_without_segment_are_refused():
    with pytest.raises(DataError, match="utterance c was recognised, and is not in the manifests"):
        ctm({"c": [Spoken("so", 0.0, 0.1)]})


def test_times_of_the_decoding(tmp_path):
    (tmp_path / "times.ctm").write_text("b 1 0.100 0.200 so 0.9912\nb 1 0.400 0.100 yes 0.5\na 1 0.0 0.1 no\n")
    found, guessed = timed_words(tmp_path / "times.ctm", {"b": ["so", "yes"], "a": ["no", "no"]}, SEGMENTS)
    assert found["b"] == [Spoken("so", 0.1, 0.2), Spoken("yes", 0.4, 0.1)]
    # The words of a are others than those with times.
    assert guessed == ["a"] and found["a"] == [Spoken("no", 0.0, 0.75), Spoken("no", 0.75, 0.75)]
    assert timed_words(tmp_path / "none", {"b": []}, SEGMENTS) == ({"b": []}, [])
    (tmp_path / "times.ctm").write_text("b 1 0.100 so\n")
    with pytest.raises(DataError, match=r"times.ctm:1: expected 'UTTERANCE CHANNEL BEGIN DURATION WORD'"):
        timed_words(tmp_path / "times.ctm", {"b": ["so"]}, SEGMENTS)
