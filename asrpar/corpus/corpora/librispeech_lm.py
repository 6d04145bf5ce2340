"""Lexicon, language models and text that belong to LibriSpeech (OpenSLR 11): resources of its recipe, not speech.

The lexicon has the 200,000 words of the language models: cmudict's pronunciations, and for words that cmudict lacks one
each that a grapheme-to-phoneme model made. The text leaves out the books of dev and test (Panayotov et al. 2015), so an
own language model may be made of it.
"""

from pathlib import Path
from typing import NamedTuple

from asrpar.corpus.corpora.librispeech import addresses
from asrpar.corpus.registry import Archive, Corpus
from asrpar.errors import DataError

_HOME = "librispeech_lm"


class _File(NamedTuple):
    name: str
    size: int
    md5: str
    sha256: str | None = None


_FILES = {
    "lexicon": _File(
        "librispeech-lexicon.txt",
        5627653,
        "28f72663f6bfed7cd346283c064c315b",
        "d722bc29908cd338ae738edd70f61826a6fca29aaa704a9493f0006773f79d71",
    ),
    "vocabulary": _File("librispeech-vocab.txt", 1737588, "bf3cc7a50112831ed8b0afa40cae96a5"),
    # Known as tgsmall, tgmed, tglarge and fglarge from Kaldi's recipe.
    "3-gram.pruned.3e-7": _File("3-gram.pruned.3e-7.arpa.gz", 13654242, "8f67ec741827742eee05799ab7605b50"),
    "3-gram.pruned.1e-7": _File("3-gram.pruned.1e-7.arpa.gz", 34094057, "9a0f1325bcaf3a0f7b7be4be10823c2a"),
    "3-gram": _File(
        "3-gram.arpa.gz",
        759636181,
        "74cbb837e582378c26c602e1c8cbcb9c",
        "263649573475c2991d3e755eb4e690c9d2656f2b3283a1eb589e1e4e174bf874",
    ),
    "4-gram": _File(
        "4-gram.arpa.gz",
        1355172078,
        "6abdcd5b055bd482e4f9defe91d40408",
        "f2b2d1507637ddf459d3579159f7e8099ed7d77452ff1059aeeeaea33d274613",
    ),
    "text": _File("librispeech-lm-norm.txt.gz", 1507274412, "c83c64c726a1aedfe65f80aa311de402"),
}


def check(folder: Path) -> None:
    """The folder has one of the files; raises `DataError` otherwise."""
    if not any((folder / file.name).is_file() for file in _FILES.values()):
        below = f"; give {folder / _HOME}" if (folder / _HOME).is_dir() else ""
        raise DataError(
            f"{folder} holds neither lexicon nor language models of LibriSpeech: none of "
            f"{', '.join(file.name for file in _FILES.values())}{below}"
        )


CORPUS = Corpus(
    parts={
        part: (
            Archive(
                urls=addresses(11, file.name),
                provides=(f"{_HOME}/{file.name}",),
                md5=file.md5,
                sha256=file.sha256,
                size=file.size,
                unpack=False,
                expansion=0.0,
            ),
        )
        for part, file in _FILES.items()
    },
    default_parts=("lexicon", "3-gram.pruned.3e-7", "4-gram"),
    check=check,
    home=_HOME,
)
