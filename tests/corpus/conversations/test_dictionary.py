from pathlib import Path

import pytest
from telephone import DICTIONARY

from asrpar.corpus.conversations import dictionary, switchboard
from asrpar.corpus.conversations.words import Normaliser
from asrpar.errors import DataError


@pytest.fixture
def prons(tmp_path: Path) -> dictionary.Prons:
    (tmp_path / "dict").write_text(DICTIONARY)
    entries = switchboard.read_dictionary(tmp_path / "dict")
    return dictionary.lexicon(entries, Normaliser(switchboard.spelled_words(entries)))


def test_words_of_the_lexicon_are_those_of_the_text(prons):
    assert prons["i._b._m."] == [("ay", "b", "iy", "eh", "m")] and prons["t._v.s"][0][-1] == "z"
    assert prons["nasa"] == [("n", "ae", "s", "ax")]
    assert prons["yeah"] == [("y", "ae"), ("y", "eh", "ax")]  # with and without laughter
    assert prons["okay"] and prons["-y"] == [("iy",)] and prons["th-"] == [("dh",)] and prons["weirdly"]
    assert prons["[noise]"] == [("nsn",)] and prons["[laughter]"] == [("lau",)]
    assert prons["[vocalized-noise]"] == prons["<unk>"] == [("spn",)]
    assert prons["w."] == [("d", "ah", "b", "ax", "l", "y", "uw")]
    assert not any("at&t" in word or "[silence]" in word or "_1" in word for word in prons)


def test_words_of_fisher_are_looked_up_in_cmudict(prons, tmp_path: Path):
    path = tmp_path / "cmudict.dict"
    path.write_text(";;; comment\nread R EH1 D\nread(2) R IY1 D # verb\nread(3) R EH2 D\nbutton B AH1 T AH0 N\n")
    cmudict = dictionary.read_cmudict(path)
    assert cmudict["read"] == [("r", "eh", "d"), ("r", "iy", "d")]
    merged = dictionary._in_cmu_phones(prons)
    dictionary._add_words(merged, ["read", "button's", "x._y._z.", "unknown", "yeah"], cmudict)
    assert merged["nasa"] == [("n", "ae", "s", "ah")]
    assert merged["button's"] == [("b", "ah", "t", "ah", "n", "z")] and merged["x._y._z."][0][0] == "eh"
    assert "unknown" not in merged and merged["yeah"] == [("y", "ae"), ("y", "eh", "ah")]
    assert "ax" not in {phone for variants in merged.values() for phones in variants for phone in phones}
    path.write_text("read\n")
    with pytest.raises(DataError, match="1: 'read' has no pronunciation"):
        dictionary.read_cmudict(path)
