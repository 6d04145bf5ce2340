"""The words of a language that is being made: its vocabulary, their pronunciations, and the text for its LM."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from sys import intern

from asrpar.config import save_config
from asrpar.errors import DataError
from asrpar.files.checksums import checked_files, write_checksums
from asrpar.files.text import nfc, read_lines
from asrpar.lang.config import LangConfig
from asrpar.lang.lang import BLANK
from asrpar.lang.lexicon import Lexicon, check_pronunciation, disambiguate
from asrpar.lang.oov import apply_policy
from asrpar.lang.places import Places
from asrpar.lang.symbols import write_symbols
from asrpar.lang.text import Sentences, check_sentences, map_case, split_words
from asrpar.lang.units import UNITS
from asrpar.lang.units.contract import UnitInventory
from asrpar.lang.unspaced import mostly_unspaced
from asrpar.log import get_logger

LOG = get_logger(__name__)


@dataclass
class Words:
    """What a LANG folder is made of, but for the language model.

    Attributes:
        config: the settings, with nothing left open.
        units: that write words.
        lexicon: pronunciations of the vocabulary, sorted by word.
        text: sentences for the language model, as the policy for words without pronunciation leaves them.
    """

    config: LangConfig
    units: UnitInventory
    lexicon: Lexicon
    text: Sentences

    @property
    def tokens(self) -> list[str]:
        """The classes: the blank, then the units, sorted."""
        units = {*self.lexicon.tokens, *self.units.tokens}
        if self.config.optional_silence.symbol is not None:
            units.add(self.config.optional_silence.symbol)
        return [BLANK, *sorted(units)]

    def write(self, output: Path) -> None:
        """Write what `Lang.load` reads into the folder ``output``; its lang.yaml comes last."""
        tokens = self.tokens
        highest = disambiguate([e.tokens for e in self.lexicon.entries], self.config.optional_silence.symbol)[1]
        # One more for the silence, where there is one, keeps LG determinizable.
        disambig = [f"#{k}" for k in range(highest + 1 + (self.config.optional_silence.symbol is not None))]
        self.lexicon.write(output / "lexicon.txt")
        write_symbols(output / "tokens.txt", tokens + disambig)
        write_symbols(output / "words.txt", ["<eps>", *sorted(self.lexicon.by_word), "#0", "<s>", "</s>"])
        # An lm.arpa has no digest: it tells itself whether it is whole, and may be exchanged for another.
        names = ["lexicon.txt", "tokens.txt", "words.txt", *self.units.write(output, self.lexicon, tokens)]
        for stale in set(checked_files(output)) - set(names):
            (output / stale).unlink(missing_ok=True)
        write_checksums(output, sorted(names))
        save_config(self.config, output / "lang.yaml")


def prepare_words(config: LangConfig, transcripts: list[str], places: Places) -> Words:
    """Vocabulary and pronunciations from the training transcripts and the files that the settings name.

    Args:
        config: checked settings.
        transcripts: one for each utterance, composed.
        places: where relative paths of the settings are looked for.

    Raises:
        ConfigError, DataError, MissingInputError: settings or data that cannot be used.
    """
    config = _settled(config, transcripts)
    _warn_of_turkish(config, transcripts)
    # A corpus has some words millions of times.
    speech = [list(map(intern, split_words(t, config.split))) for t in transcripts]
    extra = _extra_text(config, places)
    wanted = _word_list(config, places)
    settings = UNITS.settings(config.units, config.unit_settings)
    units = UNITS.load(config.units).make(settings, speech, config.split, places)
    if config.vocabulary.from_text:
        wanted |= {w for words in speech + extra for w in words}
    if config.vocabulary.from_lexicon:
        wanted |= set(units.lexicon.by_word)
    missing = {w for w in wanted.union(*speech, *extra) if not units.pronunciations(w)}
    text = speech + extra if config.lm.transcripts else extra
    units.lexicon, text = apply_policy(config.oov, units.lexicon, missing, text)
    return Words(config, units, _vocabulary(wanted | {config.oov.word} & set(units.lexicon.by_word), units), text)


def _settled(config: LangConfig, transcripts: list[str]) -> LangConfig:
    """The settings with ``split`` decided, those of the units whole, and words and units composed as files' are."""
    oov = replace(config.oov, word=nfc(config.oov.word), unit=nfc(config.oov.unit))
    symbol = config.optional_silence.symbol
    silence = replace(config.optional_silence, symbol=None if symbol is None else nfc(symbol))
    whole = {**config.unit_settings, config.units: asdict(UNITS.settings(config.units, config.unit_settings))}
    config = replace(config, oov=oov, optional_silence=silence, unit_settings=whole)
    if config.split != "auto":
        return config
    characters = not UNITS.load(config.units).has_lexicon and mostly_unspaced(transcripts)
    if characters:
        LOG.info("most of the text is written without spaces: each of its characters is a word (split: characters)")
    return replace(config, split="characters" if characters else "blanks")


def _warn_of_turkish(config: LangConfig, transcripts: list[str]) -> None:
    """Warn where letters are mapped that belong together otherwise in the language of the text."""
    cases = {
        f"unit_settings.{config.units}.case": config.unit_settings[config.units].get("case", "keep"),
        "lm.text_case": config.lm.text_case,
        "lm.arpa_case": config.lm.arpa_case,
    }
    mapped = [key for key, case in cases.items() if case != "keep"]
    if mapped and any("ı" in text or "İ" in text for text in transcripts):
        LOG.warning(
            "the text has a dotless i or a dotted I, as Turkish has, and %s maps I to i and i to I: bring such text to "
            "one case before, and leave that setting at keep", " and ".join(mapped),
        )  # fmt: skip


def _extra_text(config: LangConfig, places: Places) -> Sentences:
    if config.lm.text is None:
        return []
    path = places.find(config.lm.text, "lm.text")
    lines = [map_case(line, config.lm.text_case) for _, line in read_lines(path) if line.strip()]
    check_sentences(path, lines)
    return [split_words(line, config.split) for line in lines]


def _word_list(config: LangConfig, places: Places) -> set[str]:
    if config.vocabulary.word_list is None:
        return set()
    path = places.find(config.vocabulary.word_list, "vocabulary.word_list")
    words = set()
    for number, line in read_lines(path):
        if len(line.split()) > 1:
            raise DataError(f"{path}:{number}: expected one word a line, found '{line}'")
        words.update(split_words(line, config.split))
    return words


def _vocabulary(wanted: Iterable[str], units: UnitInventory) -> Lexicon:
    """Pronunciations of the vocabulary, sorted by word."""
    lexicon = Lexicon([entry for word in sorted(wanted) for entry in units.pronunciations(word)])
    for entry in lexicon.entries:
        check_pronunciation(entry, "vocabulary")
    if not lexicon.entries:
        raise DataError("no word of the vocabulary has a pronunciation: do the cases of text and lexicon agree?")
    return lexicon
