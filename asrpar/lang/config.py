"""Settings of stage 3: lexicon, units, language model."""

from dataclasses import dataclass, field
from itertools import pairwise
from math import inf
from typing import Any, ClassVar

from asrpar.errors import ConfigError
from asrpar.lang.text import CASES
from asrpar.lang.units import UNITS
from asrpar.rules import need, one_of

SPLITS = ("auto", "blanks", "characters")
# What names of sets begin with that a language model must not see.
NOT_FOR_TRAINING = ("dev", "test", "eval", "valid")
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

    One text makes one model. Several (that of the manifests, and each of `texts`) make one each, and the models are
    mixed with weights.

    Attributes:
        order: 1 for a unigram, and so on.
        splits: manifests whose text is used. Only training sets are accepted.
        transcripts: whether the text of `splits` is text for the model, too; with false, `texts` alone are.
        text: more text, one sentence a line (.gz allowed), put to that of `splits`, and the case to bring it to; the
            case is that of `texts` and `held_out`, too.
        text_case: keep | upper | lower.
        texts: files of text of any size, each of which makes a model of its own, such as ``[swbd.txt.gz,
            fisher.txt.gz]``. Their words are not added to the vocabulary: with `oov.policy` unk others are read as
            `oov.word`, else sentences with others are left out, and counted.
        held_out: text like that which is to be recognised, in none of the others, on which the weights are found.
        weights: of the models, in the order that of `splits`, then `texts`; empty: found on `held_out`.
        min_counts: by order, how often an n-gram must occur in a text to be listed, such as ``[1, 1, 2]``; the last
            holds for higher orders. Empty: once.
        prune: relative-entropy threshold (Stolcke 1998), such as 1e-8: n-grams whose loss changes the perplexity by
            less than this part are dropped at the end; 0: none.
        arpa: a given ARPA file (.gz allowed) instead of an estimated one, and the case to bring its words to.
        arpa_case: keep | upper | lower.
        memory: in GB, that counting may take; what does not fit goes to files beside the result.
    """

    order: int = 3
    splits: list[str] = field(default_factory=lambda: ["train"])
    transcripts: bool = True
    text: str | None = None
    text_case: str = "keep"
    texts: list[str] = field(default_factory=list)
    held_out: str | None = None
    weights: list[float] = field(default_factory=list)
    min_counts: list[int] = field(default_factory=list)
    prune: float = 0.0
    arpa: str | None = None
    arpa_case: str = "keep"
    memory: float = 1.0

    def validate(self) -> None:
        one_of(self, "text_case", CASES)
        one_of(self, "arpa_case", CASES)
        need(self, "order", 1 <= self.order <= 5, "must lie between 1 and 5")
        for split in self.splits:
            if split.lower().startswith(NOT_FOR_TRAINING):
                raise ConfigError(f"splits: '{split}' is not training text; the language model must not see it")
        need(self, "prune", 0.0 <= self.prune < 1.0, "must lie in [0, 1)")
        need(self, "memory", 0.1 <= self.memory < inf, "must be a number of GB, at least 0.1")
        if not self.transcripts and not (self.texts or self.arpa):
            raise ConfigError("transcripts is false: name the text of the language model as texts")
        rising = all(a <= b for a, b in pairwise([1, *self.min_counts]))
        need(self, "min_counts", rising and self.min_counts[:1] in ([], [1]), "must begin with 1 and not fall")
        need(self, "min_counts", len(self.min_counts) <= self.order, f"has more values than order {self.order}")
        self._validate_mixture()

    def _validate_mixture(self) -> None:
        count = self.transcripts + len(self.texts)
        if self.weights:
            good = all(0.0 <= w <= 1.0 for w in self.weights) and abs(sum(self.weights) - 1.0) < 1e-3
            need(self, "weights", good, "must lie in [0, 1] and sum to 1")
            if len(self.weights) != count:
                raise ConfigError(f"weights: {len(self.weights)} values for {count} texts (transcripts come first)")
        elif count > 1 and self.held_out is None and self.arpa is None:
            raise ConfigError(f"{count} texts make {count} models: give held_out, where weights are found, or weights")


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
