"""The corpora that asrpar knows. Each is one file in `asrpar.corpus.corpora`, found by being there."""

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from asrpar.errors import ConfigError

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
        name: as on the command line.
        title: one line for people.
        parts: name of a part → what to download for it; a corpus in one piece has one part.
        default_parts: those downloaded when none is named.
        home: where the corpus lies below the download folder; what ``--corpus-dir`` then wants.
        check: raises `DataError` unless the folder holds the corpus as distributed.
        prepare: (corpus folder, folder for decoded audio, parts or () for all that is there) → the splits; None for
            a resource without audio.
        normalise: one transcript as distributed → upper-case words; raises `DataError`.
        sampling_rate: in Hz, checked for every recording; None if a setting of the corpus decides.
        made_by: the command that makes a corpus which is not downloaded.
    """

    name: str
    title: str
    parts: dict[str, tuple[Archive, ...]]
    default_parts: tuple[str, ...]
    check: Callable[[Path], None]
    prepare: "Callable[[Path, Path, Sequence[str]], dict[str, Split]] | None" = None
    normalise: Callable[[str], str] | None = None
    sampling_rate: int | None = 16000
    home: str = "."
    made_by: str = ""


@cache
def _registry() -> dict[str, Corpus]:
    from asrpar.corpus import corpora

    found: dict[str, Corpus] = {}
    for info in pkgutil.iter_modules(corpora.__path__):
        for corpus in importlib.import_module(f"{corpora.__name__}.{info.name}").CORPORA:
            if corpus.name in found:
                raise RuntimeError(f"two corpora are called {corpus.name}")
            found[corpus.name] = corpus
    return found


def corpus_names(prepared: bool = False) -> list[str]:
    """All known names, sorted; with ``prepared`` only those that manifests can be made of."""
    return sorted(n for n, c in _registry().items() if c.prepare is not None or not prepared)


def get_corpus(name: str) -> Corpus:
    """The corpus of that name.

    Raises:
        ConfigError: there is none; the message names the nearest.
    """
    known = _registry()
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(sorted(known))}"
        raise ConfigError(f"no corpus '{name}'; {hint} (any other data: asrpar import-kaldi)")
    return known[name]


def choose_parts(corpus: Corpus, parts: Sequence[str]) -> tuple[str, ...]:
    """The parts asked for, in the corpus's order; () stays ().

    Raises:
        ConfigError: a part is unknown.
    """
    for part in parts:
        if part not in corpus.parts:
            raise ConfigError(f"{corpus.name} has no part '{part}'; it has {', '.join(corpus.parts)}")
    return tuple(p for p in corpus.parts if p in parts)
