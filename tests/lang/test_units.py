import random

import pytest

from asrpar.errors import ConfigError, DataError
from asrpar.lang.units import UNITS
from asrpar.lang.units.characters import Units as Characters
from asrpar.lang.units.contract import UnitInventory, check_characters
from asrpar.lang.units.sentencepiece import Units as Sentencepiece


def test_characters(make):
    lang = make(["THE CAT", "A ACT"], units="characters")
    assert lang.tokens == ["<blk>", "A", "C", "E", "H", "T", "▁"]
    ids = lang.encode("ACT THE")
    assert [lang.tokens[i] for i in ids] == list("▁ACT▁THE")
    assert lang.decode_tokens(ids) == ["ACT", "THE"]
    assert lang.encode("TEACH")  # any word of these letters
    assert not lang.encode_variants("DOG")


def test_characters_of_reserved_units(make):
    with pytest.raises(DataError, match="'#' is a reserved unit"):
        make(["THE #"], units="characters")


def test_characters_with_unk(make):
    lang = make(["THE CAT"], units="characters", oov__policy="unk")
    assert lang.encode("DOG") == [lang.token_id("SPN")]
    assert "<UNK>" in lang.words and lang.words[lang.word_id("DOG")] == "<UNK>"


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_sentencepiece(make, tmp_path, kind):
    texts = ["THE CAT SAT ON THE MAT", "THE DOG SAT", "A CAT AND A DOG AND A MAT"] * 5
    settings = {"units": "sentencepiece", "sentencepiece__vocab_size": 16, "sentencepiece__type": kind}
    lang = make(texts, **settings)
    assert lang.tokens[0] == "<blk>" and "<unk>" not in lang.tokens and lang.num_tokens == 16
    ids = lang.encode("THE DOG SAT ON A CAT")
    assert 0 not in ids and lang.decode_tokens(ids) == ["THE", "DOG", "SAT", "ON", "A", "CAT"]
    assert [t for w in ("THE", "DOG") for t in lang.lexicon.first(w)] == [
        lang.tokens[i] for i in lang.encode("THE DOG")
    ]
    assert not lang.encode_variants("QUIZ")
    first = (tmp_path / "lang/sentencepiece.model").read_bytes()
    make(texts, **settings)
    assert (tmp_path / "lang/sentencepiece.model").read_bytes() == first


def test_sentencepiece_too_many_units(make):
    with pytest.raises(ConfigError, match=r"unit_settings.sentencepiece.vocab_size: 500 does not suit the text"):
        make(["THE CAT"], units="sentencepiece", sentencepiece__vocab_size=500)


def test_position_dependent_phones(make):
    lang = make(["THE CAT", "A X"], phones__position_dependent="true")
    assert [lang.tokens[i] for i in lang.encode("A CAT THE")] == ["AH_S", "K_B", "AE_I", "T_E", "DH_B", "AH_E"]


@pytest.mark.parametrize("kind", ["unigram", "bpe", "char"])
def test_a_transcript_of_any_length_is_learnt_from(kind):
    # sentencepiece by itself leaves out what has more than 4,192 bytes; here that is all that has the letters of QUIZ.
    words = random.Random(1).choices(["QUIZ", "ZEBRA", "ÉTÉ"], k=1200)
    units = Sentencepiece.train([["THE", "CAT"], words], 15, kind)
    assert "".join(units.spell("QUIZ")) == "▁QUIZ" and "".join(units.spell("ÉTÉ")) == "▁ÉTÉ"


def test_only_long_transcripts(tmp_path):
    units = Sentencepiece.train([["YES", "NO"] * 1000], 8, "unigram")
    assert units.spell("YESNO") is not None


@pytest.mark.parametrize("word", ["A\u2585", "A\0B"])
def test_characters_that_sentencepiece_reserves_are_refused(word):
    with pytest.raises(DataError, match=r"has the character U\+\d{4}, which units cannot write"):
        Sentencepiece.train([["YES"], [word, "NO"]], 8, "unigram")


def test_rare_characters_are_kept():
    common = [list("ABCDEFGH")] * 3000
    units = Sentencepiece.train([*common, ["Ω"]], 11, "unigram")
    assert units.spell("Ω") is not None


def test_a_byte_order_mark_within_a_text_is_no_character():
    # Readers of tokens.txt and words.txt would skip it where it begins a line; texts of AISHELL have it.
    with pytest.raises(DataError, match=r"U\+FEFF.*take it out"):
        check_characters(["二", "\ufeff", "一"])


def test_a_word_cannot_hold_the_mark_of_a_words_beginning():
    with pytest.raises(DataError, match=r"'A▁B' has the character U\+2581"):
        check_characters(["A", "A▁B"])
    assert Characters("AB").spell("A▁B") == ("▁", "A", "▁", "B")  # which would read as two words


@pytest.mark.parametrize("kind", list(UNITS))
def test_every_kind_of_units_keeps_the_contract(make, tmp_path, kind):
    lang = make(["THE CAT", "A DOG"], units=kind, sentencepiece__vocab_size=10)
    units = UNITS.load(kind)
    assert issubclass(units, UnitInventory)
    assert lang.pronounce("CAT") == lang.lexicon.first("CAT") and set(lang.pronounce("CAT")) <= set(lang.tokens)
    # What `load` gives pronounces words outside the vocabulary.
    assert lang.pronounce("ACT" if not units.has_lexicon else "A") is not None
    if not units.has_lexicon:
        assert units.words(lang.pronounce("CAT") + lang.pronounce("A")) == ["CAT", "A"]


def test_other_units_leave_nothing_of_the_last_ones(make, tmp_path):
    def files():
        return {p.name for p in (tmp_path / "lang").glob("[!.]*")}

    common = {"files.sha256", "lang.yaml", "lexicon.txt", "lm.arpa", "tokens.txt", "words.txt"}
    make(["THE CAT X ZEBRA"])
    assert files() == common | {"targets_lexicon.txt"}
    make(["THE CAT", "A DOG"], units="sentencepiece", sentencepiece__vocab_size=10)
    assert files() == common | {"sentencepiece.model"}
    make(["THE CAT", "A DOG"], units="characters")
    assert files() == common
    # Nor does a folder of before there were digests.
    make(["THE CAT X ZEBRA"])
    (tmp_path / "lang/files.sha256").unlink()
    assert not make(["A CAT DOG THE X ZEBRA"]).encode_variants("BIRD") and files() == common
