"""LibriSpeech (OpenSLR 12) and mini_librispeech (OpenSLR 31): read books, 16 kHz, flac.

Both come as ``LibriSpeech/<part>/<speaker>/<chapter>/``. Lhotse makes the manifests; what it would skip without an
error is looked for first.
"""

import contextlib
import io
import logging
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from asrpar.corpus.corpora.cmudict import CMUDICT
from asrpar.corpus.registry import Archive, Corpus
from asrpar.corpus.text import upper_words
from asrpar.errors import DataError
from asrpar.files.text import text_lines

if TYPE_CHECKING:
    from lhotse import SupervisionSegment

    from asrpar.corpus.manifests import Split

log = logging.getLogger("asrpar.corpus")

# part → (md5 published on OpenSLR, split that it belongs to)
_FULL = {
    "train-clean-100": ("2a93770f6d5c6c964bc36631d331a522", "train"),
    "train-clean-360": ("c0e676e450a7ff2f54aeade5171606fa", "train"),
    "train-other-500": ("d1a0fd59409feb2c614ce4d30c387708", "train"),
    "dev-clean": ("42e2234ba48799c1f50f24a7926300a1", "dev"),
    "dev-other": ("c8d0bcc9cca99d4f8b62fcc847357931", "dev_other"),
    "test-clean": ("32fa31d27d2e1cad72775fee3f4849a9", "test"),
    "test-other": ("fb5a50374b501bb3bac4815ee91d3135", "test_other"),
}
_MINI = {
    "train-clean-5": ("5df7d4e78065366204ca6845bb08f490", "train"),
    "dev-clean-2": ("6d7ab67ac6a1d2c993d050e16d61080d", "dev"),
}
_MINI_PARTS = (*_MINI, "test-clean")  # the last if the user put it there
_SPLIT_OF = {part: split for part, (_, split) in (_FULL | _MINI).items()}
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


def _present(corpus_dir: Path, known: Sequence[str]) -> tuple[str, ...]:
    return tuple(p for p in known if (corpus_dir / "LibriSpeech" / p).is_dir())


def _check(corpus_dir: Path, name: str, known: Sequence[str]) -> None:
    if not (corpus_dir / "LibriSpeech").is_dir():
        hint = f"; give its parent {corpus_dir.parent}" if corpus_dir.name == "LibriSpeech" else ""
        raise DataError(f"{corpus_dir} does not hold {name}: no folder LibriSpeech/ in it{hint}")
    if not _present(corpus_dir, known):
        raise DataError(f"{corpus_dir / 'LibriSpeech'} has no part of {name}: none of {', '.join(known)}")


def check_full(corpus_dir: Path) -> None:
    """The folder has ``LibriSpeech/`` with a part of LibriSpeech; raises `DataError` otherwise."""
    _check(corpus_dir, "LibriSpeech", tuple(_FULL))


def check_mini(corpus_dir: Path) -> None:
    """The folder has ``LibriSpeech/`` with a part of mini_librispeech; raises `DataError` otherwise."""
    _check(corpus_dir, "mini_librispeech", _MINI_PARTS)


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


def _prepare(corpus_dir: Path, known: Sequence[str], parts: Sequence[str]) -> "dict[str, Split]":
    from asrpar.corpus.manifests import Split

    there = _present(corpus_dir, known)
    absent = [p for p in parts if p not in there]
    if absent:
        raise DataError(f"{corpus_dir / 'LibriSpeech'} has no folder {absent[0]}; it has {', '.join(there) or 'none'}")
    splits: dict[str, Split] = {}
    for part in parts or there:
        made = prepare_part(corpus_dir, part)
        split = splits.setdefault(_SPLIT_OF[part], Split([], []))
        split.recordings += made.recordings
        split.supervisions += made.supervisions
    return splits


def prepare_full(corpus_dir: Path, work_dir: Path, parts: Sequence[str] = ()) -> "dict[str, Split]":
    """All ``train-*`` parts that are there make train; the other splits are dev, dev_other, test and test_other."""
    check_full(corpus_dir)
    return _prepare(corpus_dir, tuple(_FULL), parts)


def prepare_mini(corpus_dir: Path, work_dir: Path, parts: Sequence[str] = ()) -> "dict[str, Split]":
    """train-clean-5 is train and dev-clean-2 dev; test is test-clean where that is there.

    mini_librispeech has no test set. Without test-clean, every second speaker of dev-clean-2 (by number) is test, so
    that the language-model scale is never chosen on the speech that it is reported on.
    """
    check_mini(corpus_dir)
    splits = _prepare(corpus_dir, _MINI_PARTS, parts)
    if "dev" in splits and "test" not in splits:
        dev = splits["dev"]
        test_speakers = set(sorted(dev.speakers, key=int)[1::2])
        if not test_speakers:
            log.warning("dev-clean-2 has one speaker only, so there is no test set")
            return splits
        splits["dev"], splits["test"] = _divide(dev, test_speakers)
        log.info("no test-clean in %s: every second speaker of dev-clean-2 is test", corpus_dir)
    return splits


def _divide(split: "Split", speakers: set[str]) -> "tuple[Split, Split]":
    """(the rest, those of ``speakers``)."""
    from asrpar.corpus.manifests import Split

    def only(chosen: "list[SupervisionSegment]") -> Split:
        ids = {s.recording_id for s in chosen}
        return Split([r for r in split.recordings if r.id in ids], chosen)

    return (
        only([s for s in split.supervisions if s.speaker not in speakers]),
        only([s for s in split.supervisions if s.speaker in speakers]),
    )


def _archive(part: str, resource: int) -> Archive:
    hosts = ("https://www.openslr.org", "https://openslr.elda.org")
    return Archive(
        urls=tuple(f"{host}/resources/{resource}/{part}.tar.gz" for host in hosts),
        provides=(f"LibriSpeech/{part}",),
        md5=(_FULL | _MINI)[part][0],
    )


# Both recipes take their pronunciations from cmudict, so it is downloaded along.
CORPORA = [
    Corpus(
        name="librispeech",
        title="LibriSpeech, OpenSLR 12: up to 960 hours of read books, 16 kHz",
        parts={part: (_archive(part, 12),) for part in _FULL} | {"cmudict": (CMUDICT,)},
        default_parts=("train-clean-100", "dev-clean", "test-clean", "cmudict"),
        check=check_full,
        prepare=prepare_full,
        normalise=normalise,
    ),
    Corpus(
        name="mini_librispeech",
        title="mini_librispeech, OpenSLR 31: five hours of LibriSpeech for training, two for development, 16 kHz",
        parts={part: (_archive(part, 31),) for part in _MINI}
        | {"test-clean": (_archive("test-clean", 12),), "cmudict": (CMUDICT,)},
        default_parts=("train-clean-5", "dev-clean-2", "cmudict"),
        check=check_mini,
        prepare=prepare_mini,
        normalise=normalise,
    ),
]
