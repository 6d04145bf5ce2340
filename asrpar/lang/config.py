"""Settings of stage 3: lexicon, units, language model."""

from dataclasses import dataclass, field

from asrpar.errors import ConfigError

SPLITS = ("auto", "blanks", "characters")
UNITS = ("phones", "characters", "sentencepiece")
CASES = ("keep", "upper", "lower")
OOV_POLICIES = ("error", "unk", "skip", "spell")
LEXICON_FORMATS = ("auto", "lexicon", "lexiconp", "cmudict", "mfa")
SENTENCEPIECE_TYPES = ("unigram", "bpe", "char", "word")


@dataclass
class LexiconConfig:
    """Where pronunciations come from (units: phones)."""

    # A relative path is looked for in --corpus-dir, beside the YAML file, and in the current folder; {corpus_dir} in it
    # stands for --corpus-dir.
    path: str | None = None
    # lexicon: "WORD P P"; lexiconp: "WORD prob P P"; cmudict: "WORD(2) P P" with comments; mfa: a probability and three
    # figures on silence, as in dictionaries of MFA and lexiconp_silprob.txt; auto: by the content of the file.
    format: str = "auto"
    # Case of the words, so that they match the transcripts.
    case: str = "keep"
    # AH0 AH1 AH2 -> AH
    strip_stress: bool = False
    # Phones at a word's beginning (_B), inside (_I), at its end (_E) and alone (_S) are different units, as in Kaldi.
    position_dependent: bool = False


@dataclass
class VocabularyConfig:
    """The words that the decoding graph can output: the union of what is switched on."""

    from_text: bool = True  # the words of the training transcripts
    from_lexicon: bool = False  # all words of the lexicon
    # A file with one word a line.
    word_list: str | None = None


@dataclass
class SentencepieceConfig:
    """Training of the sentencepiece model (units: sentencepiece)."""

    vocab_size: int = 500  # pieces, characters included
    type: str = "unigram"  # unigram | bpe | char | word


@dataclass
class OptionalSilenceConfig:
    """A silence unit allowed before, between and after words. CTC has its blank instead, so it is off by default."""

    symbol: str | None = None  # such as SIL; null for none
    probability: float = 0.5  # of silence at each of those places


@dataclass
class OovConfig:
    """What to do with a word of the text that has no pronunciation.

    error: refuse, and list the words. unk: read it as `word`, pronounced `unit`. skip: leave its utterance out of the
    language model and of training. spell: pronounce it letter by letter, with the letters' entries in the lexicon.
    """

    policy: str = "error"  # error | unk | skip | spell
    word: str = "<UNK>"  # of unk: what is recognised instead
    unit: str = "SPN"  # of unk: how it is pronounced


@dataclass
class LmConfig:
    """The n-gram: estimated from text, or given."""

    order: int = 3  # 1 for a unigram, and so on
    # Manifests whose text is used. Only training sets are accepted.
    splits: list[str] = field(default_factory=lambda: ["train"])
    # More text, one sentence a line (.gz allowed), and the case to bring it to.
    text: str | None = None
    text_case: str = "keep"  # keep | upper | lower
    # A given ARPA file (.gz allowed) instead of an estimated one, and the case to bring its words to.
    arpa: str | None = None
    arpa_case: str = "keep"  # keep | upper | lower


@dataclass
class LangConfig:
    """Everything that `asrpar prepare-lang` needs."""

    units: str = "phones"  # phones | characters | sentencepiece: what the model tells apart
    # What a word is. blanks: what stands between blanks. characters: each character of Chinese, Japanese, Thai and
    # other scripts without blanks is one, too (see asrpar.lang.unspaced). auto: characters where units are not phones
    # and most of the training text is of such a script; lang.yaml has what was chosen.
    split: str = "auto"
    lexicon: LexiconConfig = field(default_factory=LexiconConfig)
    vocabulary: VocabularyConfig = field(default_factory=VocabularyConfig)
    sentencepiece: SentencepieceConfig = field(default_factory=SentencepieceConfig)
    optional_silence: OptionalSilenceConfig = field(default_factory=OptionalSilenceConfig)
    oov: OovConfig = field(default_factory=OovConfig)
    lm: LmConfig = field(default_factory=LmConfig)


def check_lang_config(config: LangConfig) -> None:
    """Raise `ConfigError` for values that the types alone do not exclude."""
    for key, value, allowed in (
        ("units", config.units, UNITS),
        ("split", config.split, SPLITS),
        ("lexicon.format", config.lexicon.format, LEXICON_FORMATS),
        ("lexicon.case", config.lexicon.case, CASES),
        ("lm.text_case", config.lm.text_case, CASES),
        ("lm.arpa_case", config.lm.arpa_case, CASES),
        ("oov.policy", config.oov.policy, OOV_POLICIES),
        ("sentencepiece.type", config.sentencepiece.type, SENTENCEPIECE_TYPES),
    ):
        if value not in allowed:
            raise ConfigError(f"{key}: '{value}' is not one of {', '.join(allowed)}")
    if config.units == "phones" and config.lexicon.path is None:
        raise ConfigError("lexicon.path is not set: units 'phones' need a lexicon")
    if not 1 <= config.lm.order <= 5:
        raise ConfigError(f"lm.order: {config.lm.order} is not between 1 and 5")
    if not 3 <= config.sentencepiece.vocab_size < 2**31:
        raise ConfigError(
            f"sentencepiece.vocab_size: {config.sentencepiece.vocab_size} is not between 3 and 2147483647"
        )
    if not 0.0 < config.optional_silence.probability < 1.0:
        raise ConfigError(f"optional_silence.probability: {config.optional_silence.probability} is not in (0, 1)")
    if not (config.vocabulary.from_text or config.vocabulary.from_lexicon or config.vocabulary.word_list):
        raise ConfigError("vocabulary: switch on from_text or from_lexicon, or give a word_list")
    if config.vocabulary.from_lexicon and config.units != "phones":
        raise ConfigError(
            f"vocabulary.from_lexicon: units '{config.units}' have no lexicon; use from_text or word_list"
        )
    if config.oov.policy == "spell" and config.units != "phones":
        raise ConfigError(f"oov.policy: 'spell' is for phones; units '{config.units}' spell every word already")
    silence = config.optional_silence.symbol
    if silence is not None and (silence.startswith(("#", "<")) or len(silence.split()) != 1):
        raise ConfigError(f"optional_silence.symbol: '{silence}' cannot be the name of a unit")
    for split in config.lm.splits:
        if split.lower().startswith(("dev", "test", "eval", "valid")):
            raise ConfigError(f"lm.splits: '{split}' is not training text; the language model must not see it")
