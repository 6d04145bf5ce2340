"""The corpora that asrpar knows. Each is one file in `asrpar.corpus.corpora`, found by being there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asrpar.choices import Family
from asrpar.config import load_config
from asrpar.errors import ConfigError
from asrpar.names import hint, unknown

if TYPE_CHECKING:
    from asrpar.corpus.manifests import Split


@dataclass(frozen=True)
class Archive:
    """A file to download, and how to know that it is the right one.

    Attributes:
        urls: addresses of the same file, tried in turn.
        provides: paths below the output folder that exist once it is in place.
        md5: as published by the corpus's distributor, or None.
        sha256: likewise, or None.
        size: in bytes, or None.
        content: (digest, folders), checked after unpacking: the sha256 of what ``find FOLDERS -type f | LC_ALL=C sort |
            xargs sha256sum`` prints in the first folder of the archive. For archives that are packed anew on request.
        rename: (top folder in the archive, name here), or None.
        unpack: False for a plain file, which is moved to the only path of ``provides``.
        expansion: unpacked size / packed size, to check the free disk.
        name: the file name here; the last part of the address when empty.
    """

    urls: tuple[str, ...]
    provides: tuple[str, ...]
    md5: str | None = None
    sha256: str | None = None
    size: int | None = None
    content: tuple[str, tuple[str, ...]] | None = None
    rename: tuple[str, str] | None = None
    unpack: bool = True
    expansion: float = 1.1
    name: str = ""

    @property
    def file_name(self) -> str:
        """What the downloaded file is called here."""
        return self.name or self.urls[0].rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Corpus:
    """What stages 0 and 1 need to know of a corpus.

    Attributes:
        parts: name of a part → what to download for it; a corpus in one piece has one part, one that is bought none.
        default_parts: those downloaded when none is named.
        home: where the corpus lies below the download folder; what ``--corpus-dir`` then wants.
        check: raises `DataError` unless the folder holds the corpus as distributed.
        prepare: (corpus folder, folder for decoded audio, parts or () for all that is there) → the splits; with
            ``settings`` these are the fourth argument. None for a resource without audio.
        counted: ``prepare`` compares what it finds with the counts of the whole corpus (`asrpar.corpus.counts`), and
            takes ``partial=True``, which leaves that out.
        normalise: one transcript as distributed → upper-case words; raises `DataError`.
        sampling_rate: in Hz, checked for every recording; None if a setting of the corpus decides.
        channels: of every recording; two in telephone calls, where an utterance is on one of them.
        settings: a dataclass of what can be chosen (`asrpar prepare-manifests --set key=value`), or None.
        dictionary: (corpus folder, MANIFESTS of stage 1, folder to write, settings) → nothing; writes ``lexicon.txt``
            and ``lm_text/NAME.txt.gz`` for `asrpar prepare-dict`. None for a corpus that brings neither.
        made_by: the command that makes a corpus which is not downloaded.
        name: as on the command line, which is that of its file.
    """

    parts: dict[str, tuple[Archive, ...]]
    default_parts: tuple[str, ...]
    check: Callable[[Path], None]
    prepare: "Callable[..., dict[str, Split]] | None" = None
    normalise: Callable[[str], str] | None = None
    sampling_rate: int | None = 16000
    channels: int = 1
    settings: type | None = None
    dictionary: "Callable[[Path, Path, Path, Any], None] | None" = None
    home: str = "."
    made_by: str = ""
    counted: bool = False
    name: str = ""


CORPORA = Family("asrpar.corpus.corpora", "corpus", "CORPUS", plural="corpora", mark="CORPUS")


def corpus_names(prepared: bool = False) -> list[str]:
    """All known names, sorted; with ``prepared`` only those that manifests can be made of."""
    return [name for name in CORPORA if not prepared or get_corpus(name).prepare is not None]


def get_corpus(name: str) -> Corpus:
    """The corpus of that name.

    Raises:
        ConfigError: there is none; the message names the nearest.
    """
    if name not in CORPORA:
        raise unknown("corpus", name, CORPORA, more="any other data: asrpar import-kaldi")
    return replace(CORPORA.load(name), name=name)


def corpus_settings(corpus: Corpus, paths: Sequence[str], overrides: Sequence[str]) -> tuple[Any, ...]:
    """The checked settings of a corpus as the last arguments of its functions: one, or none where it has no settings.

    Raises:
        ConfigError: an unknown key, a value that cannot be, or settings for a corpus that has none.
    """
    if corpus.settings is not None:
        return (load_config(corpus.settings, paths, overrides),)
    if paths or overrides:
        raise ConfigError(f"{corpus.name} has no settings: leave --config and --set away")
    return ()


def choose_parts(corpus: Corpus, parts: Sequence[str]) -> tuple[str, ...]:
    """The parts asked for, in the corpus's order; () stays ().

    Raises:
        ConfigError: a part is unknown.
    """
    for part in parts:
        if part not in corpus.parts:
            raise ConfigError(f"{corpus.name} has no part '{part}'; {hint(part, corpus.parts)}")
    return tuple(p for p in corpus.parts if p in parts)
