"""The language of the synthetic corpus: its words, how they sound, and which sentences people say.

Phones are ARPAbet without stress. Where espeak-ng's accents differ audibly, the word has a second pronunciation.
"""

import numpy as np

DIGITS = ("ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE", "OH")
DIRECTIONS = ("LEFT", "RIGHT", "UP", "DOWN")

# The first pronunciation is the commonest one over the voices.
LEXICON: dict[str, tuple[str, ...]] = {
    "CALL": ("K AO L",),
    "CLOSE": ("K L OW Z",),
    "DOOR": ("D AO R", "D AO"),
    "DOWN": ("D AW N",),
    "EIGHT": ("EY T",),
    "FIVE": ("F AY V",),
    "FOUR": ("F AO R", "F AO"),
    "GO": ("G OW",),
    "LEFT": ("L EH F T",),
    "NINE": ("N AY N",),
    "NO": ("N OW",),
    "OH": ("OW",),
    "ONE": ("W AH N",),
    "OPEN": ("OW P AH N",),
    "RIGHT": ("R AY T",),
    "SEVEN": ("S EH V AH N",),
    "SIX": ("S IH K S",),
    "START": ("S T AA R T", "S T AA T"),
    "STOP": ("S T AA P",),
    "THREE": ("TH R IY",),
    "TURN": ("T ER N",),
    "TWO": ("T UW",),
    "UP": ("AH P",),
    "YES": ("Y EH S",),
    "ZERO": ("Z IH R OW",),
}

# espeak-ng reads CLOSE as the adjective, whatever stands around it; its homophone here is what a command means.
SPOKEN = {"CLOSE": "cloze"}


def spoken_text(words: list[str]) -> str:
    """What espeak-ng is asked to say for ``words``."""
    return " ".join(SPOKEN.get(word, word.lower()) for word in words)


def lexicon_text() -> str:
    """The lexicon in Kaldi's form: one ``WORD phone phone ...`` line for each pronunciation, sorted."""
    lines = [f"{word} {phones}" for word, variants in LEXICON.items() for phones in variants]
    return "\n".join(sorted(lines)) + "\n"


def draw_sentence(rng: np.random.Generator, num_words: int, digits_share: float) -> list[str]:
    """Draw a sentence of exactly ``num_words`` words.

    Args:
        rng: source of randomness.
        num_words: at least 1.
        digits_share: probability of a plain string of digits; otherwise commands follow each other.
    """
    if rng.random() < digits_share:
        return _digits(rng, num_words)
    words: list[str] = []
    while len(words) < num_words:
        words += _command(rng, num_words - len(words))
    return words


def _digits(rng: np.random.Generator, count: int) -> list[str]:
    return [DIGITS[i] for i in rng.integers(len(DIGITS), size=count)]


def _command(rng: np.random.Generator, room: int) -> list[str]:
    if room == 1:
        return [("START", "STOP", "YES", "NO", *DIRECTIONS)[rng.integers(8)]]
    match rng.integers(4):
        case 0:
            return ["CALL", *_digits(rng, room - 1)]
        case 1:
            return [("GO", "TURN")[rng.integers(2)], DIRECTIONS[rng.integers(4)]]
        case 2:
            return [("OPEN", "CLOSE")[rng.integers(2)], "DOOR"]
        case _:
            return [("START", "STOP", "YES", "NO")[rng.integers(4)]]
