import pytest

from asrpar.errors import DataError
from asrpar.lm.arpa import read_arpa


def test_oov_error(make):
    with pytest.raises(
        DataError, match=r"2 words have no pronunciation: BIRD CATX; extend the lexicon, or set oov.policy"
    ):
        make(["THE BIRD", "CATX THE"])


def test_words_that_the_lexicon_has_in_another_case(make, tmp_path):
    with pytest.raises(
        DataError, match=r"has 2 of them in another case \(unit_settings.phones.case brings it to one\)"
    ):
        make(["the Cat"])
    make(["the cat"], phones__case="lower")
    with pytest.raises(DataError, match=r"the lexicon has 1 of them with other invisible characters, such as U\+200B"):
        make(["THE\u200b CAT"])


def test_oov_unk(make, tmp_path):
    lang = make(["THE BIRD", "THE CAT"], oov__policy="unk")
    assert lang.encode("BIRD") == [lang.token_id("SPN")]
    assert lang.word_id("BIRD") == lang.word_id("<UNK>")
    lm = read_arpa(tmp_path / "lang/lm.arpa")
    assert ("THE", "<UNK>") in lm.grams[1]


def test_oov_skip(make, tmp_path):
    lang = make(["THE BIRD", "THE CAT"], oov__policy="skip")
    assert not lang.encode_variants("THE BIRD") and lang.encode_variants("THE CAT")
    assert sorted(read_arpa(tmp_path / "lang/lm.arpa").words) == ["CAT", "THE"]


def test_oov_spell(make):
    lang = make(["THE AX", "THE CAT"], oov__policy="spell")
    assert [lang.tokens[i] for i in lang.encode("AX")] == ["AH", "EH", "K", "S"]
    assert "AX" in lang.words
    assert lang.encode_variants("XAX") and not lang.encode_variants("BIRD")
    with pytest.raises(DataError, match="lacks letters of BIRD"):
        make(["THE BIRD"], oov__policy="spell")
