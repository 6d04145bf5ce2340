"""Utterances to make corpora of: AN4's and LibriSpeech's, or espeak-ng's of the sentences in ``sentences.py``."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import groupby
from math import gcd
from pathlib import Path
from typing import NamedTuple

import numpy as np

from trees.sentences import SENTENCES

RATE = 16000
_LEVEL = 0.08  # root mean square of speech, full scale 1


class Utterance(NamedTuple):
    """What somebody said.

    Attributes:
        id: unique within its source.
        speaker: likewise.
        sex: ``m``, ``f``, or empty where it is not known.
        words: lower case, but single letters that are spelled are capitals, as in Switchboard.
        load: gives the samples (S,) float32 at `RATE`.
    """

    id: str
    speaker: str
    sex: str
    words: tuple[str, ...]
    load: Callable[[], np.ndarray]


def resample(samples: np.ndarray, source: int, target: int) -> np.ndarray:
    """Samples (S,) float32 at another rate in Hz."""
    from scipy.signal import resample_poly

    common = gcd(source, target)
    if source == target:
        return samples
    return resample_poly(samples, target // common, source // common).astype(np.float32)


def an4(corpora: Path, part: str) -> Iterator[Utterance]:
    """AN4's ``train`` or ``test`` in the order of its list; words of one letter are spelled."""
    etc = corpora / "an4/etc"
    texts = {}
    for line in (etc / f"an4_{part}.transcription").read_text(encoding="utf-8").splitlines():
        text, name = re.fullmatch(r"(?:<s> )?(.*?)(?: </s>)? \((\S+)\)", line.strip()).groups()
        texts[name] = tuple(word if len(word) == 1 else word.lower() for word in text.split())
    for line in (etc / f"an4_{part}.fileids").read_text(encoding="utf-8").split():
        path = Path(line)
        speaker = path.parent.name
        yield Utterance(
            f"{speaker}-{path.name}", speaker, speaker[0], texts[path.name], _file(corpora / "an4/wav" / f"{line}.wav")
        )


def librispeech(corpora: Path, part: str) -> Iterator[Utterance]:
    """A part of mini_librispeech, by id."""
    root = corpora / "mini_librispeech/LibriSpeech"
    rows = [line.split("|") for line in (root / "SPEAKERS.TXT").read_text(encoding="utf-8").splitlines() if "|" in line]
    sexes = {row[0].strip(): row[1].strip().lower() for row in rows}
    for path in sorted((root / part).rglob("*.trans.txt")):
        for line in path.read_text(encoding="utf-8").splitlines():
            name, text = line.split(" ", 1)
            speaker = name.split("-")[0]
            words = tuple(text.lower().split())
            yield Utterance(name, speaker, sexes[speaker], words, _file(path.parent / f"{name}.flac"))


def synthetic(voices: Sequence[str], per_voice: int, first: int = 0) -> Iterator[Utterance]:
    """``per_voice`` sentences of each of espeak-ng's voices, such as ``en-us+m1``, from sentence ``first`` on."""
    for number, voice in enumerate(voices):
        for index in range(per_voice):
            sentence = SENTENCES[(first + number * per_voice + index) % len(SENTENCES)]
            variant = voice.rpartition("+")[2]
            speaker = re.sub(r"[^a-z0-9]", "", voice)
            words = tuple(sentence.split())
            yield Utterance(f"{speaker}-{index:03d}", speaker, variant[0], words, _voice(sentence, voice, number))


def by_speaker(utterances: Iterable[Utterance]) -> dict[str, list[Utterance]]:
    """The utterances of each speaker, in order."""
    ordered = sorted(utterances, key=lambda u: (u.speaker, u.id))
    return {speaker: list(group) for speaker, group in groupby(ordered, lambda u: u.speaker)}


def _file(path: Path) -> Callable[[], np.ndarray]:
    def load() -> np.ndarray:
        import soundfile

        samples, rate = soundfile.read(path, dtype="float32")
        assert rate == RATE, path
        return _levelled(samples)

    return load


def _voice(sentence: str, voice: str, number: int) -> Callable[[], np.ndarray]:
    @cache
    def load() -> np.ndarray:
        from asrpar.corpus.synthetic import espeak

        # A spelled letter by its name, and not as the article.
        text = re.sub(r"\b([A-Z])(?= |$)", lambda m: f"{m[1]},", sentence)
        spoken = espeak.speak(text, voice, rate=160 + 10 * (number % 4), pitch=45 + 5 * (number % 3), seed=1)
        return _levelled(resample(spoken.samples / np.float32(32768), spoken.rate, RATE))

    return load


def _levelled(samples: np.ndarray) -> np.ndarray:
    """At a usual level, and with an even number of samples, so that 8 kHz has half as many."""
    samples = samples[: len(samples) // 2 * 2].astype(np.float32)
    return np.clip(samples * (_LEVEL / max(np.sqrt(np.mean(samples**2)), 1e-6)), -0.99, 0.99)
