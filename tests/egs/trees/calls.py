"""Telephone calls made of utterances: two people take turns, each on a channel of his own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

import numpy as np

from trees.speech import RATE, Utterance, an4, by_speaker, librispeech, resample, synthetic

_GRID = 0.01  # s: borders of turns
_MARGIN = 0.12  # s that a segment reaches beyond its words


class Turn(NamedTuple):
    """Somebody's words from ``start`` to ``end`` (s)."""

    start: float
    end: float
    words: tuple[str, ...]


@dataclass
class Call:
    """A call.

    Attributes:
        speakers: who talks on channel A and who on B.
        sexes: likewise.
        turns: of A and of B, in order; those of one side do not overlap.
        seconds: its length.
        samples: gives (2, S) float32 at a rate in Hz.
        group: whose people these are: 0 AN4's, 1 LibriSpeech's; of `Plan.people`.
    """

    speakers: tuple[str, str]
    sexes: tuple[str, str]
    turns: tuple[list[Turn], list[Turn]]
    seconds: float
    samples: Callable[[int], np.ndarray]
    group: int = 0

    def segments(self, side: int) -> list[tuple[float, float, Turn | None]]:
        """Segments (start, end, turn) that follow each other over the whole side; those of silence have no turn.

        As in Switchboard, silence is a segment of its own from one second on, and words begin near a segment's border.
        """
        turns, found, last = self.turns[side], [], 0.0
        for turn, after in zip_longest(turns, turns[1:]):
            start = max(last, turn.start - _MARGIN)
            if start - last >= 1.0:
                found.append((last, start, None))
                last = start
            room = (after.start if after else self.seconds) - turn.end
            end = turn.end + (room / 2 if room < 1.0 + 2 * _MARGIN else _MARGIN)
            found.append((last, end, turn))
            last = end
        if self.seconds - last >= 1.0:
            found.append((last, self.seconds, None))
        elif found:
            found[-1] = (found[-1][0], self.seconds, found[-1][2])
        return found


def make_call(rng: np.random.Generator, a: Sequence[Utterance], b: Sequence[Utterance]) -> Call:
    """``a`` and ``b`` in turn, with pauses, and now and then the one before the other has finished."""
    turns: tuple[list[Turn], list[Turn]] = ([], [])
    placed: list[tuple[int, int, Utterance]] = []  # side, first sample at RATE, utterance
    now = 0.5
    for pair in zip_longest(a, b):
        for side, utterance in enumerate(pair):
            if utterance is None:
                continue
            own_end = turns[side][-1].end if turns[side] else 0.0
            start = max(now + rng.uniform(-0.3, 0.9), own_end + 0.3, 0.3)
            start = round(round(start / _GRID) * _GRID, 2)
            now = start + len(utterance.load()) / RATE
            turns[side].append(Turn(start, now, utterance.words))
            placed.append((side, round(start * RATE), utterance))
    seconds = round(now + 1.5, 1)
    hiss = int(rng.integers(2**31))

    def samples(rate: int) -> np.ndarray:
        line = np.random.default_rng(hiss).standard_normal((2, round(seconds * rate)), np.float32) * np.float32(5e-4)
        for side, first, utterance in placed:
            spoken = resample(utterance.load(), RATE, rate)
            at = first * rate // RATE
            line[side, at : at + len(spoken)] += spoken
        return line

    people = (a[0], b[0])
    return Call(tuple(u.speaker for u in people), tuple(u.sex for u in people), turns, seconds, samples)


@dataclass
class Plan:
    """Who talks in which corpus, and how much.

    Attributes:
        corpora: the folder of real corpora; None: espeak-ng talks.
        everything: of real corpora all there is, and not some minutes.
        fisher: share of the training speakers who are in Fisher and not in Switchboard.
    """

    corpora: Path | None = None
    everything: bool = False
    fisher: float = 0.4

    def people(self, corpus: str) -> list[list[list[Utterance]]]:
        """Groups of people who call each other: ``swbd`` and ``fisher`` for training, ``hub5`` and ``rt03`` for tests.

        Nobody is in two corpora, but that the two of LibriSpeech's dev set divide their utterances between the tests.
        """
        if corpus in ("swbd", "fisher"):
            return [self._share(group, corpus) for group in self._training()]
        return self._tests(corpus)

    def _share(self, group: list[list[Utterance]], corpus: str) -> list[list[Utterance]]:
        fisher = {i for i in range(len(group)) if int((i + 1) * self.fisher + 1e-9) > int(i * self.fisher + 1e-9)}
        return [person for i, person in enumerate(group) if (i in fisher) == (corpus == "fisher")]

    def _training(self) -> list[list[list[Utterance]]]:
        if self.corpora is None:
            voices = [f"{accent}+{sex}{n}" for n in (1, 2) for accent in ("en-us", "en-gb", "en-029") for sex in "mf"]
            return [list(by_speaker(synthetic(voices, 10)).values())]
        people = [by_speaker(u) for u in (an4(self.corpora, "train"), librispeech(self.corpora, "train-clean-5"))]
        if self.everything:
            return [list(group.values()) for group in people]
        return [[said[:4] for said in list(group.values())[:n]] for group, n in zip(people, (20, 6), strict=True)]

    def _tests(self, corpus: str) -> list[list[list[Utterance]]]:
        half = int(corpus == "rt03")
        if self.corpora is None:
            voices = [f"en-us+{v}" for v in (("m5", "f4", "m6", "f5") if half else ("m3", "f3", "m7", "m4"))]
            first = 4 if half else 14
            pairs = ((voices[:2], first), (voices[2:], first + 8))
            return [list(by_speaker(synthetic(pair, 4, start)).values()) for pair, start in pairs]
        digits = list(by_speaker(an4(self.corpora, "test")).values())
        books = [said[half::2] for said in by_speaker(librispeech(self.corpora, "dev-clean-2")).values()]
        groups = [digits[half::2], books]
        return groups if self.everything else [[said[:4] for said in group[:2]] for group in groups]

    def calls(self, corpus: str) -> list[Call]:
        """Calls within each group; everybody's utterances are spread over calls."""
        rng = np.random.default_rng(["swbd", "fisher", "hub5", "rt03"].index(corpus) + 1)
        made = []
        for number, group in enumerate(self.people(corpus)):
            made += [
                replace(make_call(rng, a, b), group=number) for a, b in _pairs(group, 10 if self.everything else 5)
            ]
        return made


def _pairs(group: list[list[Utterance]], turns: int) -> list[tuple[list[Utterance], list[Utterance]]]:
    """Both sides of each call, of ``turns`` turns a side: neighbours in the group, and an odd one with the first."""
    parts = list(group)
    if len(parts) % 2:
        half = len(parts[0]) // 2
        parts += [parts[0][half:]]
        parts[0] = parts[0][:half]
    pairs = []
    for a, b in zip(parts[::2], parts[1::2], strict=True):
        calls = min(-(-max(len(a), len(b)) // turns), len(a), len(b))
        cuts = [[len(said) * i // calls for i in range(calls + 1)] for said in (a, b)]
        pairs += [tuple(said[c[i] : c[i + 1]] for said, c in zip((a, b), cuts, strict=True)) for i in range(calls)]
    return pairs
