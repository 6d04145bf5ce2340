"""Phones, or other units that a pronunciation lexicon names."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from asrpar.errors import ConfigError
from asrpar.files.text import ends_with_newline
from asrpar.lang.dictionary import FORMATS, VARIANT
from asrpar.lang.lexicon import Lexicon, read_lexicon
from asrpar.lang.places import Places
from asrpar.lang.text import CASES, Sentences, some
from asrpar.lang.units.contract import UnitInventory
from asrpar.log import get_logger
from asrpar.rules import one_of

LOG = get_logger(__name__)
TARGETS = "targets_lexicon.txt"


@dataclass
class Settings:
    """Where pronunciations come from.

    Attributes:
        lexicon: the file. A relative path is looked for in --corpus-dir, beside the YAML file, and in the current
            folder; {corpus_dir} in it stands for --corpus-dir.
        format: ``lexicon``: WORD P P; ``lexiconp``: WORD prob P P; ``cmudict``: WORD(2) P P with comments; ``mfa``: a
            probability and three figures on silence, as in dictionaries of MFA and lexiconp_silprob.txt; ``auto``: by
            the content of the file.
        case: ``keep``, ``upper`` or ``lower``: of the words, so that they match the transcripts.
        strip_stress: AH0 AH1 AH2 -> AH.
        position_dependent: phones at a word's beginning (_B), inside (_I), at its end (_E) and alone (_S) are different
            units, as in Kaldi.
    """

    lexicon: str | None = None
    format: str = "auto"
    case: str = "keep"
    strip_stress: bool = False
    position_dependent: bool = False

    def validate(self) -> None:
        one_of(self, "format", FORMATS)
        one_of(self, "case", CASES)


class Units(UnitInventory):
    """Phones: words have the pronunciations of a lexicon, and no others."""

    has_lexicon = True

    @classmethod
    def make(cls, settings: Settings, text: Sentences, split: str, places: Places) -> Self:
        if settings.lexicon is None:
            raise ConfigError("unit_settings.phones.lexicon is not set: units 'phones' need a lexicon")
        path = places.find(settings.lexicon, "unit_settings.phones.lexicon")
        lexicon = read_lexicon(path, settings.format, settings.case, settings.strip_stress)
        _warn_of(path, lexicon)
        return cls(lexicon=lexicon.position_dependent() if settings.position_dependent else lexicon)

    @classmethod
    def load(cls, folder: Path, tokens: Sequence[str], split: str) -> Self:
        path = folder / TARGETS
        return cls(lexicon=read_lexicon(path, "lexiconp") if path.is_file() else None)

    def write(self, folder: Path, vocabulary: Lexicon, tokens: Sequence[str]) -> list[str]:
        """First pronunciations, in units that exist, of the words outside the vocabulary: for targets alone."""
        known = set(tokens)
        rest = [
            entries[0]
            for word, entries in sorted(self.lexicon.by_word.items())
            if word not in vocabulary and known.issuperset(entries[0].tokens)
        ]
        if not rest:
            (folder / TARGETS).unlink(missing_ok=True)
            return []
        Lexicon(rest).write(folder / TARGETS)
        return [TARGETS]

    @staticmethod
    def words(tokens: Sequence[str]) -> list[str]:
        raise ConfigError("phones do not spell words: decode with the graph, or score phones")


def _warn_of(path: Path, lexicon: Lexicon) -> None:
    if not ends_with_newline(path):
        LOG.warning("%s does not end with a newline: it may have been cut short", path)
    variants = [w for w in lexicon.by_word if (m := VARIANT.fullmatch(w)) and m[1] in lexicon]
    if variants:
        LOG.warning(
            "%s: %s look like second pronunciations, and are words of their own as unit_settings.phones.format says; "
            "'auto' takes them for pronunciations", path, some(variants),
        )  # fmt: skip
