"""Settings of the synthetic corpus."""

from dataclasses import dataclass, field

from asrpar.corpus.synthetic.noise import NOISES
from asrpar.errors import ConfigError


@dataclass
class SplitConfig:
    """One set of utterances; its voices take turns."""

    utterances: int = 100  # so many recordings
    voices: list[str] = field(default_factory=list)  # espeak-ng's, LANGUAGE+VARIANT


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
    """What is spoken, by whom, and through which noise. Times in seconds, levels in decibels."""

    seed: int = 1  # of all random numbers
    sampling_rate: int = 16000  # 8000 or 16000
    train: SplitConfig = field(default_factory=lambda: SplitConfig(600, list(_TRAIN)))
    dev: SplitConfig = field(default_factory=lambda: SplitConfig(60, list(_DEV)))
    test: SplitConfig = field(default_factory=lambda: SplitConfig(100, list(_TEST)))
    words_min: int = 2  # of an utterance
    words_max: int = 5  # of an utterance
    digits_share: float = 0.6  # the rest are commands
    rates: list[int] = field(default_factory=lambda: [140, 160, 180, 200])  # words per minute
    pitches: list[int] = field(default_factory=lambda: [35, 50, 65])  # 50: the voice's own
    noises: list[str] = field(default_factory=lambda: list(NOISES))  # one for each utterance
    snrs: list[float] = field(default_factory=lambda: [5.0, 10.0, 15.0, 20.0])  # dB of the speech over the noise
    babble_talkers: int = 5  # voices behind the speech, of babble
    levels: list[float] = field(default_factory=lambda: [-30.0, -24.0, -18.0])  # of the speech, re full scale
    padding_min: float = 0.1  # noise alone before and after the speech: the shortest
    padding_max: float = 0.3  # the longest

    def splits(self) -> dict[str, SplitConfig]:
        """The sets by name, in the order of their random numbers."""
        return {"train": self.train, "dev": self.dev, "test": self.test}

    def check(self) -> None:
        """Raise ConfigError at the first setting that makes no corpus."""

        def need(condition: bool, message: str) -> None:
            if not condition:
                raise ConfigError(f"synthetic corpus: {message}")

        need(self.seed >= 0, f"seed must not be negative, not {self.seed}")
        need(self.sampling_rate in (8000, 16000), f"sampling_rate must be 8000 or 16000, not {self.sampling_rate}")
        need(1 <= self.words_min <= self.words_max, "words_min must be at least 1 and at most words_max")
        need(0 <= self.digits_share <= 1, f"digits_share is a probability, not {self.digits_share}")
        need(0 <= self.padding_min <= self.padding_max, "padding_min must be at least 0 and at most padding_max")
        need(self.babble_talkers >= 1, "babble_talkers must be at least 1")
        for name in ("rates", "pitches", "noises", "snrs", "levels"):
            need(len(getattr(self, name)) > 0, f"{name} is empty")
        need(all(80 <= r <= 450 for r in self.rates), f"rates are 80 to 450 words per minute, not {self.rates}")
        need(all(0 <= p <= 100 for p in self.pitches), f"pitches are 0 to 100, not {self.pitches}")
        need(all(level <= 0 for level in self.levels), f"levels are decibels below full scale, not {self.levels}")
        unknown = sorted(set(self.noises) - set(NOISES))
        need(not unknown, f"unknown noise {', '.join(unknown)}; known: {', '.join(NOISES)}")
        used: dict[str, str] = {}
        for split, settings in self.splits().items():
            need(settings.utterances >= 1, f"{split}.utterances must be at least 1")
            need(len(settings.voices) >= 1, f"{split}.voices is empty")
            for voice in settings.voices:
                speaker = speaker_of(voice)
                need(speaker not in used, f"voice '{voice}' of {split} is in {used.get(speaker)} already")
                used[speaker] = split


def speaker_of(voice: str) -> str:
    """The speaker id of a voice: ``en-us+m1`` is ``en-us-m1``."""
    return voice.replace("+", "-").lower()
