"""Switchboard-1 (LDC97S62, OpenSLR 5) alone or with Fisher English (LDC2004S13/T19, LDC2005S13/T19): calls, 8 kHz.

Everything is looked for by name below one folder, into which discs and transcripts were unpacked (or linked) in any
order. Caller tables (conv_tab.csv and caller_tab.csv; Fisher brings its own) make callers of the sides of calls.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from asrpar.corpus.registry import Corpus
from asrpar.errors import DataError
from asrpar.rules import at_least, need, one_of

if TYPE_CHECKING:
    from asrpar.corpus.manifests import Split

SIZES = ("swb300", "swb2000")


@dataclass
class Settings:
    """Of Switchboard and Fisher.

    Attributes:
        size: swb300 is Switchboard, swb2000 Switchboard and both parts of Fisher.
        dev: speakers: no speaker of dev is in train; first: the first utterances by id, as in Kaldi's recipe.
        dev_size: utterances of dev, all of Switchboard.
        max_copies: how many utterances of the same text train has at most (300 times "yeah" are enough); 0 for all.
        max_seconds: longer utterances are dropped; the longest of Switchboard has 57.5 s.
        spoken_only: drop utterances of noises alone.
        seed: of what is drawn: speakers of dev, and which of the same utterances are kept.
        cmudict: for words of Fisher that Switchboard's dictionary lacks; null: a cmudict.dict in the corpus folder, if
            there is one.
    """

    size: str = "swb300"
    dev: str = "speakers"
    dev_size: int = 4000
    max_copies: int = 300
    max_seconds: float = 60.0
    spoken_only: bool = False
    seed: int = 1
    cmudict: str | None = None

    def validate(self) -> None:
        one_of(self, "size", SIZES)
        one_of(self, "dev", ("speakers", "first"))
        at_least(self, 1, "dev_size")
        at_least(self, 0, "max_copies")
        need(self, "max_seconds", self.max_seconds > 0, "must be positive")


def normalise(text: str) -> str:
    """Lower-case words and noises; acronyms that only the dictionary knows are left as words."""
    from asrpar.corpus.conversations.words import Normaliser

    words = Normaliser().words(text)
    if not words:
        raise DataError("the transcript is empty")
    return " ".join(words)


def check(corpus_dir: Path) -> None:
    """The folder has audio, transcripts and dictionary of Switchboard somewhere; raises `DataError` otherwise."""
    from asrpar.corpus.conversations.files import check_found, find_files

    check_found(find_files(corpus_dir), "swb300")


def prepare(
    corpus_dir: Path, work_dir: Path, parts: Sequence[str], settings: Settings, partial: bool = False
) -> "dict[str, Split]":
    """train and dev; what was dropped or mended is told in ``report_swbd.txt`` beside the manifests.

    Raises:
        DataError: something is missing, or a count is not that of the whole corpus and ``partial`` is not set.
    """
    from asrpar.corpus.conversations.swbd import prepare_swbd

    return prepare_swbd(corpus_dir, work_dir.parent, settings, partial)


def dictionary(corpus_dir: Path, manifests: Path, output: Path, settings: Settings) -> None:
    """``lexicon.txt``, and ``lm_text/`` with swbd, fisher (where its transcripts are) and heldout, which is dev."""
    from asrpar.corpus.conversations.dictionary import prepare_dictionary

    prepare_dictionary(corpus_dir, manifests, output, settings)


CORPUS = Corpus(
    # The transcripts (OpenSLR 5) have no published checksum: whoever fetches them puts them beside the discs.
    parts={},
    default_parts=(),
    check=check,
    prepare=prepare,
    normalise=normalise,
    sampling_rate=8000,
    channels=2,
    settings=Settings,
    dictionary=dictionary,
    counted=True,
)
