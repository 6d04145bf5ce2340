"""LibriSpeech (OpenSLR 12): up to 960 hours of read books, 16 kHz, flac.

It comes as ``LibriSpeech/<part>/<speaker>/<chapter>/``. Lhotse makes the manifests; what it would skip without an
error is looked for first.
"""

import contextlib
import io
import logging
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from asrpar.corpus.corpora.cmudict import CMUDICT
from asrpar.corpus.registry import Archive, Corpus
from asrpar.corpus.text import upper_words
from asrpar.errors import DataError
from asrpar.files.text import text_lines

if TYPE_CHECKING:
    from asrpar.corpus.manifests import Split

log = logging.getLogger("asrpar.corpus")

Parts = dict[str, tuple[str, str]]

# part → (md5 published on OpenSLR, split that it belongs to)
PARTS: Parts = {
    "train-clean-100": ("2a93770f6d5c6c964bc36631d331a522", "train"),
    "train-clean-360": ("c0e676e450a7ff2f54aeade5171606fa", "train"),
    "train-other-500": ("d1a0fd59409feb2c614ce4d30c387708", "train"),
    "dev-clean": ("42e2234ba48799c1f50f24a7926300a1", "dev"),
    "dev-other": ("c8d0bcc9cca99d4f8b62fcc847357931", "dev_other"),
    "test-clean": ("32fa31d27d2e1cad72775fee3f4849a9", "test"),
    "test-other": ("fb5a50374b501bb3bac4815ee91d3135", "test_other"),
}
_ID = re.compile(r"\d+-\d+-\d+")


def normalise(text: str) -> str:
    """The transcripts are upper-case words of A to Z and the apostrophe already; anything else is refused."""
    return upper_words(text, "A-Z'")


def read_transcripts(part_dir: Path) -> dict[str, str]:
    """Utterance id → normalised text, of all ``*.trans.txt`` below ``LibriSpeech/<part>``, ordered by id.

    Raises:
        DataError: not UTF-8, a line without an id or a text, a text that cannot be normalised, an id twice; with file
            and line.
    """
    texts: dict[str, str] = {}
    for path in sorted(part_dir.rglob("*.trans.txt")):
        for n, line in text_lines(path):
            utt, _, text = line.strip().partition(" ")
            if not _ID.fullmatch(utt):
                raise DataError(f"{path}:{n}: expected 'SPEAKER-CHAPTER-NUMBER TEXT', found {line.strip()[:60]!r}")
            if utt in texts:
                raise DataError(f"{path}:{n}: {utt} has a transcript already")
            try:
                texts[utt] = normalise(text)
            except DataError as e:
                raise DataError(f"{path}:{n}: {e}") from e
    return dict(sorted(texts.items()))


def _present(corpus_dir: Path, known: Iterable[str]) -> tuple[str, ...]:
    return tuple(p for p in known if (corpus_dir / "LibriSpeech" / p).is_dir())


def check_parts(corpus_dir: Path, name: str, known: Iterable[str]) -> None:
    """The folder has ``LibriSpeech/`` with one of the ``known`` parts; raises `DataError` otherwise."""
    if not (corpus_dir / "LibriSpeech").is_dir():
        hint = f"; give its parent {corpus_dir.parent}" if corpus_dir.name == "LibriSpeech" else ""
        raise DataError(f"{corpus_dir} does not hold {name}: no folder LibriSpeech/ in it{hint}")
    if not _present(corpus_dir, known):
        raise DataError(f"{corpus_dir / 'LibriSpeech'} has no part of {name}: none of {', '.join(known)}")


def check(corpus_dir: Path) -> None:
    """The folder has ``LibriSpeech/`` with a part of LibriSpeech; raises `DataError` otherwise."""
    check_parts(corpus_dir, "LibriSpeech", PARTS)


def prepare_part(corpus_dir: Path, part: str) -> "Split":
    """Manifests of one part. Every transcript has its flac file and the other way round, or nothing is made.

    Raises:
        DataError: with the number of utterances without audio, or files without transcript, and the first of them.
    """
    from lhotse.recipes.librispeech import prepare_librispeech
    from lhotse.utils import fastcopy

    from asrpar.corpus.audio.files import probe
    from asrpar.corpus.manifests import Split

    root = (corpus_dir / "LibriSpeech").absolute()
    texts = read_transcripts(root / part)
    if not texts:
        raise DataError(f"{root / part} has no transcripts (*.trans.txt)")
    paths = {utt: root / part / utt.replace("-", "/").rsplit("/", 1)[0] / f"{utt}.flac" for utt in texts}
    missing = [str(p) for p in paths.values() if not p.is_file()]
    if missing:
        raise DataError(f"{part}: {len(missing)} of {len(texts)} utterances have no audio; the first: {missing[0]}")
    unlisted = sorted(set((root / part).rglob("*.flac")) - set(paths.values()))
    if unlisted:
        raise DataError(f"{part}: {len(unlisted)} flac files have no transcript; the first: {unlisted[0]}")
    for utt, path in paths.items():
        probe(path, utt)  # names the bad file, which Lhotse's errors do not
    # Lhotse draws its progress bars on log files too.
    with contextlib.nullcontext() if sys.stderr.isatty() else contextlib.redirect_stderr(io.StringIO()):
        sets = prepare_librispeech(root, dataset_parts=part)[part]
    supervisions = [fastcopy(s, text=texts[s.id]) for s in sets["supervisions"] if s.id in texts]
    if len(supervisions) != len(texts):
        lost = sorted(texts.keys() - {s.id for s in supervisions})
        raise DataError(f"{part}: Lhotse dropped {len(lost)} of {len(texts)} utterances; the first: {lost[0]}")
    return Split(list(sets["recordings"]), supervisions)


def prepare_parts(corpus_dir: Path, known: Parts, parts: Sequence[str]) -> "dict[str, Split]":
    """The splits of those of the ``known`` parts that are asked for, or of all that are there."""
    from asrpar.corpus.manifests import Split

    there = _present(corpus_dir, known)
    absent = [p for p in parts if p not in there]
    if absent:
        raise DataError(f"{corpus_dir / 'LibriSpeech'} has no folder {absent[0]}; it has {', '.join(there) or 'none'}")
    splits: dict[str, Split] = {}
    for part in parts or there:
        made = prepare_part(corpus_dir, part)
        split = splits.setdefault(known[part][1], Split([], []))
        split.recordings += made.recordings
        split.supervisions += made.supervisions
    return splits


def prepare(corpus_dir: Path, work_dir: Path, parts: Sequence[str] = ()) -> "dict[str, Split]":
    """All ``train-*`` parts that are there make train; the other splits are dev, dev_other, test and test_other."""
    check(corpus_dir)
    return prepare_parts(corpus_dir, PARTS, parts)


def archive(part: str, md5: str, resource: int) -> Archive:
    """The archive of a part, on OpenSLR and its mirror."""
    hosts = ("https://www.openslr.org", "https://openslr.elda.org")
    return Archive(
        urls=tuple(f"{host}/resources/{resource}/{part}.tar.gz" for host in hosts),
        provides=(f"LibriSpeech/{part}",),
        md5=md5,
    )


# Recipes take their pronunciations from cmudict, so it is downloaded along.
CORPUS = Corpus(
    parts={part: (archive(part, md5, 12),) for part, (md5, _) in PARTS.items()} | {"cmudict": (CMUDICT,)},
    default_parts=("train-clean-100", "dev-clean", "test-clean", "cmudict"),
    check=check,
    prepare=prepare,
    normalise=normalise,
)
