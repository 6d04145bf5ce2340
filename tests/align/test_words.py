from types import SimpleNamespace

import numpy as np
import pytest

import asrpar.align.words
from asrpar.align.words import words_of
from asrpar.hmm.phones import Phones

KNOWN = Phones(("A", "B", "C", "SIL", "SPN"), (4, 5))
A, B, C, SIL, SPN = KNOWN.ids
LEXICON = {"AB": [(A, B), (B,)], "A": [(A,), (A, B)], "C": [(C,)], "UNK": [(SPN,)]}


@pytest.fixture(autouse=True)
def lexicon(monkeypatch):
    monkeypatch.setattr(
        asrpar.align.words, "pronunciations", lambda lang, word: [(units, 0.0) for units in LEXICON[word]]
    )


@pytest.mark.parametrize(
    ("text", "phones", "words"),
    [
        ("AB C", [SIL, A, B, SIL, C, SIL], [-1, 0, 0, -1, 1, -1]),
        ("A AB C", [A, B, C], [0, 1, 2]),  # the first A takes B only where something is left for AB
        ("A AB", [A, SIL, A, B], [0, -1, 1, 1]),
        ("AB UNK", [A, B, SPN, SIL], [0, 0, 1, -1]),
        ("", [SIL, SPN], [-1, -1]),
    ],
)
def test_words_of_phones(text, phones, words):
    found = words_of(np.array(phones), text, SimpleNamespace(split=str.split), KNOWN)
    assert found.tolist() == words


@pytest.mark.parametrize(("text", "phones"), [("AB C", [A, C]), ("C", [C, C]), ("C C", [C]), ("", [A])])
def test_phones_of_other_words(text, phones):
    assert words_of(np.array(phones), text, SimpleNamespace(split=str.split), KNOWN) is None
