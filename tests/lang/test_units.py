import random

import pytest

from asrpar.errors import DataError
from asrpar.lang.units.characters import Units as Characters
from asrpar.lang.units.contract import check_characters
from asrpar.lang.units.sentencepiece import Units as Sentencepiece


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
