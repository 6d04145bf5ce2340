"""What espeak-ng says of the speech that it makes: where each word begins and ends."""

import ctypes
from collections.abc import Iterator
from typing import NamedTuple

# Values of espeak_EVENT_TYPE in espeak-ng's speak_lib.h.
_END_OF_LIST = 0
_WORD = 1
_PHONEME = 7
# Phonemes that begin with it are pauses.
_PAUSE = b"_"
# Seconds of silence that espeak-ng leaves before a fricative, at most; a longer one is the closure of a plosive.
GAP = 0.02


class RawEvent(ctypes.Structure):
    """espeak_EVENT of speak_lib.h."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("name", ctypes.c_char * 8),
    )


class Event(NamedTuple):
    """Something that begins in the speech.

    Attributes:
        phoneme: its name; empty for a word.
        position: of the word in the text, in characters from 1.
        sample: where it begins.
    """

    phoneme: bytes
    position: int
    sample: int


def events_of(raw: "ctypes.Array[RawEvent]") -> Iterator[Event]:
    """The words and phonemes of a list that espeak-ng hands to a callback, which may be none."""
    number = 0
    while raw and raw[number].type != _END_OF_LIST:
        one = raw[number]
        if one.type in (_WORD, _PHONEME):
            yield Event(one.name if one.type == _PHONEME else b"", one.text_position, one.sample)
        number += 1


def word_spans(text: str, events: list[Event], samples: int, rate: int) -> list[tuple[int, int] | None]:
    """First sample and last sample + 1 of each word of ``text``, parted by blanks; None where espeak-ng says nothing.

    A word begins with its first phoneme, or before that, where espeak-ng says that the word begins, with the closure of
    a plosive. It ends where espeak-ng says that the next one begins, or a pause, or with its last phoneme where that
    is later: a consonant may be joined to the vowel behind it.

    Args:
        text: in ASCII, with one blank between words.
        events: in the order in which they came.
        samples: of the speech.
        rate: samples a second.
    """
    words, at = text.split(" "), 1
    number_at = {}
    for number, word in enumerate(words):
        number_at[at] = number
        at += len(word) + 1
    starts: dict[int, int] = {}
    pauses: list[int] = []
    first_phoneme: dict[int, int] = {}
    last_phoneme: dict[int, int] = {}
    for phoneme, position, sample in events:
        number = number_at.get(position)
        if phoneme.startswith(_PAUSE):
            pauses.append(sample)
        elif number is None:
            continue
        elif not phoneme:
            starts.setdefault(number, sample)
        else:
            first_phoneme.setdefault(number, sample)
            last_phoneme[number] = sample
    found: list[tuple[int, int] | None] = []
    for number in range(len(words)):
        if number not in starts or number not in first_phoneme:
            found.append(None)
            continue
        sounds, said = first_phoneme[number], starts[number]
        joined = last_phoneme.get(number - 1, -1) >= said
        start = sounds if joined or sounds - said < GAP * rate else said
        behind = [p for p in pauses if p > last_phoneme[number]]
        if number + 1 in starts:
            later = last_phoneme[number] >= starts[number + 1]
            behind.append(first_phoneme.get(number + 1, samples) if later else starts[number + 1])
        found.append((start, min(behind, default=samples)))
    return found
