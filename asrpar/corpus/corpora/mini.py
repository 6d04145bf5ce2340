"""mini: the synthetic corpus of egs/mini, which `asrpar synthesize` makes."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from asrpar.corpus.registry import Corpus
from asrpar.corpus.text import upper_words
from asrpar.errors import DataError

if TYPE_CHECKING:
    from asrpar.corpus.manifests import Split


def normalise(text: str) -> str:
    """Upper-case words of A to Z."""
    return upper_words(text, "A-Z")


def check(corpus_dir: Path) -> None:
    """The folder has what `asrpar synthesize` writes last; raises `DataError` otherwise."""
    if not (corpus_dir / "corpus.json").is_file():
        raise DataError(f"{corpus_dir} holds no finished synthetic corpus: run stage 0 (asrpar synthesize)")


def prepare(corpus_dir: Path, work_dir: Path, parts: Sequence[str] = ()) -> "dict[str, Split]":
    """The splits as synthesized: no voice is in two of them."""
    from asrpar.corpus.synthetic.splits import mini_splits

    return mini_splits(corpus_dir)


CORPUS = Corpus(
    parts={},
    default_parts=(),
    check=check,
    prepare=prepare,
    normalise=normalise,
    sampling_rate=None,
    made_by="asrpar synthesize",
)
