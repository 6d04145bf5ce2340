"""LibriSpeech (OpenSLR 12): up to 960 hours of read books, 16 kHz, flac.

It comes as ``LibriSpeech/<part>/<speaker>/<chapter>/``. Lhotse makes the manifests; what it would skip without an
error is looked for first.
"""

import contextlib
import io
import logging
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from asrpar.corpus.corpora.cmudict import CMUDICT
from asrpar.corpus.counts import Count, check_counts
from asrpar.corpus.registry import Archive, Corpus
from asrpar.corpus.text import upper_words
from asrpar.errors import DataError
from asrpar.files.text import text_lines

if TYPE_CHECKING:
    from asrpar.corpus.manifests import Split

log = logging.getLogger("asrpar.corpus")


class Part(NamedTuple):
    """A folder of the corpus, and the archive that it comes in.

    Attributes:
        split: that it belongs to.
        md5: of the archive, as OpenSLR publishes it.
        sha256: of the archive, as several recipes have it that check it; or None.
        size: of the archive in bytes, likewise.
        utterances: in it, as published; None if unknown.
    """

    split: str
    md5: str
    sha256: str | None = None
    size: int | None = None
    utterances: int | None = None


Parts = Mapping[str, Part]

PARTS: Parts = {
    "train-clean-100": Part(
        "train",
        "2a93770f6d5c6c964bc36631d331a522",
        "d4ddd1d5a6ab303066f14971d768ee43278a5f2a0aa43dc716b0e64ecbbbf6e2",
        6387309499,
        28539,
    ),
    "train-clean-360": Part(
        "train",
        "c0e676e450a7ff2f54aeade5171606fa",
        "146a56496217e96c14334a160df97fffedd6e0a04e66b9c5af0d40be3c792ecf",
        23049477885,
        104014,
    ),
    "train-other-500": Part(
        "train",
        "d1a0fd59409feb2c614ce4d30c387708",
        "ddb22f27f96ec163645d53215559df6aa36515f26e01dd70798188350adcb6d2",
        30593501606,
        148688,
    ),
    "dev-clean": Part(
        "dev",
        "42e2234ba48799c1f50f24a7926300a1",
        "76f87d090650617fca0cac8f88b9416e0ebf80350acb97b343a85fa903728ab3",
        337926286,
        2703,
    ),
    "dev-other": Part(
        "dev_other",
        "c8d0bcc9cca99d4f8b62fcc847357931",
        "12661c48e8c3fe1de2c1caa4c3e135193bfb1811584f11f569dd12645aa84365",
        314305928,
        2864,
    ),
    "test-clean": Part(
        "test",
        "32fa31d27d2e1cad72775fee3f4849a9",
        "39fde525e59672dc6d1551919b1478f724438a95aa55f874b576be21967e6c23",
        346663984,
        2620,
    ),
    "test-other": Part(
        "test_other",
        "fb5a50374b501bb3bac4815ee91d3135",
        "d09c181bba5cf717b3dee7d4d592af11a3ee3a09e08ae025c5506f6ebe961c29",
        328757843,
        2939,
    ),
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

    there = _asked_for(corpus_dir, known, parts)
    splits: dict[str, Split] = {}
    for part in there:
        made = prepare_part(corpus_dir, part)
        split = splits.setdefault(known[part].split, Split([], []))
        split.recordings += made.recordings
        split.supervisions += made.supervisions
    return splits


def _asked_for(corpus_dir: Path, known: Iterable[str], parts: Sequence[str]) -> tuple[str, ...]:
    """The parts that are asked for, or all that are there. Raises `DataError` if one is absent."""
    there = _present(corpus_dir, known)
    absent = [p for p in parts if p not in there]
    if absent:
        raise DataError(f"{corpus_dir / 'LibriSpeech'} has no folder {absent[0]}; it has {', '.join(there) or 'none'}")
    return tuple(parts) or there


def prepare(
    corpus_dir: Path, work_dir: Path, parts: Sequence[str] = (), *, partial: bool = False
) -> "dict[str, Split]":
    """All ``train-*`` parts that are there make train; the other splits are dev, dev_other, test and test_other.

    Unless ``partial``, each part has as many utterances as it was published with; that is looked at before any audio.
    """
    check(corpus_dir)
    root, there = corpus_dir / "LibriSpeech", _asked_for(corpus_dir, PARTS, parts)
    if not partial:
        counts = [
            Count(f"utterances of {part}", len(read_transcripts(root / part)), PARTS[part].utterances) for part in there
        ]
        check_counts("LibriSpeech", root, counts)
    return prepare_parts(corpus_dir, PARTS, parts)


def archive(name: str, part: Part, resource: int) -> Archive:
    """The archive of a part, on OpenSLR and its mirror."""
    return Archive(
        urls=addresses(resource, f"{name}.tar.gz"),
        provides=(f"LibriSpeech/{name}",),
        md5=part.md5,
        sha256=part.sha256,
        size=part.size,
    )


def addresses(resource: int, file: str) -> tuple[str, ...]:
    """Where OpenSLR and its mirror have a file of one of its resources."""
    return tuple(
        f"{host}/resources/{resource}/{file}" for host in ("https://www.openslr.org", "https://openslr.elda.org")
    )


# cmudict for those who take pronunciations from it, and not from the lexicon of librispeech_lm.
CORPUS = Corpus(
    parts={name: (archive(name, part, 12),) for name, part in PARTS.items()} | {"cmudict": (CMUDICT,)},
    default_parts=("train-clean-100", "dev-clean", "test-clean", "cmudict"),
    check=check,
    prepare=prepare,
    counted=True,
    normalise=normalise,
)
