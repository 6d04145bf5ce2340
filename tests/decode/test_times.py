from asrpar.decode.lexicon import SILENCE_WORD
from asrpar.decode.times import token_runs, word_spans

LEXICON = {"TO": [(1, 2)], "TWO": [(1, 2)], "THE": [(3, 4), (3, 5)], "THEN": [(3, 4, 6)], SILENCE_WORD: [(9,)]}


def test_token_runs():
    assert token_runs([0, 1, 1, 0, 1, 2, 2, 0], 0) == [(1, 1, 3), (1, 4, 5), (2, 5, 7)]
    assert token_runs([], 0) == []


def test_lexicon_mends_late_labels():
    #            0  1  2  3  4  5  6  7
    alignment = [1, 0, 2, 0, 3, 4, 0, 6]
    # The labels come with the last token of each word.
    assert word_spans(token_runs(alignment, 0), ["TO", "THEN"], [2, 7], LEXICON) == [(0, 3), (4, 8)]
    # Without a lexicon the token before a label goes to the word before.
    assert word_spans(token_runs(alignment, 0), ["TO", "THEN"], [2, 7], None) == [(0, 6), (7, 8)]


def test_optional_silence_belongs_to_no_word():
    alignment = [9, 9, 1, 2, 0, 9, 3, 5, 9]
    assert word_spans(token_runs(alignment, 0), ["TWO", "THE"], [2, 6], LEXICON) == [(2, 4), (6, 8)]


def test_cut_tries_all_pronunciations():
    assert word_spans(token_runs([3, 4, 1, 2], 0), ["THE", "TO"], [0, 2], LEXICON) == [(0, 2), (2, 4)]
    assert word_spans(token_runs([3, 5, 3, 4], 0), ["THE", "THE"], [0, 2], LEXICON) == [(0, 2), (2, 4)]


def test_unfinished_path_falls_back_to_labels():
    assert word_spans(token_runs([1, 2, 3], 0), ["TO", "THE"], [0, 2], LEXICON) == [(0, 2), (2, 3)]


def test_word_without_tokens_has_no_length():
    assert word_spans(token_runs([1, 0, 2], 0), ["A", "B"], [0, 0], None) == [(0, 0), (0, 3)]
    assert word_spans(token_runs([0, 0], 0), ["A"], [1], None) == [(1, 1)]
    assert word_spans(token_runs([0, 0], 0), [], [], None) == []


def test_without_a_blank_each_frame_belongs_to_a_token():
    assert token_runs([0, 0, 1, 0, 2, 2], None) == [(0, 0, 2), (1, 2, 3), (0, 3, 4), (2, 4, 6)]
    lexicon = {"A": [(0, 1)], "B": [(2,)], SILENCE_WORD: [(3,)]}
    assert word_spans(token_runs([3, 0, 0, 1, 3, 2, 2], None), ["A", "B"], [1, 5], lexicon) == [(1, 4), (5, 7)]
    assert token_runs([1, 2, 2, 1], 2) == [(1, 0, 1), (1, 3, 4)]
