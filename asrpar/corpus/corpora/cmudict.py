"""The CMU pronouncing dictionary: a resource of recipes in English, not a corpus of speech."""

from pathlib import Path

from asrpar.corpus.registry import Archive, Corpus
from asrpar.errors import DataError

_COMMIT = "0f8072f814306c5ee4fbf992ed853601b12c01f9"

CMUDICT = Archive(
    urls=(f"https://raw.githubusercontent.com/cmusphinx/cmudict/{_COMMIT}/cmudict.dict",),
    provides=("cmudict/cmudict.dict",),
    sha256="81917843c7f44ce2b094ac63873c2c7a4cf802040792c455ba3ca406891c3d22",
    unpack=False,
)


def check(corpus_dir: Path) -> None:
    """The folder has ``cmudict.dict``; raises `DataError` otherwise."""
    if not (corpus_dir / "cmudict.dict").is_file():
        raise DataError(f"{corpus_dir} does not hold the CMU dictionary: no file cmudict.dict in it")


CORPUS = Corpus(
    parts={"all": (CMUDICT,)},
    default_parts=("all",),
    check=check,
    home="cmudict",
)
