"""Settings of stage 3: lexicon, units, language model."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from asrpar.errors import ConfigError
from asrpar.lang.text import CASES
from asrpar.lang.units import UNITS
from asrpar.rules import need, one_of

SPLITS = ("auto", "blanks", "characters")
OOV_POLICIES = ("error", "unk", "skip", "spell")


@dataclass
class VocabularyConfig:
    """The words that the decoding graph can output: the union of what is switched on.

    Attributes:
        from_text: the words of the training transcripts.
        from_lexicon: all words of the lexicon, where the units have one.
        word_list: a file with one word a line.
    """

    from_text: bool = True
    from_lexicon: bool = False
    word_list: str | None = None

    def validate(self) -> None:
        if not (self.from_text or self.from_lexicon or self.word_list):
            raise ConfigError("from_text is false: switch it or from_lexicon on, or give a word_list")


@dataclass
class OptionalSilenceConfig:
    """A silence unit allowed before, between and after words. CTC has its blank instead, so it is off by default.

    Attributes:
        symbol: such as SIL; null for none.
        probability: of silence at each of those places.
    """

    symbol: str | None = None
    probability: float = 0.5

    def validate(self) -> None:
        need(self, "probability", 0.0 < self.probability < 1.0, "must lie in (0, 1)")
        named = self.symbol is None or (not self.symbol.startswith(("#", "<")) and len(self.symbol.split()) == 1)
        need(self, "symbol", named, "cannot be the name of a unit")


@dataclass
class OovConfig:
    """What to do with a word of the text that has no pronunciation.

    Attributes:
        policy: ``error``: refuse, and list the words; ``unk``: read it as `word`, pronounced `unit`; ``skip``: leave
            its utterance out of the language model and of training; ``spell``: pronounce it letter by letter, with the
            letters' entries in the lexicon.
        word: of unk: what is recognised instead.
        unit: of unk: how it is pronounced.
    """

    policy: str = "error"
    word: str = "<UNK>"
    unit: str = "SPN"

    def validate(self) -> None:
        one_of(self, "policy", OOV_POLICIES)


@dataclass
class LmConfig:
    """The n-gram: estimated from text, or given.

    Attributes:
        order: 1 for a unigram, and so on.
        splits: manifests whose text is used. Only training sets are accepted.
        text: more text, one sentence a line (.gz allowed), and the case to bring it to.
        text_case: keep | upper | lower.
        arpa: a given ARPA file (.gz allowed) instead of an estimated one, and the case to bring its words to.
        arpa_case: keep | upper | lower.
    """

    order: int = 3
    splits: list[str] = field(default_factory=lambda: ["train"])
    text: str | None = None
    text_case: str = "keep"
    arpa: str | None = None
    arpa_case: str = "keep"

    def validate(self) -> None:
        one_of(self, "text_case", CASES)
        one_of(self, "arpa_case", CASES)
        need(self, "order", 1 <= self.order <= 5, "must lie between 1 and 5")
        for split in self.splits:
            if split.lower().startswith(("dev", "test", "eval", "valid")):
                raise ConfigError(f"splits: '{split}' is not training text; the language model must not see it")


@dataclass
class LangConfig:
    """Everything that `asrpar prepare-lang` needs.

    Attributes:
        units: what the model tells apart.
        unit_settings: settings of kinds of units by name, such as ``{phones: {lexicon: lexicon.txt}}``.
        split: what a word is. blanks: what stands between spaces. characters: each character of Chinese, Japanese, Thai
            and other scripts without spaces is one, too (see `asrpar.lang.unspaced`). auto: characters where units have
            no lexicon and most of the training text is of such a script; lang.yaml has what was chosen.
    """

    units: str = field(default="phones", metadata=UNITS.chosen)
    unit_settings: dict[str, Any] = field(default_factory=dict)
    split: str = "auto"
    vocabulary: VocabularyConfig = field(default_factory=VocabularyConfig)
    optional_silence: OptionalSilenceConfig = field(default_factory=OptionalSilenceConfig)
    oov: OovConfig = field(default_factory=OovConfig)
    lm: LmConfig = field(default_factory=LmConfig)

    MOVED: ClassVar[dict[str, str]] = {
        "lexicon.path": "unit_settings.phones.lexicon",
        **{
            f"lexicon.{k}": f"unit_settings.phones.{k}"
            for k in ("format", "case", "strip_stress", "position_dependent")
        },
        "lexicon": "unit_settings.phones",
        "sentencepiece": "unit_settings.sentencepiece",
    }

    def validate(self) -> None:
        one_of(self, "split", SPLITS)
        if UNITS.load(self.units).has_lexicon:
            return
        if self.vocabulary.from_lexicon:
            raise ConfigError(
                f"vocabulary.from_lexicon: units '{self.units}' have no lexicon; use from_text or word_list"
            )
        if self.oov.policy == "spell":
            raise ConfigError(f"oov.policy: 'spell' is for phones; units '{self.units}' spell every word already")
