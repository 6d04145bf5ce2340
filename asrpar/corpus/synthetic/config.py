"""Settings of the synthetic corpus."""

from dataclasses import dataclass, field

from asrpar.corpus.synthetic.noise import NOISES
from asrpar.errors import ConfigError
from asrpar.names import unknown
from asrpar.rules import at_least, fraction, need, not_negative


@dataclass
class SplitConfig:
    """One set of utterances; its voices take turns.

    Attributes:
        utterances: so many recordings.
        voices: espeak-ng's, LANGUAGE+VARIANT.
    """

    utterances: int = 100
    voices: list[str] = field(default_factory=list)

    def validate(self) -> None:
        at_least(self, 1, "utterances")
        need(self, "voices", len(self.voices) >= 1, "must have at least one")


# Accent+variant. The variant is the voice's timbre, so the sets share none: every dev and test talker is unseen.
_TRAIN = [
    "en-us+m1", "en-us+f1", "en-us+m4", "en-us+f3", "en-us+m7",
    "en-gb+m2", "en-gb+f2", "en-gb+m3", "en-gb+f1", "en-gb-x-rp+m1",
    "en-gb-scotland+m3", "en-gb-scotland+f3", "en-us-nyc+m2", "en-029+f2", "en-gb-x-gbclan+m4",
]  # fmt: skip
_DEV = ["en-us+Alex", "en-gb+f5", "en-us+paul"]
_TEST = ["en-us+m5", "en-us+f4", "en-gb+m6", "en-gb+f4", "en-gb-scotland+m5"]


@dataclass
class SyntheticConfig:
    """What is spoken, by whom, and through which noise. Times in seconds, levels in decibels.

    Attributes:
        seed: of all random numbers.
        sampling_rate: 8000 or 16000.
        words_min: of an utterance.
        words_max: of an utterance.
        digits_share: the rest are commands.
        rates: words per minute.
        pitches: 50: the voice's own.
        noises: one for each utterance.
        snrs: dB of the speech over the noise.
        babble_talkers: voices behind the speech, of babble.
        levels: of the speech, re full scale.
        padding_min: noise alone before and after the speech: the shortest.
        padding_max: the longest.
    """

    seed: int = 1
    sampling_rate: int = 16000
    train: SplitConfig = field(default_factory=lambda: SplitConfig(600, list(_TRAIN)))
    dev: SplitConfig = field(default_factory=lambda: SplitConfig(60, list(_DEV)))
    test: SplitConfig = field(default_factory=lambda: SplitConfig(100, list(_TEST)))
    words_min: int = 2
    words_max: int = 5
    digits_share: float = 0.6
    rates: list[int] = field(default_factory=lambda: [140, 160, 180, 200])
    pitches: list[int] = field(default_factory=lambda: [35, 50, 65])
    noises: list[str] = field(default_factory=lambda: list(NOISES))
    snrs: list[float] = field(default_factory=lambda: [5.0, 10.0, 15.0, 20.0])
    babble_talkers: int = 5
    levels: list[float] = field(default_factory=lambda: [-30.0, -24.0, -18.0])
    padding_min: float = 0.1
    padding_max: float = 0.3

    def splits(self) -> dict[str, SplitConfig]:
        """The sets by name, in the order of their random numbers."""
        return {"train": self.train, "dev": self.dev, "test": self.test}

    def validate(self) -> None:
        not_negative(self, "seed")
        need(self, "sampling_rate", self.sampling_rate in (8000, 16000), "must be 8000 or 16000")
        need(self, "words_min", 1 <= self.words_min <= self.words_max, "must be at least 1 and at most words_max")
        fraction(self, "digits_share")
        quiet = 0 <= self.padding_min <= self.padding_max
        need(self, "padding_min", quiet, "must be at least 0 and at most padding_max")
        at_least(self, 1, "babble_talkers")
        for name in ("rates", "pitches", "noises", "snrs", "levels"):
            need(self, name, len(getattr(self, name)) > 0, "must have at least one value")
        need(self, "rates", all(80 <= r <= 450 for r in self.rates), "must have 80 to 450 words per minute")
        need(self, "pitches", all(0 <= p <= 100 for p in self.pitches), "must have numbers from 0 to 100")
        need(self, "levels", all(v <= 0 for v in self.levels), "must have decibels below full scale")
        for noise in self.noises:
            if noise not in NOISES:
                raise unknown("noises", noise, NOISES)
        used: dict[str, str] = {}
        for split, settings in self.splits().items():
            for voice in settings.voices:
                if (speaker := speaker_of(voice)) in used:
                    raise ConfigError(f"{split}.voices: voice '{voice}' is in {used[speaker]} already")
                used[speaker] = split


def speaker_of(voice: str) -> str:
    """The speaker id of a voice: ``en-us+m1`` is ``en-us-m1``."""
    return voice.replace("+", "-").lower()
